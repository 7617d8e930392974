"""CSV and Parquet: read back by pandas, pyarrow and DuckDB, they say what the run says."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.export.registry import NAMES
from tasks.query.columns import WORDS
from tasks.query.database import image_table
from tasks.query.filters import Filter
from tasks.runs.reader import Run
from tests.support.exports import FORMULAS
from tests.tasks.export.conftest import Export

FLAGGED = '{"conditions": [{"kind": "values", "column": "flag", "values": ["undecided"]}]}'


def test_parquet_is_the_table_of_images(export: Export, hostile_run: Run) -> None:
    file = export("parquet") / "images.parquet"
    table, expected = pq.read_table(file), image_table(hostile_run)
    assert table.column_names == expected.column_names
    assert table.to_pylist() == expected.to_pylist()
    assert duckdb.sql(f"SELECT count(*) FROM '{file}'").fetchall() == [(64,)]


def test_every_column_of_parquet_is_described(export: Export) -> None:
    schema = pq.read_schema(export("parquet") / "images.parquet")
    words = {field.name: field.metadata[b"description"].decode() for field in schema}
    assert words["score"] == WORDS["score"]
    assert words["texts"] == "from the table of the data"
    assert b"sightline.run" in schema.metadata


def test_csv_has_the_values_of_the_table(export: Export, hostile_run: Run) -> None:
    """Numbers to the last digit, truth values, missing ones, and lists as JSON."""
    read = pd.read_csv(export("csv") / "images.csv", dtype={"score": "float32"})
    expected = image_table(hostile_run)
    assert read["row_id"].tolist() == expected["row_id"].to_pylist()
    assert read["correct"].tolist() == expected["correct"].to_pylist()
    for found, score in zip(read["score"], expected["score"].to_pylist(), strict=True):
        assert found == score or (math.isnan(found) and score is None)


def test_no_cell_of_csv_is_a_formula_and_every_text_is_kept(
    export: Export, hostile_run: Run
) -> None:
    with (export("csv") / "images.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 64
    texts = image_table(hostile_run)["texts"].to_pylist()
    for row, text in zip(rows, texts, strict=True):
        assert row["texts"] == (f"'{text}" if text in FORMULAS else text or "")
    assert "'=SUM(A1)" in rows[0]
    for cell in (cell for row in rows for cell in row.values()):
        assert not cell.startswith(tuple("=+-@\t\r")) or float(cell) < 0


@pytest.mark.parametrize("name", NAMES)
def test_beside_every_export_its_columns_are_described(name: str, export: Export) -> None:
    about = json.loads((export(name) / "columns.json").read_text(encoding="utf-8"))
    assert {"name": "score", "kind": "number", "words": WORDS["score"], "own": True} in about[
        "columns"
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_chooses_the_images(name: str, export: Export, hostile_run: Run) -> None:
    flags = image_table(hostile_run)["flag"].to_pylist()
    folder = export(name, Filter.parse(FLAGGED))
    assert 0 < flags.count("undecided") < len(flags)
    assert _count(name, folder) == flags.count("undecided")


def _count(name: str, folder: Path) -> int:
    if name == "csv":
        return len(pd.read_csv(folder / "images.csv"))
    if name == "fiftyone":
        return len(json.loads((folder / "samples.json").read_text("utf-8"))["samples"])
    if name == "coco":
        return len(json.loads((folder / "annotations.json").read_text("utf-8"))["images"])
    table: pa.Table = pq.read_table(folder / "images.parquet")
    return len(table)
