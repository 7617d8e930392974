"""What a run's tables and their columns mean, as data frames to read."""

from __future__ import annotations

from typing import Any

import pandas as pd

from flows.notebook.run_tables import ROWS, columns_of
from tasks.runs.reader import Run


class Description(pd.DataFrame):  # type: ignore[misc]
    """A data frame that is shown whole: by itself, pandas cuts sentences off."""

    def __repr__(self) -> str:
        with _uncut():
            return str(super().__repr__())

    def _repr_html_(self) -> str:
        with _uncut():
            return str(super()._repr_html_())


def table_list() -> Description:
    """The name of each table, and what a row of it is."""
    rows = [{"table": name, "one row is": row} for name, row in ROWS.items()]
    return Description(pd.DataFrame(rows).set_index("table"))


def column_list(run: Run, table: str) -> Description:
    """Name, kind and meaning of each column."""
    rows = [
        {"column": it.name, "kind": it.kind, "meaning": it.words} for it in columns_of(run, table)
    ]
    return Description(pd.DataFrame(rows).set_index("column"))


def _uncut() -> Any:
    return pd.option_context(
        *("display.max_colwidth", None, "display.max_rows", None, "display.width", None)
    )
