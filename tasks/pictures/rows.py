"""What workers and explorers need of an image's row in the catalog."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

ROW = ["row_id", "image", "label", "masks", "mask_values", "regions"]  # columns of the catalog


@dataclass(frozen=True)
class Row:
    """What a worker needs from a catalog row."""

    row_id: str
    image: str
    label: str | None
    masks: tuple[str, ...] | None = None  # addresses; their union is the foreground
    mask_values: tuple[int, ...] | None = None  # of the foreground in them; None: all but zero
    regions: str | None = None  # JSON: boxes, polygons and run lengths, in the image's pixels


def rows_of(table: pa.Table) -> list[Row]:
    """The rows of a catalog."""
    return [
        Row(
            **row
            | {
                key: None if row[key] is None else tuple(row[key])
                for key in ("masks", "mask_values")
            }
        )
        for row in table.select(ROW).to_pylist()
    ]
