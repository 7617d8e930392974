"""Arrow tables as data frames of pandas or polars."""

from __future__ import annotations

from typing import Any, Literal

import pyarrow as pa

from models.errors import UserError, suggest

FrameKind = Literal["pandas", "polars", "arrow"]
KINDS: tuple[FrameKind, ...] = ("pandas", "polars", "arrow")


def as_frame(table: pa.Table, kind: str) -> Any:
    """The table in the user's library."""
    if kind == "arrow":
        return table
    if kind == "pandas":
        return _as_pandas(table)
    if kind == "polars":
        return _as_polars(table)
    raise UserError(
        f"{kind!r} is no kind of frame{suggest(kind, KINDS)}: take pandas, polars or arrow"
    )


def _as_pandas(table: pa.Table) -> Any:
    """With types that can be missing: without them, true and false become objects beside a null,
    and whole numbers fractions."""
    import pandas as pd

    nullable = {
        pa.bool_(): pd.BooleanDtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
    }
    return table.to_pandas(types_mapper=nullable.get)


def _as_polars(table: pa.Table) -> Any:
    try:
        import polars as pl
    except ImportError as error:
        raise UserError("polars is not installed: pip install 'sightline[polars]'") from error
    return pl.from_arrow(table)
