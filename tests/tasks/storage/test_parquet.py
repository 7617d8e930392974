"""Damage in a Parquet file of ours is always noticed; other programs read the files as before."""

from __future__ import annotations

import io
import random
from contextlib import suppress
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.addresses import as_path
from models.errors import DamagedFile
from tasks.storage.parquet import (
    is_intact,
    open_parquet,
    open_writer,
    read_footer,
    read_table,
    write_table,
)

TABLE = pa.table(
    {
        "row_id": [f"images/{number:05d}.png" for number in range(300)],
        "label": pa.array([("cat", "dog", None)[number % 3] for number in range(300)]),
        "score": np.linspace(0, 1, 300, dtype=np.float32),
    }
).replace_schema_metadata({b"sightline.fingerprint": b"f1"})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("parquet") / "part.parquet"
    write_table(as_path(path), TABLE, rows_per_group=100)
    return path.read_bytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("broken") / "part.parquet"


def flip(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def check_never_wrong(path: Path) -> None:
    """What is read is what was written, or the file is named as damaged."""
    try:
        assert read_table(as_path(path)).equals(TABLE, check_metadata=True)
    except DamagedFile as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
        assert not is_intact(as_path(path))


def test_a_flipped_bit_is_never_read_as_a_number(written: bytes, path: Path) -> None:
    """Nor is one of the footer, or of the headers of pages."""
    chosen = random.Random(0)
    for _ in range(600):
        path.write_bytes(flip(written, chosen.randrange(8 * len(written))))
        check_never_wrong(path)


def test_without_checksums_flipped_bits_are_read_as_numbers(path: Path) -> None:
    """What the checksums are for: Arrow alone notices few."""
    buffer = io.BytesIO()
    pq.write_table(TABLE, buffer, compression="zstd")
    chosen, wrong = random.Random(0), 0
    for _ in range(200):
        path.write_bytes(flip(buffer.getvalue(), chosen.randrange(8 * len(buffer.getvalue()))))
        with suppress(DamagedFile):
            wrong += not read_table(as_path(path)).equals(TABLE)
    assert wrong > 20


@given(kept=st.floats(0, 0.999))
def test_a_truncated_file_is_damaged(written: bytes, path: Path, kept: float) -> None:
    path.write_bytes(written[: int(len(written) * kept)])
    with pytest.raises(DamagedFile, match="run the command that wrote it again"):
        read_table(as_path(path))
    assert not is_intact(as_path(path))


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_are_damage(path: Path, content: bytes, framed: bool) -> None:
    path.write_bytes(b"PAR1" + content + b"PAR1" if framed else content)
    for read in (read_table, read_footer):
        with pytest.raises(DamagedFile):
            read(as_path(path))


@given(st.integers(0), st.binary(min_size=1, max_size=40))
def test_overwritten_bytes_are_never_read_as_numbers(
    written: bytes, path: Path, at: int, content: bytes
) -> None:
    at %= len(written)
    path.write_bytes((written[:at] + content + written[at + len(content) :])[: len(written)])
    check_never_wrong(path)


def test_other_programs_read_what_is_written(written: bytes, path: Path) -> None:
    path.write_bytes(written)
    assert pq.read_table(path, page_checksum_verification=True).equals(TABLE)
    assert pd.read_parquet(path)["score"].sum() == pytest.approx(150)
    found = duckdb.sql(f"select count(*), max(row_id) from '{path}' where label = 'cat'").fetchall()
    assert found == [(100, "images/00297.png")]


def test_a_table_is_written_in_pieces_or_not_at_all(path: Path) -> None:
    path.unlink(missing_ok=True)
    with pytest.raises(ZeroDivisionError), open_writer(as_path(path), TABLE.schema) as write:
        write(TABLE)
        raise ZeroDivisionError
    assert list(path.parent.iterdir()) == []
    with open_writer(as_path(path), TABLE.schema) as write:
        write(TABLE.slice(0, 10))
        write(TABLE.slice(10))
    assert read_table(as_path(path)).equals(TABLE)
    assert is_intact(as_path(path))


def test_files_without_checksums_are_read_and_found_intact(path: Path) -> None:
    pq.write_table(TABLE, path)
    assert read_table(as_path(path)).equals(TABLE)
    assert is_intact(as_path(path))


def test_a_file_in_remote_storage_is_read_and_checked(written: bytes) -> None:
    path = as_path("memory://parquet/part.parquet")
    write_table(path, TABLE, rows_per_group=100)
    assert path.read_bytes() == written
    assert read_table(path, ["label"]).equals(TABLE.select(["label"]))
    assert read_footer(path).num_row_groups == 3
    path.write_bytes(flip(written, 8 * (len(written) - 20)))
    with pytest.raises(DamagedFile, match="its footer differs"):
        read_table(path)
    assert not is_intact(path)


def test_a_table_of_something_else_is_damage_by_name_and_type(path: Path) -> None:
    write_table(as_path(path), TABLE)
    expected = pa.schema([("row_id", pa.string()), ("score", pa.string())])
    file = open_parquet(as_path(path), expected=expected)
    assert file.read(["row_id"]).num_rows == 300
    with pytest.raises(DamagedFile, match="column 'score' is of another type"):
        file.read()
    with pytest.raises(DamagedFile, match="it has no column 'share'"):
        file.read(["share"])
    with pytest.raises(DamagedFile, match="it lacks rows"):
        open_parquet(as_path(path)).read_row_group(1)


def test_a_missing_file_is_not_damaged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_table(as_path(tmp_path / "part.parquet"))
    assert not is_intact(as_path(tmp_path / "part.parquet"))


def test_a_column_that_an_older_version_lacks_is_null_where_it_may_be(path: Path) -> None:
    write_table(as_path(path), TABLE, rows_per_group=100)
    expected = pa.schema([("row_id", pa.string()), ("moved", pa.list_(pa.float32()))])
    for table in (
        read_table(as_path(path), expected=expected),
        read_table(as_path(path), ["moved", "row_id"], expected=expected),
        read_table(as_path(path), filters=pc.field("row_id").is_valid(), expected=expected),
        open_parquet(as_path(path), expected=expected).read_row_group(0, ["moved"]),
    ):
        assert table["moved"].null_count == len(table) > 0
    never_null = pa.schema([pa.field("moved", pa.string(), nullable=False)])
    with pytest.raises(DamagedFile, match="it has no column 'moved'"):
        read_table(as_path(path), expected=never_null)


@pytest.mark.parametrize("address", ["memory://parquet/none.parquet", "none.parquet"])
def test_a_file_that_is_not_there_is_not_called_damaged(address: str, tmp_path: Path) -> None:
    path = as_path(address if "://" in address else str(tmp_path / address))
    with pytest.raises(FileNotFoundError):
        open_parquet(path)
