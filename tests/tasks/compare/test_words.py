"""Words of images as numbers, against loops."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest

from tasks.compare.words import NONE, Words

CHUNKS: list[list[str | None]] = [["cat", None, "dog"], ["dog", "owl"], [], ["ant", "cat", None]]
WORDS = [word for chunk in CHUNKS for word in chunk]
GROUPS = {"cat": "pet", "dog": "pet", "owl": "bird", "eagle": "prey"}
PLAIN = pa.chunked_array(CHUNKS, pa.string())
ENCODED = pa.chunked_array([pa.array(chunk, pa.string()).dictionary_encode() for chunk in CHUNKS])


@pytest.mark.parametrize("column", [PLAIN, ENCODED])
def test_every_image_has_its_word(column: pa.ChunkedArray) -> None:
    check_words(Words.of(column), WORDS)


def test_words_of_no_image_are_none() -> None:
    """Of chosen images, whose column still has the words of all."""
    chosen = pa.chunked_array([[word == "dog" for word in chunk] for chunk in CHUNKS])
    check_words(Words.of(ENCODED.filter(chosen)), ["dog", "dog"])
    check_words(Words.of(ENCODED.filter(pa.array([False] * len(WORDS)))), [])
    check_words(Words.of(pa.chunked_array([pa.nulls(3, pa.string())])), [None] * 3)


def test_words_may_have_others() -> None:
    check_words(Words.of(ENCODED).renamed(GROUPS), [word and GROUPS.get(word) for word in WORDS])
    check_words(Words.of(ENCODED).renamed({}), [None] * len(WORDS))


def check_words(words: Words, expected: list[str | None]) -> None:
    found = [None if number == NONE else words.names[number] for number in words.number_N]
    assert found == expected
    counts = Counter(word for word in expected if word is not None)
    assert words.names == tuple(sorted(counts))
    assert words.counts == counts
    for name in (*counts, "nothing"):
        assert words.images(name).tolist() == [n for n, it in enumerate(expected) if it == name]
