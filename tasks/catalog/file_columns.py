"""Columns of a table that hold images or masks under unusual names, found by looking at the files.

One is used where nothing else can be meant, and the log says so; else it is named, with the option.
Shapes: P pixels of C values.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image
from upath import UPath

from models.addresses import is_local, place_of
from models.errors import UserError, list_names, printable
from tasks.catalog.listing import PICTURES
from tasks.storage.files import join, read_bytes, read_stamps

MASK_WORDS = ("mask", "seg", "matte", "silhouette", "foreground")  # in a column's name
MASK_SEPARATOR = "|"  # between the masks of one image in a CSV
TRIED = 20  # rows whose files are looked for
OPENED = 5  # of which files are opened
FEW_VALUES = 32  # of a mask's pixels
NEARLY = 16  # grey levels from black or white, as compression leaves them
BLACK_OR_WHITE = 0.9  # share of a mask's pixels, where soft outlines have many values
LARGEST = 50_000_000  # pixels
NOT_THERE = ("missing", "unknown")  # how the stamps of such files begin

log = logging.getLogger("sightline")


@dataclass(frozen=True)
class _FileColumn:
    """Rows of a column that name pictures, and the files that exist."""

    name: str
    files: dict[int, str]  # the address of the first file by row
    exists: bool  # do most of them?

    @property
    def sounds_like_masks(self) -> bool:
        return any(word in self.name.lower() for word in MASK_WORDS)


def find_image_column(table: pa.Table, root: UPath, path: UPath) -> str | None:
    """The only column whose files are pictures, and not called after masks; None if there is none.

    Refuses several, naming them.
    """
    columns = [column for column in _file_columns(table, root, ()) if column.exists]
    images = [column.name for column in columns if not column.sounds_like_masks]
    if len(images) > 1:
        raise UserError(
            f"table {path} has pictures in the columns {list_names(images)}: "
            "name the one to audit with --image-column"
        )
    if not images:
        return None
    log.info("table %s: column %r holds pictures: taken as the images", path, images[0])
    return images[0]


def find_mask_column(
    table: pa.Table, image: str, used: Collection[str], root: UPath, path: UPath
) -> str | None:
    """The only column whose files look like masks of the images; None where none, or several."""
    columns = _file_columns(table, root, used)
    existing = [column for column in columns if column.exists]
    masks = [column for column in existing if _look_like_masks(column, table[image], root)]
    named = [column for column in existing if column.sounds_like_masks]
    both = [column for column in masks if column in named]
    candidates = masks if len(masks) == 1 and named in ([], masks) else both
    if len(candidates) == 1:
        (column,) = candidates
        log.info("table %s: column %r holds masks: taken as the foreground", path, column.name)
        return column.name
    _name_columns(masks or named or existing, columns, root, path)
    return None


def _name_columns(
    existing: Sequence[_FileColumn], columns: Sequence[_FileColumn], root: UPath, path: UPath
) -> None:
    """Say which columns may hold masks, and how to choose one."""
    if existing:
        names = list_names(column.name for column in existing)
        log.warning(
            "table %s names further pictures in %s, which were not taken as masks: "
            "if a column holds masks of the same size as the images, name it with --mask-column",
            path,
            names,
        )
        return
    missing = next((column for column in columns if column.sounds_like_masks), None)
    if missing is not None:
        log.warning(
            "table %s: the files in column %r are not below %s (first: %s): name the folder that "
            "images and masks are relative to with --images, or a folder of masks with --masks",
            path,
            missing.name,
            root,
            printable(next(iter(missing.files.values()))),
        )


def _file_columns(table: pa.Table, root: UPath, used: Collection[str]) -> list[_FileColumn]:
    """Columns in which most values are names of pictures, whether these exist or not."""
    columns = []
    for name in table.column_names:
        if name in used:
            continue
        values = _first_texts(table[name])
        files = {row: text for row, text in values.items() if _names_picture(text, root)}
        if files and len(files) * 2 > len(values):
            columns.append(_FileColumn(name, files, _exist(list(files.values()), root)))
    return columns


def _first_texts(column: pa.ChunkedArray) -> dict[int, str]:
    """Some texts of a column by row, spread evenly; of several masks in a row, the first."""
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        has_value = pc.greater(pc.fill_null(pc.list_value_length(column), 0), 0)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        has_value = pc.fill_null(pc.not_equal(column, ""), False)
    else:
        return {}
    rows = np.flatnonzero(has_value.to_numpy())
    chosen = rows[np.linspace(0, len(rows) - 1, min(TRIED, len(rows))).astype(int)]
    values = column.take(pa.array(chosen)).to_pylist()
    return dict(zip(chosen.tolist(), map(_first_text, values), strict=True))


def _first_text(value: Any) -> str:
    first = value[0] if isinstance(value, list) else value.partition(MASK_SEPARATOR)[0]
    return first if isinstance(first, str) else ""


def _names_picture(text: str, root: UPath) -> bool:
    """Is it the name of a picture, at no other place than the data?"""
    is_near = is_local(text) or (not is_local(root) and place_of(text) == place_of(str(root)))
    return is_near and f".{text.lower().rpartition('.')[2]}" in PICTURES


def _exist(names: Sequence[str], root: UPath) -> bool:
    """Do most of the files exist?"""
    stamps = read_stamps([join(root, name) for name in names])
    return sum(not stamp.startswith(NOT_THERE) for stamp in stamps) * 2 > len(names)


def _look_like_masks(column: _FileColumn, images: pa.ChunkedArray, root: UPath) -> bool:
    """Are some of the files black and white, or of few values, and as large as their images?"""
    has_both = False  # an even picture may be anything
    for row, file in list(column.files.items())[:OPENED]:
        try:
            mask = Image.open(io.BytesIO(read_bytes(join(root, file))))
            image = Image.open(io.BytesIO(read_bytes(join(root, str(images[row])))))
            fits = mask.size in (image.size, image.size[::-1])  # EXIF may turn the image
            if not fits or mask.width * mask.height > LARGEST:
                return False
            values = np.atleast_3d(np.asarray(mask))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
        pixels_PC = values.reshape(-1, values.shape[2])
        if not _are_of_a_mask(pixels_PC, is_palette=mask.mode == "P"):
            return False
        has_both |= bool((pixels_PC != pixels_PC[:1]).any())
    return has_both


def _are_of_a_mask(pixels_PC: np.ndarray, *, is_palette: bool) -> bool:
    """Few different ones, or grey that is nearly black and white."""
    if len(np.unique(pixels_PC, axis=0)) <= FEW_VALUES:
        return True
    is_grey = not is_palette and bool((pixels_PC == pixels_PC[:, :1]).all())
    extreme = (pixels_PC < NEARLY) | (pixels_PC > 255 - NEARLY)
    return is_grey and float(extreme.mean()) >= BLACK_OR_WHITE
