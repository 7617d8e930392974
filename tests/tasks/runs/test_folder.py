"""Parts are complete or absent, and a run folder belongs to one identity."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.addresses import write_atomically
from models.classifier.preprocessing import Preprocessing
from models.errors import RunFolderError
from tasks.runs.folder import Mark, RunFolder, digest, is_finished, start_run, write_part
from tasks.runs.state import Identity, RunState, numeric_policy

ONE, TWO = Mark("s", "f1"), Mark("s", "f2")
TABLE = pa.table({"row_id": ["a", "b"]})


def start(path: Path, model: str = "m1", replace: bool = False) -> RunFolder:
    """A run of this model, new or continued."""
    identity = Identity(
        catalog="c",
        model=model,
        classes="n",
        preprocessing=Preprocessing(crop=(8, 8)),
        layer="last",
        target="prediction",
        foreground="none",
        polarity="foreground",
        orientation="upright",
        estimator=None,
        numeric=numeric_policy("contiguous"),
        shard_size=4,
    )
    state = RunState(settings={}, state="running", schema_version=1, identity=identity)
    run = RunFolder.at(path)
    start_run(run, state, replace=replace)
    return run


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


def test_the_same_identity_continues(tmp_path: Path) -> None:
    first = start(tmp_path / "run")
    (first.path / "kept").touch()
    start(tmp_path / "run")
    assert (first.path / "kept").exists()


def test_another_identity_is_refused_naming_the_fields(tmp_path: Path) -> None:
    start(tmp_path / "run")
    with pytest.raises(RunFolderError, match=r"model was 'm1', is 'm2'.*--replace") as caught:
        start(tmp_path / "run", "m2")
    assert "layer" not in str(caught.value)


def test_replacing_is_explicit(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    run.flags.touch()
    (run.path / "thesis").mkdir()
    start(tmp_path / "run", "m2", replace=True)
    assert not run.flags.exists()
    assert (run.path / "thesis").exists()  # not ours
    assert run.read_state().identity.model == "m2"


def test_replacing_continues_a_run_of_the_same_identity(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    (run.path / "kept").touch()
    start(tmp_path / "run", replace=True)
    assert (run.path / "kept").exists()


def test_a_file_is_not_a_run_folder(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(RunFolderError, match="is neither empty nor a run folder"):
        start(tmp_path / "run")


def test_a_folder_with_other_things_is_never_deleted(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    for replace in (False, True):
        with pytest.raises(RunFolderError, match="is neither empty nor a run folder"):
            start(tmp_path, replace=replace)
    assert (tmp_path / "thesis.tex").exists()


def test_reading_a_folder_that_is_not_a_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is not a run folder"):
        RunFolder(tmp_path).read_state()
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"run\.json is broken"):
        RunFolder(tmp_path).read_state()


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})


def test_a_run_json_of_another_program_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"scripts": 1}')
    (tmp_path / "thesis").mkdir()
    for replace in (False, True):
        with pytest.raises(RunFolderError, match=r"its run\.json is not Sightline's"):
            start(tmp_path, replace=replace)
    assert not RunFolder.at(tmp_path).holds_run()
    assert (tmp_path / "thesis").exists()


def test_a_run_whose_state_was_half_written_can_be_replaced(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    run.state.write_text("")
    assert run.holds_run()
    with pytest.raises(RunFolderError, match="--replace"):
        start(tmp_path / "run")
    start(tmp_path / "run", replace=True)
    assert run.read_state().identity.model == "m1"


def test_continuing_deletes_what_is_derived_from_the_parts(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    run.finish(run.report, "<html>")
    start(tmp_path / "run")
    assert not run.report.exists()
    assert run.read_state().state == "running"
