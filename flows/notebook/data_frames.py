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
    and whole numbers fractions, which are rounded above 2^53."""
    return table.to_pandas(types_mapper=_nullable)


def _nullable(data_type: pa.DataType) -> Any:
    """None for those that can be missing by themselves."""
    import pandas as pd

    if pa.types.is_boolean(data_type):
        return pd.BooleanDtype()
    if pa.types.is_integer(data_type):  # uint16 is UInt16 there
        return pd.api.types.pandas_dtype(str(data_type).replace("int", "Int").replace("u", "U"))
    return None


def _as_polars(table: pa.Table) -> Any:
    try:
        import polars as pl
    except ImportError as error:
        raise UserError("polars is not installed: pip install 'sightline[polars]'") from error
    return pl.from_arrow(table)
