"""Photographs with masks, whole and cropped, and the halves for choosing and for judging.

Shapes: N photographs.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.audit.photographs import EIGHTH

LONGER = 256  # pixels of the longer side of whole pictures
CROP, MARGIN = 224, 32

Mask = NDArray[np.bool_]
Picture = NDArray[np.uint8]
Pairs = list[tuple[Picture, Mask]]


@dataclass(frozen=True, eq=False)
class Photographs:
    """Those with masks, whole and cropped."""

    class_index_N: np.ndarray
    whole: Pairs
    cropped: Pairs

    @property
    def is_chosen_on_N(self) -> Mask:
        """The half that everything was chosen on."""
        chosen_N: Mask = self.class_index_N // EIGHTH % 2 == 1
        return chosen_N


@lru_cache(maxsize=1)
def read_photographs(photos: Path) -> Photographs:
    """All that have a mask."""
    table = photos / "table.csv"
    if not table.is_file():
        sys.exit(f"photographs: {table} does not exist: --photos names a folder with table.csv")
    with table.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["mask"]]
    pairs = [
        (Image.open(photos / row["file_name"]).convert("RGB"), Image.open(photos / row["mask"]))
        for row in rows
    ]
    return Photographs(
        np.array([int(row["class_index"]) for row in rows]),
        [(_whole(picture), _whole(mask.convert("L")) > 127) for picture, mask in pairs],
        [(_cropped(picture), _cropped(mask.convert("L")) > 127) for picture, mask in pairs],
    )


def _whole(picture: Image.Image) -> Picture:
    scale = LONGER / max(picture.size)
    columns, rows = (round(length * scale) for length in picture.size)
    return np.array(picture.resize((columns, rows), Image.Resampling.BICUBIC))


def _cropped(picture: Image.Image) -> Picture:
    side = min(picture.size) * CROP / (CROP + MARGIN)
    left, top = ((length - side) / 2 for length in picture.size)
    box = (left, top, left + side, top + side)
    return np.array(picture.resize((CROP, CROP), Image.Resampling.BICUBIC, box))
