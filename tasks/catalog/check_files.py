"""Checks some of the files before work begins: are they pictures, and do the masks fit?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.addresses import REMOTE
from models.errors import ForegroundError, PictureError, UserError, describe_os_error, printable
from tasks.pictures.decode import OpenedPicture, open_picture
from tasks.pictures.foreground import Frame, Marks, draw_foreground
from tasks.storage.files import read_bytes

LOCAL_ROWS = 256  # rows to check where files are local
REMOTE_ROWS = 32  # and where each needs a request over the network
READERS = 16  # threads for these


@dataclass(frozen=True)
class FileCheck:
    """The result of checking the files of one row."""

    problem: str | None  # why it will fail, in one line
    coverage: float | None = None  # share of the picture that its masks mark; None without masks


def check_files(catalog: pa.Table, orientation: str) -> list[FileCheck]:
    """Check rows spread over the catalog."""
    remote = pc.any(pc.match_substring(catalog["image"], REMOTE)).as_py()
    count = min(REMOTE_ROWS if remote else LOCAL_ROWS, len(catalog))
    indices = np.linspace(0, len(catalog) - 1, count).astype(int)
    columns = ["image", "masks", "mask_values", "regions"]
    rows = catalog.select(columns).take(pa.array(indices)).to_pylist()
    if not remote:
        return [_check_row(row, orientation) for row in rows]
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(_check_row, rows, repeat(orientation)))


def _check_row(row: dict[str, Any], orientation: str) -> FileCheck:
    """Coverage is what the masks mark, whatever their polarity."""
    try:
        opened = _open(row["image"])
        if row["masks"] is None and row["regions"] is None:
            return FileCheck(None)
        rows, columns = opened.size
        masks = tuple((mask, read_bytes(mask)) for mask in row["masks"] or ())
        marks = Marks(row["image"], masks, _tuple(row["mask_values"]), row["regions"])
        frame = Frame(rows, columns, opened.turn, orientation == "upright")
        marked_HW = draw_foreground(marks, frame, "foreground")
    except ForegroundError as error:
        return FileCheck(" ".join(f"{error}: {error.remedy}".split()))
    except OSError as error:
        return FileCheck(printable(describe_os_error(error)))
    except UserError as error:
        return FileCheck(" ".join(str(error).split()))
    except ValueError:  # a zero byte
        return FileCheck(f"{printable(row['image'])} or a mask of it is not an address")
    return FileCheck(None, float(marked_HW.float().mean()) / 255 if masks else None)


def _open(address: str) -> OpenedPicture:
    try:
        return open_picture(read_bytes(address))
    except PictureError as error:
        message = f"image {printable(address)} cannot be decoded ({error})"
        raise PictureError(message, error.remedy) from error


def _tuple(values: list[int] | None) -> tuple[int, ...] | None:
    return None if values is None else tuple(values)
