"""From what the model saw back to the whole picture. Shapes: H W pixels, h w cells of the crop.

A model that crops sees a part of each picture. A map laid over the whole picture would be moved and
stretched, so it is put where its crop lies; outside of it there is nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from models.classifier.preprocessing import Preprocessing

CELL, LARGEST = 8, 256  # pixels that a map's cell is enlarged to, and of a map's longer side


@dataclass(frozen=True)
class Window:
    """Where the model's crop lies in a picture, in pixels; it may reach beyond the borders."""

    rows: int  # of the picture
    columns: int
    top: float
    left: float
    height: float
    width: float

    @classmethod
    def of(cls, preprocessing: Preprocessing, rows: int, columns: int) -> Window:
        """As torchvision resizes and crops."""
        resized = _resized(preprocessing, rows, columns)
        crop = preprocessing.crop or resized
        corner = [_corner(length, kept) for length, kept in zip(resized, crop, strict=True)]
        down, across = rows / resized[0], columns / resized[1]
        return cls(
            rows,
            columns,
            top=corner[0] * down,
            left=corner[1] * across,
            height=crop[0] * down,
            width=crop[1] * across,
        )

    def place(self, map_hw: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
        """float32 (H, W): the whole picture, the map where its crop lies, 0 elsewhere."""
        rows, columns = size or self.map_size(map_hw.shape)
        cells = map_hw.shape
        across = cells[1] / self.width
        down = cells[0] / self.height
        placed = Image.fromarray(map_hw.astype(np.float32)).transform(
            (columns, rows),
            Image.Transform.AFFINE,
            (
                *(self.columns / columns * across, 0, -self.left * across),
                *(0, self.rows / rows * down, -self.top * down),
            ),
            Image.Resampling.BILINEAR,
        )
        return np.asarray(placed)

    def map_size(self, cells: tuple[int, ...]) -> tuple[int, int]:
        """Rows and columns at which a map of so many cells is smooth over the whole picture."""
        rows = cells[0] * self.rows / self.height
        columns = cells[1] * self.columns / self.width
        scale = min(CELL, LARGEST / max(rows, columns))
        return max(1, round(rows * scale)), max(1, round(columns * scale))


def _resized(preprocessing: Preprocessing, rows: int, columns: int) -> tuple[int, int]:
    resize = preprocessing.resize
    if resize is None:
        return rows, columns
    if isinstance(resize, tuple):
        return resize
    if columns <= rows:
        return int(resize * rows / columns), resize
    return resize, int(resize * columns / rows)


def _corner(length: int, kept: int) -> int:
    """Where a centre crop begins; below 0 where the picture is smaller and is framed in black."""
    if kept > length:
        return -((kept - length) // 2)
    return round((length - kept) / 2)
