"""Outputs that can be no folder or are somebody's, and pipes and devices in place of any file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.hostile.commands import AUDIT, audit, release, retrain
from tests.hostile.hostile_input import NOTHING, Content, HostileInput

GROUP = "folders and devices"

hostile = partial(HostileInput, GROUP)

WRITING: dict[str, tuple[str, ...]] = {
    "audit": audit("--out"),
    "audit --replace": audit("--replace", "--out"),
    "audit --series": (*AUDIT[:-2], "--series"),
    "retrain": retrain("--epochs", "1", "--out"),
    "release": release("--out"),
    "demo": ("demo", "--out"),
    "bundle": ("bundle", "--model", "model", "--out"),
}
POLICY: dict[str, Content] = {"policy.toml": '[[rule]]\nfigure = "accuracy"\nat_least = 0.5\n'}
NO_FOLDERS: dict[str, tuple[str, dict[str, Content]]] = {
    "a file": ("f", {"f": "mine"}),
    "under a file": ("f/run", {"f": "mine"}),
    "a link to nothing": ("l", {"l": lambda path: path.symlink_to("missing")}),
    "a link to itself": ("l", {"l": lambda path: path.symlink_to(path)}),
    "under a link to itself": ("l/run", {"l": lambda path: path.symlink_to(path)}),
    "a pipe": ("p", {"p": os.mkfifo}),
    "a device": ("/dev/null", {}),
    "under a device": ("/dev/null/run", {}),
    "300 letters": ("x" * 300, {}),
    "5,000 letters": ("x/" * 2500, {}),
    "in /proc": ("/proc/run", {}),
}
THEIRS: dict[str, dict[str, Content]] = {
    "a thesis": {"theirs/thesis.tex": "mine"},
    "a hidden file": {"theirs/.profile": "mine"},
    "a folder of theirs": {"theirs/notes/mine.md": "mine"},
    "run.json of another tool": {"theirs/run.json": '{"id": 1}', "theirs/mine.txt": "mine"},
    "policy.toml": {"theirs/policy.toml": "mine"},
    "result.json": {"theirs/result.json": '{"mine": 1}'},
    "a link": {"theirs/away": lambda path: path.symlink_to("/etc")},
}
READ = (
    *("--data", "--images", "--annotations", "--masks", "--mask-values", "--labels", "--model"),
    *("--weights", "--classes", "--config", "--preprocessing", "--reuse", "--donors"),
    *("--foreground-weights",),
)
NO_FILES: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "an empty device": lambda path: path.symlink_to("/dev/null"),
    "a terminal": lambda path: path.symlink_to("/dev/tty"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("missing"),
    "a folder": Path.mkdir,
    "an empty file": Path.touch,
}
READERS = (
    *(("show",), ("publish",), ("remove", "--yes"), ("policy", "check"), ("compare", "data")),
    *(
        ("compare",),
        ("init",),
        ("bundle", "--out", "b", "--model"),
        ("log", "--name", "n", "--model"),
    ),
)


def inputs() -> Iterator[HostileInput]:
    for command, words in WRITING.items():
        for name, (where, files) in NO_FOLDERS.items():
            yield hostile(f"{command}, {name}", (*words, where), POLICY | files)
    for command in ("audit", "audit --replace", "retrain", "demo"):
        for name, files in THEIRS.items():
            yield hostile(
                f"{command}, {name} of theirs", (*WRITING[command], "theirs"), POLICY | files
            )
    for option in READ:
        for name, make in NO_FILES.items():
            codes = NOTHING if (option, name) in EMPTY else frozenset({2})
            words = audit("--foreground", "torchvision:deeplabv3_resnet50", option, "f")
            yield hostile(f"{option}, {name}", words, {"f": make}, codes)
    for command_words in READERS:
        for name, make in NO_FILES.items():
            title = f"{command_words[0]} {len(command_words)}, {name}"
            after = ("data",) if command_words == ("compare",) else ()
            yield hostile(title, (*command_words, "f", *after), {"f": make})


EMPTY = (("--data", "a folder"),)
