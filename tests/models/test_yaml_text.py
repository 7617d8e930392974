"""YAML of users: values, or what is wrong with the text, never more memory or time."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from models.yaml_text import parse_yaml

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)
BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{level}: &a{level} [*a{level - 1}, *a{level - 1}]\n" for level in range(1, 60)
)


@given(PLAIN)
def test_values_come_back_as_they_were(value: Any) -> None:
    assert parse_yaml(yaml.safe_dump(value)) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 20_000, "it is nested too deeply"),
        ("a: &a [*a]", "it is nested too deeply, or refers to itself"),
        ("a: &a {b: *a}", "it is nested too deeply, or refers to itself"),
        (BOMB, "it repeats its own parts to more than 1,000,000 values"),
        ("a: 2001-99-99", "month"),
        ("a: 1" + "0" * 5000, "limit"),
        ("a: !!python/object/apply:os.system [x]", "could not determine a constructor"),
        ("? [a, b]\n: c\n? {a: b}\n: d", "unhashable"),
        ("a: b: c", "mapping values are not allowed here"),
    ],
)
def test_what_is_wrong_is_said(text: str, words: str) -> None:
    with pytest.raises(yaml.YAMLError, match=words):
        parse_yaml(text)
