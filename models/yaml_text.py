"""YAML of users as plain values: text that refers to itself or grows without end is refused."""

from __future__ import annotations

from typing import Any

import yaml

DEEPEST = 100  # levels; our own files have five
MOST = 1_000_000  # values of a file, each counted as often as it is repeated


def parse_yaml(text: str) -> Any:
    """The values; any problem of the text is a YAMLError."""
    try:
        values = yaml.safe_load(text)
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error
    except ValueError as error:  # such as a 99th day
        raise yaml.YAMLError(str(error)) from error
    _count(values, MOST, DEEPEST)
    return values


def _count(value: object, most: int, levels: int) -> int:
    """How many more values are allowed after this one; raises where there are too many."""
    if levels == 0:
        raise yaml.YAMLError("it is nested too deeply, or refers to itself")
    if most == 0:
        raise yaml.YAMLError(f"it repeats its own parts to more than {MOST:,} values")
    most -= 1
    inner = [*value, *value.values()] if isinstance(value, dict) else value
    for item in inner if isinstance(inner, list | tuple | set) else ():
        most = _count(item, most, levels - 1)
    return most
