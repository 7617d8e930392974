"""A word of each image: its label, say, or its group. Shapes: N images, n some of them, W words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

NONE = -1

Indices = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Words:
    """Numbers instead of a million words, and where each word's images are."""

    names: tuple[str, ...]  # of all images, in order
    number_N: Indices  # among the names; NONE where an image has no word

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Words:
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        codes = column.unify_dictionaries().combine_chunks()
        words = codes.dictionary.to_pylist()
        code_N = codes.indices.fill_null(len(words)).to_numpy()
        return cls._among([*words, None], code_N)

    def renamed(self, names: Mapping[str, str]) -> Words:
        """Another word for each; none where there is no other."""
        return self._among([*map(names.get, self.names), None], self.number_N)

    @property
    def counts(self) -> dict[str, int]:
        """The number of images of each word."""
        known_n = self.number_N[self.number_N != NONE]
        counts = np.bincount(known_n, minlength=len(self.names)).tolist()
        return dict(zip(self.names, counts, strict=True))

    def images(self, name: str) -> Indices:
        """(n,): the images with this word, in their order."""
        number = self._number_of.get(name)
        if number is None:
            return np.zeros(0, np.int32)
        start, end = self._starts[number : number + 2]
        return self._by_word[start:end]

    @classmethod
    def _among(cls, words: list[str | None], code_N: NDArray[np.integer]) -> Words:
        """Of a list of words that ends in None, which -1 is the code of, too."""
        is_used = np.bincount(code_N % len(words), minlength=len(words)) > 0
        used = {word for word, there in zip(words, is_used, strict=True) if there}
        names = sorted(word for word in used if word is not None)
        number_of: dict[str | None, int] = {name: number for number, name in enumerate(names)}
        number_W = np.array([number_of.get(word, NONE) for word in words], np.int32)
        return cls(tuple(names), number_W[code_N])

    @cached_property
    def _number_of(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names)}

    @cached_property
    def _by_word(self) -> Indices:
        """Images of no word first, then those of each."""
        return np.argsort(self.number_N, kind="stable").astype(np.int32)

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        starts: NDArray[np.int64] = np.cumsum(
            np.bincount(self.number_N + 1, minlength=len(self.names) + 1)
        )
        return starts
