"""Run folders that are damaged, foreign or none, given to every command that reads one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.hostile.commands import audit
from tests.hostile.hostile_input import ACCEPTED, EITHER, Content, HostileInput
from tests.support.damage import (
    Damage,
    another_json,
    another_table,
    change_one_value,
    emptied,
    flipped,
    overwritten,
    replaced,
    truncated,
)

GROUP = "runs"
ALWAYS = frozenset({ACCEPTED})

hostile = partial(HostileInput, GROUP)
damaged = partial(HostileInput, GROUP, has_run=True)

FILES = (
    *("run/run.json", "run/summary.json", "run/catalog.parquet", "run/flags.parquet"),
    *("run/donors.parquet", "run/predictions/part-00000.parquet"),
)
KINDS: tuple[Damage, ...] = (emptied, truncated, flipped, replaced, overwritten)
JSON_KINDS: tuple[Damage, ...] = (change_one_value, another_json)
COMMANDS: dict[str, tuple[str, ...]] = {
    "show": ("show", "run"),
    "show --json": ("show", "--json", "run"),
    "compare": ("compare", "run", "run"),
    "--reuse": audit("--reuse", "run"),
    "--donors": audit("--donors", "run"),
    "continued": audit("--out", "run"),
}


def inputs() -> Iterator[HostileInput]:
    for path in FILES:
        kinds = KINDS + (JSON_KINDS if path.endswith(".json") else (another_table,))
        for kind in kinds:
            change = of_file(kind, f"{path} {kind.__name__}")
            for name, words in COMMANDS.items():
                title = f"{name}, {path} {kind.__name__}"
                yield damaged(title, words, {path: change}, EITHER)
            title = f"runs, {path} {kind.__name__}"
            yield damaged(title, ("runs", "."), {path: change}, ALWAYS)
    yield from _no_runs()
    yield from _locks()


def of_file(damage: Damage, seed: str) -> Callable[[Path], object]:
    def change(path: Path) -> object:
        return path.write_bytes(damage(path.read_bytes(), random.Random(seed)))

    return change


STATES: dict[str, Content] = {
    "of another tool": '{"id": 7, "status": "done"}',
    "null": "null",
    "a list": "[]",
    "text": '"run"',
    "open": '{"state": ',
    "empty": "",
    "zeros": bytes(64),
    "deep": "[" * 100_000,
    "not UTF-8": b'{"state": "\xff"}',
    "a huge number": '{"started": 1' + "0" * 5000 + "}",
    "an escape": '{"state": "\\u001b[31mred"}',
    "of numbers": '{"state": 7, "identity": 7, "settings": 7}',
}


def _no_runs() -> Iterator[HostileInput]:
    """Folders whose run.json is not one, beside a file of somebody's that must stay."""
    for name, content in STATES.items():
        files: dict[str, Content] = {"theirs/run.json": content, "theirs/thesis.tex": "mine"}
        for command in (("show",), ("remove", "--yes"), ("publish",), ("compare", "theirs")):
            title = f"{command[0]}, a run.json {name}"
            yield hostile(title, (*command, "theirs"), files)
        for option in ("--out", "--reuse", "--donors"):
            yield hostile(f"{option}, a run.json {name}", audit(option, "theirs"), files)
        words = audit("--out", "theirs", "--replace")
        yield hostile(f"--replace, a run.json {name}", words, files)
        yield hostile(f"runs, a run.json {name}", ("runs", "."), files, ALWAYS)
    for where in ("nowhere", "data", "model/model.json", "", "/", "x" * 300, "\x1b[31m", "a\nb"):
        for words in (("show", where), ("remove", "--yes", where), ("publish", where)):
            yield hostile(f"{words[0]} {where[:20]!r}", words)


LOCKS: dict[str, Content] = {
    "empty": "",
    "null": "null",
    "a list": "[]",
    "of another tool": '{"held": true}',
    "of wrong types": '{"host": 7, "pid": "x", "time": []}',
    "not UTF-8": b"\xff\xfe",
    "deep": "[" * 100_000,
    "huge": '{"pid": 1' + "0" * 5000 + "}",
}


def _locks() -> Iterator[HostileInput]:
    for name, content in LOCKS.items():
        for file in (f"run/lock/{'a' * 32}.json", "run/lock/mine.json", "run/lock"):
            yield damaged(
                f"a lock {name} as {file}", audit("--out", "run"), {file: content}, EITHER
            )
