"""Tables in temporary files: the rows that were written, and nothing left behind."""

from __future__ import annotations

import re
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.storage import disk_tables
from tasks.storage.disk_tables import in_blocks, keep_on_disk, keep_sides_on_disk

SHARDS = [
    pa.table({"row_id": ["a", "b"], "label": pa.array(["cat", None]).dictionary_encode()}),
    pa.table({"row_id": ["c"], "label": pa.array(["dog"]).dictionary_encode()}),
    pa.table({"row_id": pa.array([], pa.string()), "label": pa.array([], pa.string())}),
    pa.table({"row_id": ["d", "e"], "label": pa.array(["owl", "cat"]).dictionary_encode()}),
]
SHARDS[2] = SHARDS[2].cast(SHARDS[0].schema)
ROWS = [row for shard in SHARDS for row in shard.to_pylist()]


@pytest.mark.parametrize("block", [1, 2, 100])
def test_rows_and_their_words_come_back(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block has words, and so numbers of words, of its own."""
    monkeypatch.setattr(disk_tables, "BLOCK", block)
    table = keep_on_disk(in_blocks(SHARDS))
    assert table.to_pylist() == ROWS
    assert table["label"].cast(pa.string()).to_pylist() == [row["label"] for row in ROWS]


def test_sides_stay_side_by_side() -> None:
    first, last = keep_sides_on_disk(
        (shard, shard.select(["row_id"]).rename_columns(["key"])) for shard in SHARDS
    )
    assert first["row_id"].to_pylist() == last["key"].to_pylist() == [it["row_id"] for it in ROWS]


def test_the_rows_are_neither_in_arrows_memory_nor_in_a_file_that_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = pa.total_allocated_bytes()
    table = keep_on_disk(pa.table({"value": range(100_000)}) for _ in range(10))
    assert pa.total_allocated_bytes() - before < 100_000
    assert table["value"].to_pylist()[-1] == 99_999
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def _small_files() -> Iterator[None]:
    """No file may grow beyond 100 kB, as on a disk that is nearly full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("_small_files")
@pytest.mark.parametrize("rows", [10_700, 100_000])  # the end of the few is in a buffer first
def test_a_full_temporary_folder_is_named(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    blocks = (pa.table({"value": range(start, start + 100)}) for start in range(0, rows, 100))
    with pytest.raises(OSError, match=re.escape(f"TMPDIR: '{tmp_path}'")):
        keep_on_disk(blocks)
    assert list(tmp_path.iterdir()) == []
