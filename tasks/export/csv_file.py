"""The table of images as CSV (RFC 4180), which a spreadsheet can open without running anything.

Spreadsheets take text that begins like a formula for one, also between quotes. So an apostrophe is
put before it, as they do themselves for text; the Parquet file has every text as it is.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from tasks.export.formats import ExportRequest, Format, Progress

FILE = "images.csv"
FORMULA = r"^[=+\-@\t\r]"  # how a text begins that a spreadsheet may run


def write(request: ExportRequest, folder: Path, progress: Progress) -> list[str]:
    """images.csv: an empty cell is a missing value, a list is JSON."""
    done = escaped = 0
    names = [_escape_name(name) for name in request.selection.schema.names]
    header = pa.table({name: pa.array([], pa.string()) for name in names})
    with (folder / FILE).open("wb") as file:
        csv.write_csv(header, file)
        for shard in request.selection.shards():
            table, changed = _escape(_as_cells(shard.table))
            csv.write_csv(table, file, csv.WriteOptions(include_header=False))
            done, escaped = done + len(table), escaped + changed
            progress(done, request.selection.total)
    if not escaped:
        return []
    return [
        f"cells that begin like a formula: {escaped}; an apostrophe stands before them, so that no "
        "spreadsheet runs them, and --to parquet keeps them as they are"
    ]


def how_to_open(folder: Path) -> str:
    return f"pandas.read_csv({str(folder / FILE)!r})"


def _as_cells(table: pa.Table) -> pa.Table:
    """Lists as JSON, for which CSV has no form."""
    for index, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            cells = [
                None if value is None else json.dumps(value, ensure_ascii=False)
                for value in table[field.name].to_pylist()
            ]
            table = table.set_column(index, field.name, pa.array(cells, pa.string()))
    return table


def _escape(table: pa.Table) -> tuple[pa.Table, int]:
    """With an apostrophe before what looks like a formula; and how many there are."""
    changed = 0
    for index, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            column = table[field.name]
            found = pc.fill_null(pc.match_substring_regex(column, FORMULA), False)
            changed += pc.sum(found).as_py() or 0
            marked = pc.binary_join_element_wise("'", column, "")
            table = table.set_column(index, field.name, pc.if_else(found, marked, column))
    return table, changed


def _escape_name(name: str) -> str:
    return f"'{name}" if pc.match_substring_regex(pa.scalar(name), FORMULA).as_py() else name


FORMAT = Format("csv", write, how_to_open)
