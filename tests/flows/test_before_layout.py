"""Files that the commit before the new layout wrote are read, continued, reused and compared.

tests/golden/before_layout/make.py says which commit that was and how its code made the files.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from mlflow.tracking import MlflowClient

from flows.cli.commands import main
from tasks import schema
from tasks.runs import open_run
from tasks.runs.stages import INTERVENTIONS

GOLDEN = Path(__file__).parents[1] / "golden/before_layout"
MADE = json.loads((GOLDEN / "made.json").read_text())
HERE = Path("/proc/self/cwd")  # with which the kept addresses begin
WORDS = {"message", "reason"}  # with numbers in them, or other libraries' words
PREDICTED = 30  # of 32 pictures, two of which are broken

pytestmark = pytest.mark.skipif(not HERE.exists(), reason="only Linux has /proc/self/cwd")


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the kept files, as they were when written, as the working folder."""
    folder = tmp_path / "kept"
    shutil.copytree(GOLDEN, folder, ignore=shutil.ignore_patterns("make.py", ".*", "__pycache__"))
    for packed in folder.rglob("*.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    for path in (folder / "data").rglob("*"):
        os.utime(path, (MADE["changed"], MADE["changed"]))
    monkeypatch.chdir(folder)
    return folder


def sightline(*arguments: str) -> str:
    """What the command prints."""
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def run_again(name: str, folder: Path, *more: str) -> Any:
    """What the command that made it prints today; of two equal options the later one counts."""
    store = f"sqlite:///{folder}/mlflow.db"  # MLflow remembers an open store by its address
    return json.loads(sightline(*MADE["commands"][name], "--mlflow", store, "--json", *more))


REWORDED = {"sentence", "note", "missing"}  # words, and how many figures they speak of


def content(file: Path) -> Any:
    return json.loads(file.read_text())


def names(run: Path, pattern: str = "part-*.parquet") -> list[str]:
    return sorted(str(path.relative_to(run)) for path in run.rglob(pattern))


def as_written(run: Path, files: list[str]) -> dict[str, tuple[int, bytes]]:
    """Files with the time they were written at."""
    return {name: ((run / name).stat().st_mtime_ns, (run / name).read_bytes()) for name in files}


def differences(found: Any, expected: Any, where: str, atol: float = 1e-5) -> Iterator[str]:
    """Where two values of JSON differ, by more than two processors differ in floats."""
    if isinstance(expected, dict) and isinstance(found, dict):
        if found.keys() != expected.keys():
            yield f"{where}: {sorted(found)}, not {sorted(expected)}"
        for key in sorted(found.keys() & expected.keys()):
            yield from differences(found[key], expected[key], f"{where}.{key}", atol)
    elif isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        for index, pair in enumerate(zip(found, expected, strict=True)):
            yield from differences(*pair, f"{where}[{index}]", atol)
    elif isinstance(expected, float) and isinstance(found, float):
        if found != pytest.approx(expected, rel=2e-3, abs=atol, nan_ok=True):
            yield f"{where}: {found}, not {expected}"
    elif found != expected:
        yield f"{where}: {found!r}, not {expected!r}"


def differing_rows(found: pa.Table, expected: pa.Table, where: str) -> Iterator[str]:
    """The same for tables, whose marks (specification and fingerprint) must be the same."""
    if not found.schema.equals(expected.schema, check_metadata=True):
        yield f"{where}: {found.schema.to_string()}, not {expected.schema.to_string()}"
        return
    for name in set(expected.column_names) - WORDS:
        atol = 2e-3 if "halffloat" in str(expected.schema.field(name).type) else 1e-5
        pair = found[name].to_pylist(), expected[name].to_pylist()
        yield from differences(*pair, f"{where} {name}", atol)


def is_remade(name: str) -> bool:
    """Has its content another version since: pasted pictures, and the flags by them?"""
    return name.startswith(("interventions", "votes", "flags", "donors"))


def is_new(name: str) -> bool:
    """Is it of a stage that there was not then?"""
    return name.startswith(("attended_background/", "picture_properties/", "pattern"))


def is_same_run(found: Path, expected: Path, more: tuple[str, ...] = ()) -> None:
    """The same identity, parts, marks and words, and numbers as near as other processors are;
    apart from what has another version since, and with the files `more`."""
    assert content(found / "run.json")["identity"] == content(expected / "run.json")["identity"]
    assert content(found / "run.json")["state"] == "finished"
    files = names(expected, "*.parquet")
    shards = names(expected / "interventions")
    found_files = {name for name in names(found, "*.parquet") if not is_new(name)}
    assert found_files - {"reuse.parquet"} == {*files, *more}
    files = [name for name in files if not is_remade(name)]
    assert len(files) >= 10
    tables = ((pq.read_table(found / name), pq.read_table(expected / name)) for name in files)
    different = (differing_rows(*pair, name) for name, pair in zip(files, tables, strict=True))
    assert [line for lines in different for line in lines] == []
    assert len(shards) == 2
    for name in shards:
        new, old = (pq.read_table(run / "interventions" / name) for run in (found, expected))
        removed = [column for column in old.column_names if "removed" in column]
        assert len(removed) == 4
        assert new["moved"].null_count == 0
        assert {len(row) for row in new["moved"].to_pylist()} == {2}
        for column in ("row_id", "reliance_removal", *removed):
            assert list(differences(new[column].to_pylist(), old[column].to_pylist(), column)) == []
    for name in ("donors.parquet", *names(expected, "votes/part-*.parquet")):  # of other marks
        new, old = (pq.read_table(run / name) for run in (found, expected))
        assert new.column_names == old.column_names
        for column in old.column_names:
            assert list(differences(new[column].to_pylist(), old[column].to_pylist(), column)) == []
    flags = pq.read_table(found / "flags.parquet")
    assert (
        flags["row_id"].to_pylist()
        == pq.read_table(expected / "flags.parquet")["row_id"].to_pylist()
    )
    assert set(flags["flag"].to_pylist()) >= {"rests_on_object", "undecided"}
    assert content(found / "summary.json")["rule"]["version"] == schema.FLAG_RULE


def test_what_is_kept_says_nothing_of_the_machine_that_made_it(kept: Path) -> None:
    texts = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    assert len(texts) > 100
    folders = (b"/tmp/", b"/home/", b"/root/")
    assert [path for path, text in texts.items() if any(it in text for it in folders)] == []


def test_a_finished_run_is_shown_with_its_figures(kept: Path) -> None:
    shown = json.loads(sightline("show", "run", "--json"))
    expected = content(kept / "run/summary.json")
    expected["evidence"]["class_gap"] = expected["evidence"].pop("gap")  # its name today
    assert expected["evidence"].pop("worst_group") is None
    expected["evidence"] |= {"flips_effect": None, "reliance_effect": None}
    expected["rule"]["version"] = 0  # it does not name one
    for later in ("figures", "same_columns", "cross_tables"):
        assert shown.pop(later) == {}
    assert shown.pop("worst_group") is None
    assert (shown.pop("class_groups"), shown.pop("by_class_group")) == (None, [])
    assert shown.pop("patterns") is None
    assert shown.pop("warnings") == []
    assert shown["cost"].pop("steps") == []
    assert shown == expected
    assert "30 predicted, 2 failed" in " ".join(sightline("show", "run").split())


def test_columns_that_there_were_not_then_are_null(kept: Path) -> None:
    part = open_run(kept / "run").part(INTERVENTIONS, 0)
    assert part is not None
    for name in ("moved", "object_removed_features"):
        assert part[name].null_count == len(part) > 0


def test_runs_are_listed_with_their_state(kept: Path) -> None:
    listed = json.loads(sightline("runs", ".", "--json"))
    states = {Path(entry["path"]).name: (entry["state"], entry["done"]) for entry in listed}
    assert states == {
        "run": ("finished", PREDICTED),
        "after": ("finished", PREDICTED),
        "unfinished": ("stopped", 19),  # and no process is writing it
    }


def test_two_runs_compare_as_they_did(kept: Path) -> None:
    printed = sightline("compare", f"{HERE}/after", f"{HERE}/run", "--json", "--out", "compared")
    found_moved, moved = json.loads(printed), content(kept / "expected/moved.json")
    assert found_moved.pop("patterns") is None
    assert list(differences(found_moved, moved, "moved")) == []
    paired, expected = (
        content(kept / "compared/compare.json"),
        content(kept / "expected/compare.json"),
    )
    found = {(figure["figure"], figure["name"]): figure for figure in paired.pop("figures")}
    assert len(expected["figures"]) == 9
    for figure in expected.pop("figures"):
        today = found.pop((figure["figure"], figure["name"]))
        for name in figure.keys() - REWORDED:
            assert list(differences(today[name], figure[name], name)) == [], figure["figure"]
    assert set(found) == {("exchange_gap", None)}  # was a figure of the gate alone
    for name in expected.keys() - REWORDED:
        assert list(differences(paired[name], expected[name], name)) == []
    assert "data:image/png;base64," in (kept / "compared/compare.html").read_text()


def test_a_run_is_removed_whole(kept: Path) -> None:
    sightline("remove", "run", "--yes")
    assert not (kept / "run").exists()


@pytest.mark.usefixtures("prefect_server")
def test_an_unfinished_run_continues_after_its_first_shard(kept: Path) -> None:
    parts = names(kept / "unfinished")
    before = as_written(kept / "unfinished", [name for name in parts if not is_remade(name)])
    assert len(before) >= 5
    identity = content(kept / "unfinished/run.json")["id"]
    run_again("unfinished", kept)
    assert as_written(kept / "unfinished", list(before)) == before
    assert content(kept / "unfinished/run.json")["id"] == identity
    remade = "failures/interventions/part-00000.parquet"  # of a part that was there
    is_same_run(kept / "unfinished", kept / "run", (remade,))


@pytest.mark.usefixtures("prefect_server")
def test_of_a_finished_run_pasted_pictures_alone_are_predicted_again(kept: Path) -> None:
    """Which have another version since; then nothing is left to compute."""
    parts = [name for name in names(kept / "run") if not is_remade(name)]
    before = as_written(kept / "run", parts)
    assert len(before) >= 10
    run_again("run", kept)
    assert as_written(kept / "run", list(before)) == before
    again = as_written(kept / "run", names(kept / "run"))
    run_again("run", kept)
    assert as_written(kept / "run", list(again)) == again
    assert "data:image/png;base64," in (kept / "run/report.html").read_text()


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("shard_size", ["20", pytest.param("7", marks=pytest.mark.full)])
def test_every_row_of_a_run_is_reused(kept: Path, shard_size: str) -> None:
    reusing = ("--out", f"{HERE}/new", "--reuse", f"{HERE}/run", "--shard-size", shard_size)
    summary = run_again("run", kept, *reusing)
    assert summary["images"] == content(kept / "run/summary.json")["images"]
    new, old = (pq.read_table(kept / run / "donors.parquet") for run in ("new", "run"))
    assert new.equals(old)
    for stage in {str(Path(name).parent) for name in names(kept / "run") if not is_remade(name)}:
        new, old = (pq.read_table(kept / run / stage) for run in ("new", "run"))
        assert new.to_pylist() == old.to_pylist(), stage  # copied to the last bit


@pytest.mark.full  # the next one checks the same of a model that comes from MLflow
@pytest.mark.usefixtures("prefect_server")
def test_a_fresh_audit_has_the_same_marks_and_rows(kept: Path) -> None:
    cost = run_again("run", kept, "--out", f"{HERE}/fresh")["cost"]
    assert (cost["reused"], cost["computed"]) == (0, PREDICTED)
    is_same_run(kept / "fresh", kept / "run")


@pytest.mark.usefixtures("prefect_server")
def test_a_model_that_was_logged_is_audited_by_its_version(kept: Path) -> None:
    logged = ("--model", "mlflow:models:/scenes/1", "--out", f"{HERE}/logged")
    summary = run_again("run", kept, *logged, "--mlflow", f"sqlite:///{kept}/mlflow/mlflow.db")
    assert summary["cost"]["computed"] == PREDICTED
    assert content(kept / "logged/run.json")["model_origin"]["address"] == "models:/scenes/1"
    is_same_run(kept / "logged", kept / "run")


@pytest.mark.usefixtures("prefect_server")
def test_a_killed_training_continues_after_its_first_epoch(kept: Path) -> None:
    (first,) = content(kept / "training/history.json")
    training = (kept / "training/training.json").read_bytes()
    (kept / "retrained").mkdir()
    (kept / "training").rename(kept / "retrained/training")
    run_again("training", kept)
    known, second = content(kept / "retrained/training/history.json")
    assert known == first  # with the time that it ended at
    assert (second["number"], second["step"]) == (2, 6)
    assert second["ended"] > first["ended"]
    undisturbed = content(kept / "expected/history.json")[1]["figures"]
    for name in ("train.loss", "train.cross_entropy", "train.background", "train.learning_rate"):
        assert second["figures"][name] == pytest.approx(undisturbed[name], rel=0.01), name
    assert (kept / "retrained/training/training.json").read_bytes() == training
    assert content(kept / "retrained/after/run.json")["state"] == "finished"
    points = losses_in_mlflow(kept, json.loads(training)["id"])
    assert points == [(1, first["figures"]["train.loss"]), (2, second["figures"]["train.loss"])]


def losses_in_mlflow(folder: Path, training: str) -> list[tuple[int, float]]:
    """Epochs and losses of the one MLflow run of a training."""
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("sightline").experiment_id
    (run,) = client.search_runs([experiment], f"tags.`sightline.training_id` = '{training}'")
    points = client.get_metric_history(run.info.run_id, "train.loss")
    return [(point.step, point.value) for point in points]
