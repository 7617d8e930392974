"""Parts are complete or absent, and run.json says what a folder is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.addresses import write_atomically
from models.errors import DamagedFile, RunFolderError
from tasks import schema
from tasks.runs.folder import Mark, RunFolder, digest, is_finished, write_part

ONE, TWO = Mark("s", "f1"), Mark("s", "f2")
TABLE = pa.table({"row_id": ["a", "b"]})


def test_a_part_is_finished_only_with_its_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "maps" / "part-00000.parquet"
    assert not is_finished(path, ONE)
    write_part(path, TABLE, ONE)
    assert is_finished(path, ONE)
    assert not is_finished(path, TWO)


def test_a_part_with_transient_failures_is_computed_again(tmp_path: Path) -> None:
    write_part(tmp_path / "part.parquet", TABLE, ONE, transient=1)
    assert not is_finished(tmp_path / "part.parquet", ONE)


@given(kept=st.floats(0, 0.999))
def test_a_truncated_part_is_never_finished(
    tmp_path_factory: pytest.TempPathFactory, kept: float
) -> None:
    path = tmp_path_factory.mktemp("parts") / "part.parquet"
    write_part(path, TABLE, ONE)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    assert not is_finished(path, ONE)


def test_a_broken_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), write_atomically(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_reading_a_folder_that_is_not_a_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is not a run folder"):
        RunFolder(tmp_path).read_state()
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"run\.json is damaged.*it is not JSON"):
        RunFolder(tmp_path).read_state()


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})


def test_a_folder_of_a_newer_version_is_refused_with_both_versions(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    run = RunFolder.at(shutil.copytree(finished_run.path, tmp_path / "run"))
    run.update_state(schema_version=schema.VERSION + 1, sightline="99.0")
    with pytest.raises(DamagedFile) as caught:
        run.read_state()
    newer = f"of version {schema.VERSION + 1} of the run folder, written by Sightline 99.0"
    assert newer in str(caught.value)
    assert str(caught.value).endswith(f"reads up to {schema.VERSION}: upgrade it")
