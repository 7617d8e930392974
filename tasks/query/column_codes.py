"""Each column as small whole numbers, by which a million images are counted in milliseconds.

Shapes: N images, in the catalog's order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.query.database import ImageDatabase

BINS = 40  # of a histogram

Chosen = NDArray[np.bool_]  # (N,): which images


@dataclass(frozen=True)
class ValueCodes:
    """A category's values, and the number of each image's; an image of a list has many."""

    values: tuple[str, ...]
    code: NDArray[np.int32]  # len(values): missing
    image: NDArray[np.int32] | None  # of each code; None: one an image, in their order

    def one_each(self, images: int) -> NDArray[np.int32]:
        """A code per image: of a list, that of its first value."""
        if self.image is None:
            return self.code
        code_N = np.full(images, len(self.values), np.int32)
        code_N[self.image[::-1]] = self.code[::-1]
        return code_N

    def counts(self, chosen_N: Chosen) -> dict[str | None, int]:
        """Of the values that chosen images have."""
        chosen = chosen_N if self.image is None else chosen_N[self.image]
        counts = np.bincount(self.code[chosen], minlength=len(self.values) + 1).tolist()
        named = zip((*self.values, None), counts, strict=True)
        return {value: count for value, count in named if count}


@dataclass(frozen=True)
class BinCodes:
    """The bin of each image's number, in bins of one width between the lowest and the highest."""

    low: float | None  # None where no image has a value
    high: float | None
    code_N: NDArray[np.uint8]  # BINS: missing

    @property
    def starts(self) -> list[float]:
        """Of the bins."""
        if self.low is None or self.high is None:
            return [0.0] * BINS
        ends: list[float] = np.linspace(self.low, self.high, BINS + 1).tolist()
        return ends[:-1]

    def counts(self, chosen_N: Chosen | None = None) -> tuple[tuple[int, ...], int]:
        """Of each bin, and of images without a value."""
        code = self.code_N if chosen_N is None else self.code_N[chosen_N]
        *bins, missing = np.bincount(code, minlength=BINS + 1).tolist()
        return tuple(bins), missing


def read_values(database: ImageDatabase, name: str) -> ValueCodes:
    """The codes of a category, or of a list of its values."""
    column = database.names[name]
    is_list = database.columns[name].kind == "list"
    values = f"{column}::VARCHAR[]" if is_list else f"{column}::VARCHAR"
    stored = database.arrow(f"SELECT {values} AS value FROM images ORDER BY row")["value"]
    combined = stored.combine_chunks()
    image = None
    if is_list:
        lengths = pc.fill_null(pc.list_value_length(combined), 0).to_numpy()
        known = np.repeat(np.arange(len(combined)), lengths)
        missing = np.flatnonzero(lengths == 0)
        image = np.concatenate([known, missing]).astype(np.int32)
        combined = pa.concat_arrays([combined.flatten(), pa.nulls(len(missing), pa.string())])
    encoded = combined.dictionary_encode()
    found = encoded.dictionary.to_pylist()
    code = pc.fill_null(encoded.indices, len(found)).to_numpy().astype(np.int32)
    return ValueCodes(tuple(found), code, image)


def read_bins(database: ImageDatabase, name: str) -> BinCodes:
    """The codes of a column of numbers."""
    sql = f"SELECT {database.names[name]}::DOUBLE AS value FROM images ORDER BY row"
    stored = database.arrow(sql)["value"]
    value_N = pc.fill_null(stored, np.nan).to_numpy()
    known_N = np.isfinite(value_N)
    code_N = np.full(len(value_N), BINS, np.uint8)
    if not known_N.any():
        return BinCodes(None, None, code_N)
    low, high = float(value_N[known_N].min()), float(value_N[known_N].max())
    width = (high - low) or 1.0
    index_n = np.floor((value_N[known_N] - low) / width * BINS)
    code_N[known_N] = np.minimum(index_n, BINS - 1)
    return BinCodes(low, high, code_N)
