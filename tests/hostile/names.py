"""Names with control characters, line ends, markup and other letters, wherever one is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from tests.hostile.commands import audit, audit_of_data, audit_of_table
from tests.hostile.hostile_input import ACCEPTED, EITHER, HostileInput

GROUP = "names"
PICTURE = "images/test/00000.png"

hostile = partial(HostileInput, GROUP)

NAMES = {
    "red": "\x1b[31mred",
    "a cleared screen": "\x1b[2J\x1b[H",
    "a title": "\x1b]0;owned\x07",
    "a bell": "ding\a",
    "a backspace": "ab\b\b",
    "a carriage return": "good\rbad",
    "two lines": "one\ntwo",
    "Windows' line end": "one\r\ntwo",
    "a form feed": "a\fb",
    "eight-bit control": "\x9b31mred",
    "turned reading order": "\u202egnp.exe",
    "an isolate": "\u2066a\u2069",
    "a line separator": "a\u2028b",
    "a paragraph separator": "a\u2029b",
    "a delete": "a\x7f",
    "a script": "<script>alert(1)</script>",
    "a link": "https://evil.example/login",
    "Markdown": "[click](https://evil.example) `x` | y",
    "a log line of ours": "x\nsightline: all is well",
    "a percent": "%s%n%(x)s",
    "braces": "{0}{settings}{{x}}",
    "rich's markup": "[bold red]x[/bold red] [/]",
    "Chinese": "图片",
    "a smiley": "😀",
    "combined": "e\u0301" * 50,
    "Arabic": "صورة",
    "long": "n" * 200,
    "a leading dash": "-rf",
    "a quote": "it's",
    "a double quote": 'a "b"',
    "blanks": "   ",
    "a dot": ".hidden",
}
SHOWN_SAFELY = ("\x1b", "\x07", "\x9b", "\u202e", "\nsightline: all is well", "\r")


def inputs() -> Iterator[HostileInput]:
    for name, text in NAMES.items():
        for title, tried in _places(text):
            yield hostile(f"{title}, {name}", never=SHOWN_SAFELY, **tried)


def _places(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    row = {"file_name": PICTURE, "label": "fish"}
    for column in ("label", "file_name", text):
        files = {"t.jsonl": json.dumps(row | {column: text})}
        codes = EITHER if column == text else frozenset({2})
        title = "a column" if column == text else f"{column} of a table"
        yield title, {"words": audit_of_table("t.jsonl"), "files": files, "codes": codes}
    classes = "\n".join(["fish", "mushroom", text, "d"])
    yield (
        "a class",
        {
            "words": audit("--classes", "classes.txt"),
            "files": {"classes.txt": classes},
            "codes": EITHER,
        },
    )
    for option in ("--split", "--layer", "--methods", "--model", "--data", "--labels"):
        yield option, {"words": audit(option, text), "codes": EITHER}
    for option in ("--out", "--experiment"):
        yield option, {"words": audit(option, text), "codes": frozenset({ACCEPTED, 2})}
    yield "an option", {"words": audit(f"--{text}", "1")}
    yield "a command", {"words": (text,)}
    yield "show", {"words": ("show", text)}
    if "/" not in text and "\0" not in text:
        yield (
            "a broken picture",
            {
                "words": audit_of_data("photos"),
                "files": {f"photos/{text}.png": b"no picture"},
                "codes": frozenset({2, 4}),  # a hidden file is none of the pictures
            },
        )
        yield (
            "a folder of a class",
            {
                "words": audit_of_data("photos"),
                "files": {f"photos/{text}/a.png": b"x", "photos/fish/b.png": b"y"},
            },
        )
        yield (
            "a policy",
            {"words": ("policy", "check", f"{text}.toml"), "files": {f"{text}.toml": "x"}},
        )
