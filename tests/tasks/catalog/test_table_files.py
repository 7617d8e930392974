"""What a table's file holds reaches the catalog as it was written, whatever its types."""

from __future__ import annotations

import csv
import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from models.addresses import as_path
from models.errors import UserError
from tasks.catalog.catalog import make_catalog
from tasks.catalog.formats import list_images
from tasks.catalog.listing import Columns
from tasks.catalog.settings import DataSettings
from tasks.catalog.table_files import MOST_COLUMNS, read_table_file
from tasks.runs.reader import join
from tasks.storage.parquet import open_parquet

AS_WRITTEN = (
    "12345678901234567890",
    "1.10",
    "007",
    "1e5",
    "True",
    "",
    "1",
    "-0",
    "+1",
    " 1",
    "nan",
)
NUMBERS = st.one_of(st.integers().map(str), st.floats().map(repr), st.sampled_from(AS_WRITTEN))


def write_csv(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.mark.parametrize("others", [(), ("1",), ("1.5",), ("word",)])
@pytest.mark.parametrize("text", AS_WRITTEN)
def test_a_key_and_a_further_column_stay_as_they_are_written(
    tmp_path: Path, text: str, others: tuple[str, ...]
) -> None:
    values = [text or "key", *others]
    rows = [[f"{n}.jpg", value, text] for n, value in enumerate(values)]
    listing = list_images(
        write_csv(tmp_path / "t.csv", ["file_name", "row_id", "more"], rows), Columns()
    )
    assert listing.key.to_pylist() == values
    kept = ["" if value is None else str(value) for value in listing.extra["more"].to_pylist()]
    assert kept == [text] * len(values)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NUMBERS, min_size=1, max_size=4))
def test_a_column_reads_back_as_it_was_written(tmp_path: Path, texts: list[str]) -> None:
    path = write_csv(tmp_path / "t.csv", ["file_name", "more"], [["a.jpg", text] for text in texts])
    read = read_table_file(as_path(path))["more"].to_pylist()
    assert ["" if value is None else str(value) for value in read] == texts


def test_keys_that_differ_only_beyond_fifteen_digits_stay_apart(tmp_path: Path) -> None:
    keys = ["12345678901234567890", "12345678901234567891", "1.10", "1.1"]
    rows = [[f"{key}.jpg", key] for key in keys]
    table = write_csv(tmp_path / "t.csv", ["file_name", "row_id"], rows)
    assert list_images(table, Columns()).key.to_pylist() == keys


def test_numbers_that_have_lost_digits_are_no_keys(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"file_name": "a.jpg", "row_id": 12345678901234567890}\n')
    with pytest.raises(UserError, match="only 15 digits are kept: write keys as text, in quotes"):
        list_images(tmp_path / "t.jsonl", Columns())


KINDS: dict[str, Any] = {
    "category": pa.array(["x", "y", "x"]).dictionary_encode(),
    "category of numbers": pa.array([1, 2, 1]).dictionary_encode(),
    "string view": pa.array(["x", "y", "x"], pa.string_view()),
    "binary view": pa.array([b"x", b"y", b"x"], pa.binary_view()),
    "large string": pa.array(["x", "y", "x"], pa.large_string()),
    "bytes": pa.array([b"\xff"] * 3),
    "half": pa.array(np.array([1, 2, 3], np.float16)),
    "decimal": pa.array([Decimal("1.10")] * 3),
    "date": pa.array([date(2020, 1, 1)] * 3),
    "time": pa.array([time(1)] * 3),
    "moment": pa.array([datetime(2020, 1, 1)] * 3, pa.timestamp("ns", "Europe/Berlin")),
    "duration": pa.array([timedelta(1)] * 3),
    "list": pa.array([[1], [2], None]),
    "fixed list": pa.array([[1, 2]] * 3, pa.list_(pa.int64(), 2)),
    "list view": pa.array([["x"], ["y"], []], pa.list_view(pa.string())),
    "list of views": pa.array([["x"], ["y"], []], pa.list_(pa.string_view())),
    "list of categories": pa.array(
        [["x"], ["y"], []], pa.list_(pa.dictionary(pa.int32(), pa.string()))
    ),
    "struct of views": pa.array([{"a": "x"}] * 3, pa.struct([("a", pa.string_view())])),
    "map": pa.array([[("k", 1)]] * 3, pa.map_(pa.string(), pa.int64())),
    "nothing": pa.nulls(3),
    "tensor": pa.FixedShapeTensorArray.from_numpy_ndarray(np.ones((3, 2, 2), np.float32)),
    "unsigned": pa.array([2**64 - 1] * 3, pa.uint64()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_further_column_of_any_type_goes_through_the_catalog(tmp_path: Path, kind: str) -> None:
    table = pa.table({"file_name": ["a.png", "b.png", "c.png"], "more": KINDS[kind]})
    pq.write_table(table, tmp_path / "t.parquet")
    catalog = make_catalog(DataSettings(path=str(tmp_path / "t.parquet"), sample=2), ("cat", "owl"))
    pq.write_table(catalog, tmp_path / "catalog.parquet", row_group_size=1)
    rows = open_parquet(as_path(tmp_path / "catalog.parquet")).read_row_group(0)
    joined = join(pa.table({"row_id": rows["row_id"]}), rows.select(["row_id", "more"]))
    by_name = dict(zip(table["file_name"].to_pylist(), table["more"].to_pylist(), strict=True))
    value = by_name[rows["row_id"][0].as_py()]
    np.testing.assert_equal(joined["more"].to_pylist()[0], value)
    if kind in ("category", "string view"):
        assert pc.count_distinct(catalog["more"]).as_py() in (1, 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("column", ["file_name", "label", "row_id", "mask", "split"])
def test_a_column_with_a_meaning_of_any_type_is_taken_or_refused(
    tmp_path: Path, column: str, kind: str
) -> None:
    for name in "abc":
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    columns = {"file_name": pa.array(["a.png", "b.png", "c.png"]), column: KINDS[kind]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    split = "x" if column == "split" else None
    data = DataSettings(path=str(tmp_path / "t.parquet"), split=split)
    try:
        make_catalog(data, ("x", "y"))
    except UserError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_a_table_of_too_many_columns_is_refused(tmp_path: Path, suffix: str) -> None:
    names = ["file_name", *(f"column_{n}" for n in range(MOST_COLUMNS))]
    path = tmp_path / f"t.{suffix}"
    if suffix == "csv":
        write_csv(path, names, [names])
    elif suffix == "jsonl":
        path.write_text(json.dumps(dict.fromkeys(names, "a.jpg")) + "\n")
    else:
        pq.write_table(pa.table({name: ["a.jpg"] for name in names}), path)
    with pytest.raises(UserError, match=r"has 1,001 columns: at most 1,000 are allowed"):
        read_table_file(as_path(path))


def test_a_hundred_thousand_columns_are_refused_by_the_first_line(tmp_path: Path) -> None:
    names = [f"c{n}" for n in range(100_000)]
    path = write_csv(tmp_path / "t.csv", names, [["1"] * len(names)] * 3)
    with pytest.raises(UserError, match=r"has 100,000 columns: at most 1,000"):
        read_table_file(as_path(path))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", b"\xff\xfea\x00", "is not UTF-8 text: save it as CSV in UTF-8"),
        ("t.csv", b"a" * (1 << 21), "has a first line of over 1 MiB"),
        ("t.jsonl", b"", "is empty: write it again"),
        ("t.jsonl", b'{"a": 1}\n{"a', "is not JSONL at line 2: write one JSON object per line"),
        ("t.jsonl", b"[1]\n", "is not JSONL at line 1"),
        ("t.jsonl", b'{"a": 1}\n{"a": "b"}\n', "has values of several types in one column"),
        ("t.parquet", b"PAR1PAR1", "is not a Parquet file, or only a part of one"),
    ],
)
def test_a_damaged_file_is_told_in_plain_words(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        read_table_file(as_path(tmp_path / name))
