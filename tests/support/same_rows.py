"""Two runs have the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

NEAR = {pa.float16(): 1e-3, pa.float32(): 1e-5}  # an image computed alone has other last digits


def check_same_rows(run: Path, other: Path, without: tuple[str, ...] = ()) -> None:
    """Every part of both, decoded: the same rows in the same order, numbers within rounding.

    `without` names files that differ, such as catalogs of the same pictures at other addresses.
    """
    parts, mine = (_parquet_files(folder, without) for folder in (other, run))
    assert parts, other
    assert parts == mine
    for part in parts:
        left, right = pq.read_table(run / part), pq.read_table(other / part)
        assert left.schema.equals(right.schema), part
        for name in left.column_names:
            kind = left.schema.field(name).type
            _check_same_column(
                left[name], right[name], NEAR.get(_number(kind), 0.0), f"{part} {name}"
            )


def _parquet_files(folder: Path, without: tuple[str, ...]) -> list[Path]:
    paths = (path.relative_to(folder) for path in folder.rglob("*.parquet"))
    return sorted(path for path in paths if path.name not in without)


def _check_same_column(
    left: pa.ChunkedArray, right: pa.ChunkedArray, near: float, what: str
) -> None:
    if not near:
        assert left.to_pylist() == right.to_pylist(), what
        return
    mine, others = (_flat(column) for column in (left, right))
    np.testing.assert_allclose(mine, others, rtol=near, atol=near, err_msg=what)


def _number(kind: Any) -> Any:
    if isinstance(kind, pa.FixedShapeTensorType):
        return kind.value_type
    return kind.value_type if pa.types.is_list(kind) else kind


def _flat(column: pa.ChunkedArray) -> np.ndarray:
    array = column.combine_chunks()
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if not pa.types.is_floating(array.type):
        array = array.flatten()
    values: np.ndarray = array.to_numpy(zero_copy_only=False)
    return values.astype(np.float64)
