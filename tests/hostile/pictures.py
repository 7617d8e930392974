"""Pictures and masks that are cut, bombs, of another kind, or no file at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.hostile.commands import audit_of_data
from tests.hostile.hostile_input import EITHER, Content, HostileInput
from tests.support.fuzz_pictures import broken, executable, masks, regions, strange

GROUP = "pictures"
PICTURE = "data/images/test/00000.png"
UNUSABLE = "none of 1 checked images can be used"

hostile = partial(HostileInput, GROUP)


def inputs() -> Iterator[HostileInput]:
    for name, content in broken():  # at first only its header is read
        yield hostile(name, audit_of_data("photos"), {f"photos/{name}": content}, EITHER, UNUSABLE)
    for number, (name, content) in enumerate(strange()):
        if number % 3 == 0:  # a third of them: tests/tasks/pictures/test_fuzz.py has all
            yield hostile(name, audit_of_data("photos"), {f"photos/{name}": content}, EITHER)
    for name, content in executable(Path("ran")):
        yield hostile(name, audit_of_data("photos"), {f"photos/{name}": content}, says=UNUSABLE)
    yield from _no_files()
    yield from _masks()
    yield from _regions()


def _no_files() -> Iterator[HostileInput]:
    """A picture that is no file: as the only one of a folder, and named by a table."""
    for name, make in NO_FILES.items():
        yield hostile(
            f"a picture that is {name}", audit_of_data("photos"), {"photos/a.jpg": make}, NO_PICTURE
        )
        table = "file_name\na.jpg\n"
        yield hostile(
            f"a picture of a table that is {name}",
            ("audit", "--data", "t.csv", "--model", "model", "--out", "out"),
            {"t.csv": table, "a.jpg": make},
        )


def _masks() -> Iterator[HostileInput]:
    for number, (name, content) in enumerate(masks()):
        if number % 2 == 0:
            suffix = name.rpartition(".")[2]
            table = f"file_name,label,mask\n{PICTURE},fish,m.{suffix}\n"
            files: dict[str, Content] = {"t.csv": table, f"m.{suffix}": content}
            yield hostile(f"mask {name}", audit_of_data("t.csv"), files, EITHER)


def _regions() -> Iterator[HostileInput]:
    for number, text in enumerate(regions()):
        if number % 2 == 0:
            cell = text.replace('"', '""')
            files: dict[str, Content] = {
                "t.csv": f'file_name,label,boxes\n{PICTURE},fish,"{cell}"\n'
            }
            name = f"region {number} {text[:40]!r}"
            words = audit_of_data("t.csv", "--box-columns", "boxes")
            yield hostile(name, words, files, EITHER)


NO_PICTURE = frozenset({2, 4})


def sparse(path: Path) -> None:
    """A file of a terabyte of nothing."""
    with path.open("wb") as file:
        file.truncate(1 << 40)


NO_FILES: dict[str, Content] = {
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("missing.jpg"),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "endless": sparse,
}
