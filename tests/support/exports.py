"""Columns of a user's table that a reader of an export might run, break or take for others."""

from __future__ import annotations

from typing import Any

FORMULAS = ['=cmd|" /C calc"!A0', "+1+1", "@SUM(A1)", "-2+3", "\t=1+1", "\r=1"]
TEXTS = [
    "'quoted'",
    'first\nsecond, "quoted"\r\nthird',
    "Zürich \u202e 雪 \U0001f98a",
    "<b>x",
    "",
    None,
]
HOSTILE: dict[str, list[Any]] = {
    "texts": [*FORMULAS, *TEXTS],
    "=SUM(A1)": ["x"],  # a formula as the name of a column
    "a.b$c": ["$ref", "a.b"],  # which MongoDB takes for a path
    "save": ["method of FiftyOne's samples"],
    "picture": ["column of ours in one of the exports"],
    "ground_truth": ["field of ours in another"],
    "catalog.flag": ["prefix of ours"],
    "count": [2**60 + 1, None, -1],
    "weight": [0.5, float("nan"), float("inf"), -3.25],
    "_hidden": [True, False, None],
}
