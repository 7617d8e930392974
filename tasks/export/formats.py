"""What every format is made of: what it is given, what it says afterwards, where it is written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from models.addresses import TEMPORARY, is_local
from models.errors import UserError, printable
from tasks.export.selection import Selection
from tasks.storage.folders import check_folder

COLUMNS = "columns.json"  # beside every export: what each column means

Progress = Callable[[int, int], None]  # images done, and all


@dataclass(frozen=True)
class ExportRequest:
    """What is exported."""

    selection: Selection
    method: str | None  # of the maps
    copy_images: bool = False
    coordinates: pa.Table | None = None  # of the plot, a row per image of the catalog


Write = Callable[[ExportRequest, Path, Progress], list[str]]
"""Fills an empty folder; returns what the user should know, a line each."""


@dataclass(frozen=True)
class Format:
    """A format that runs are exported to."""

    name: str
    write: Write
    how_to_open: Callable[[Path], str]  # a command, or a line of Python
    has_maps: bool = False
    has_images: bool = False  # can it hold the pictures' files?
    needs_coordinates: bool = False

    def check(self, method: str | None, copy_images: bool) -> None:
        """Refuse options that the format has no use for."""
        if method is not None and not self.has_maps:
            raise UserError(f"{self.name} holds no maps: leave --method out, or use --to fiftyone")
        if copy_images and not self.has_images:
            raise UserError(
                f"{self.name} holds no picture files: leave --copy-images out, or use --to "
                "fiftyone or --to coco"
            )


def write_export(
    form: Format, request: ExportRequest, folder: Path, progress: Progress
) -> list[str]:
    """Write the folder whole or not at all; returns what the user should know."""
    with _new_folder(folder) as temporary:
        notes = form.write(request, temporary, progress)
        _write_columns(request.selection, temporary / COLUMNS)
    return notes


def check_new_folder(address: str) -> Path:
    """The folder; refuses one that cannot be made, or that holds something."""
    if not is_local(address):
        raise UserError(
            f"--out {printable(address)} is not a local folder: export to one, and copy it there"
        )
    check_folder(address, "--out")
    folder = Path(address).absolute()
    if folder.is_symlink() or (folder.exists() and any(folder.iterdir())):
        raise UserError(
            f"--out {printable(address)} is not empty: give a new or an empty folder, so that "
            "nothing is overwritten"
        )
    return folder


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder beside it, which takes its name once everything is written."""
    temporary = folder.with_name(f".{folder.name}.{uuid4().hex}{TEMPORARY}")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_columns(selection: Selection, target: Path) -> None:
    names = ("name", "kind", "words", "own")
    columns = [{name: getattr(column, name) for name in names} for column in selection.columns]
    text = json.dumps({"run": str(selection.run.folder.path), "columns": columns}, indent=2)
    target.write_text(f"{text}\n", encoding="utf-8")
