"""Text of users: values, or a ValueError that says what is wrong, never more memory or time."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from models.structured_text import parse_json, parse_toml, parse_yaml

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
    assert parse_json(json.dumps(value)) == value
    assert parse_yaml(yaml.safe_dump(value)) == value


@pytest.mark.parametrize(
    ("parse", "text", "words"),
    [
        (parse_json, "[" * 200_000, "it is nested too deeply"),
        (parse_json, '{"a":' * 200_000, "it is nested too deeply"),
        (parse_json, "[1" + "0" * 5000 + "]", "limit"),
        (parse_json, b'{"a": "\xff"}', "utf-8"),
        (parse_toml, "a = " + "[" * 50_000, "it is nested too deeply"),
        (parse_toml, "a = ", "Invalid value"),
        (parse_yaml, "[" * 20_000, "it is nested too deeply"),
        (parse_yaml, "a: &a [*a]", "it is nested too deeply, or refers to itself"),
        (parse_yaml, "a: &a {b: *a}", "it is nested too deeply, or refers to itself"),
        (parse_yaml, BOMB, "it repeats its own parts to more than 1,000,000 values"),
        (parse_yaml, "a: 2001-99-99", "month"),
        (parse_yaml, "a: !!python/object/apply:os.system [x]", "could not determine a construc"),
        (parse_yaml, "? [a, b]\n: c\n? {a: b}\n: d", "unhashable"),
        (parse_yaml, "a: b: c", "mapping values are not allowed here"),
    ],
)
def test_what_is_wrong_is_said(parse: Any, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


def test_toml_is_parsed_as_by_python() -> None:
    text = "[data]\npath = 'x'\nsizes = [1, 2]"
    assert parse_toml(text) == tomllib.loads(text)
