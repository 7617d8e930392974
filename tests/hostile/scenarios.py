"""Filters and names of scenarios that are none, and files of scenarios that are damaged."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from functools import partial

from tests.hostile.commands import release
from tests.hostile.hostile_input import EITHER, Content, HostileInput
from tests.support.damage import change_one_value, flipped, truncated

GROUP = "scenarios"

hostile = partial(HostileInput, GROUP, has_run=True)

SNOW = {"kind": "values", "column": "background", "values": ["snow"]}
GOOD = json.dumps({"scenarios": [{"name": "snow", "filter": {"conditions": [SNOW]}}]})
FILTERS: dict[str, str] = {
    "empty": "",
    "words": "background = 'snow'",
    "a list": "[]",
    "null": "null",
    "deep": '{"conditions": ' + "[" * 20_000,
    "SQL": '{"sql": "DROP TABLE images"}',
    "no column": json.dumps({"conditions": [SNOW | {"column": "'; DROP TABLE images; --"}]}),
    "an escape as a column": json.dumps({"conditions": [SNOW | {"column": "\x1b[31m\n"}]}),
    "a long column": json.dumps({"conditions": [SNOW | {"column": "c" * 20_000}]}),
    "many values": json.dumps({"conditions": [SNOW | {"values": ["v"] * 5_000}]}),
    "numbers as values": json.dumps({"conditions": [SNOW | {"values": [7]}]}),
    "many conditions": json.dumps({"conditions": [SNOW] * 1_000}),
    "a range of words": json.dumps({"conditions": [{"kind": "range", "column": "background"}]}),
    "an endless range": '{"conditions": [{"kind": "range", "column": "score", "low": 1e999}]}',
    "a huge number": '{"conditions": [{"kind": "range", "column": "score", "low": 1'
    + "0" * 5_000
    + "}]}",
    "a line as a lasso": json.dumps(
        {"conditions": [{"kind": "lasso", "space": "whole", "polygon": [[0, 0], [1, 1]]}]}
    ),
    "a lasso nowhere": json.dumps(
        {"conditions": [{"kind": "lasso", "space": "../..", "polygon": [[0, 0], [1, 1], [0, 1]]}]}
    ),
    "an unknown kind": json.dumps({"conditions": [SNOW | {"kind": "python"}]}),
    "a lone surrogate": '{"conditions": [{"kind": "text", "text": "\\ud800"}]}',
}
NAMES = ("", " ", "\n", "a\nb", "\x1b[31mred", "\u202eevil", "n" * 81, "\u2028", "\x7f")
FILES: dict[str, Content] = {
    "empty": "",
    "null": "null",
    "a list": "[]",
    "deep": "[" * 100_000,
    "zeros": bytes(64),
    "not UTF-8": b'{"scenarios": "\xff"}',
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "cut": truncated(GOOD.encode(), random.Random(1)),
    "flipped": flipped(GOOD.encode(), random.Random(2)),
    "another value": change_one_value(GOOD.encode(), random.Random(3)),
    "a name of two lines": GOOD.replace('"snow", "filter"', '"a\\nb", "filter"'),
    "an escape as a key": '{"scenarios": [], "\\u001b[31m": 7}',
    "a huge number": '{"scenarios": [], "schema_version": 1' + "0" * 5_000 + "}",
}
POLICY = 'scenarios = {}\n[[rule]]\nfigure = "accuracy"\nat_least = 0.1\nscenario = {}\n'
OF_POLICIES = (
    *('""', "7", "[]", '"."', '"/"', '"/dev/null"', '"none.json"', '"data"', '"\\u0000"'),
    *('"\\u001b[31m"', f'"{"f" * 20_000}"', '"ftp://x/y"', '"../../../etc/passwd"', "true"),
)


def inputs() -> Iterator[HostileInput]:
    for name, text in FILTERS.items():
        yield hostile(f"--filter, {name}", ("scenario", "run", "snow", "--filter", text))
    for name in NAMES:
        good = ("scenario", "run", name, "--filter", "{}")
        yield hostile(f"a name {name[:20]!r}", good)
        yield hostile(f"--delete {name[:20]!r}", ("scenario", "run", name, "--delete"))
    for title, content in FILES.items():
        files = {"run/scenarios.json": content}
        for words in (
            ("show", "run", "--scenarios"),
            ("show", "run", "--scenarios", "--json"),
            ("scenario", "run", "new", "--filter", "{}"),
            ("scenario", "run", "snow", "--delete"),
        ):
            yield hostile(f"{' '.join(words)}, {title}", words, files, EITHER)
    yield from _policies()


def _policies() -> Iterator[HostileInput]:
    for file in OF_POLICIES:
        policy = POLICY.format(file, '"snow"')
        words = ("policy", "check", "policy.toml")
        yield hostile(f"a policy's scenarios = {file[:40]}", words, {"policy.toml": policy})
    for title, content in FILES.items():
        files = {"policy.toml": POLICY.format('"s.json"', '"snow"'), "s.json": content}
        yield hostile(
            f"a policy's scenarios, {title}", ("policy", "check", "policy.toml"), files, EITHER
        )
        yield hostile(f"release, scenarios, {title}", release(), files, EITHER)
    for name in ('""', "7", "[]", '"a\\nb"', '"\\u001b[31m"', f'"{"n" * 20_000}"', '"snwo"'):
        files = {"policy.toml": POLICY.format('"s.json"', name), "s.json": GOOD}
        yield hostile(f"scenario = {name[:40]}", ("policy", "check", "policy.toml"), files)
