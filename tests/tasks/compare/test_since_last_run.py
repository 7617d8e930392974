"""What moved between two nights equals what a reader would count with pandas."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from models.classifier.settings import ModelSettings
from tasks import schema
from tasks.attribution.settings import AttributionSettings
from tasks.catalog.settings import DataSettings
from tasks.compare.since_last_run import SharedImages, compare_runs
from tasks.flags.settings import FlagSettings
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.schema import ENOUGH
from tasks.storage import disk_tables
from tasks.summary.summarise import summarise
from tasks.tracking.metrics import metrics_of
from tests.support.audits import BENCHMARK, run_audit
from tests.support.recount import METHOD, count_crossing, join_runs

LOST, NEW, TOUCHED = 3, 5, 2


def audit(folder: Path, data: Path, model: Path, shard_size: int = 24) -> RunFolder:
    """A finished run of a labelled table."""
    run = run_audit(
        folder,
        DataSettings(path=str(data)),
        ModelSettings(address=str(model)),
        AttributionSettings(methods=(METHOD,), shard_size=shard_size),
    )
    run.finish(run.report, "<html></html>")
    return run


@pytest.fixture(scope="module")
def nights(
    benchmark_folder: Path,
    bundle: Path,
    other_bundle: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[RunFolder, RunFolder]:
    """Two runs in which images are lost, new and changed, the model is another, so are shards."""
    folder = tmp_path_factory.mktemp("nights")
    data = shutil.copytree(benchmark_folder, folder / "data")
    table = pd.read_csv(data / "metadata.csv")
    table = table[table["split"] == "test"].reset_index(drop=True)
    table.iloc[:-NEW].to_parquet(data / "night-1.parquet")
    before = audit(folder / "series/1", data / "night-1.parquet", bundle)
    pictures = [data / name for name in table["file_name"]]
    for index in range(TOUCHED):
        shutil.copy(pictures[20 + index], pictures[10 + index])
    table.iloc[LOST:].sample(frac=1, random_state=0).to_parquet(data / "night-2.parquet")
    return before, audit(folder / "series/2", data / "night-2.parquet", other_bundle, shard_size=17)


@pytest.fixture(scope="module")
def moved(nights: tuple[RunFolder, RunFolder]) -> schema.Comparison:
    before, now = (open_run(run.path) for run in nights)
    return compare_runs(now, now.summary(), before)


@pytest.fixture(scope="module")
def both(nights: tuple[RunFolder, RunFolder]) -> pd.DataFrame:
    """The rows of both nights side by side, those with the same bytes."""
    before, now = (open_run(run.path) for run in nights)
    return join_runs(before, now)


def test_images_are_counted(moved: schema.Comparison, both: pd.DataFrame) -> None:
    assert (moved.added, moved.removed, moved.changed) == (NEW, LOST, TOUCHED)
    assert moved.same == len(both) == 64 - NEW - LOST - TOUCHED
    other = (both["prediction_before"] != both["prediction_after"]).sum()
    assert 0 < other < len(both)
    assert moved.predictions_changed == schema.wilson(int(other), len(both))


@pytest.mark.parametrize("block", [1, 1 << 16])
def test_shared_images_are_matched_by_key_whatever_the_shards(
    nights: tuple[RunFolder, RunFolder],
    both: pd.DataFrame,
    block: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(disk_tables, "BLOCK", block)
    before, now = (open_run(run.path) for run in nights)
    shared = SharedImages.of(before, now)
    right = both["correct_before"].astype(bool), both["correct_after"].astype(bool)
    assert shared.correct == count_crossing(*right)
    decided = both[(both["flag_before"] != "undecided") & (both["flag_after"] != "undecided")]
    flagged = [decided[f"flag_{night}"] == "rests_on_background" for night in ("before", "after")]
    assert shared.flagged == count_crossing(*flagged)
    assert shared.lift.count == len(decided)
    assert shared.lift.value == pytest.approx(decided["lift_before"].cov(decided["lift_after"]))
    for name in BENCHMARK.classes:
        own = (decided["prediction_before"] == name) & (decided["prediction_after"] == name)
        assert shared.by_class[name] == count_crossing(*(side[own] for side in flagged))


def test_figures_are_those_of_the_summaries(
    moved: schema.Comparison, nights: tuple[RunFolder, RunFolder]
) -> None:
    first, last = (open_run(run.path).summary() for run in nights)
    figures = {move.figure: move for move in moved.figures}
    assert set(figures) == {"accuracy", "flagged", "excess", "undecided", "mean_lift"}
    assert (figures["accuracy"].before, figures["accuracy"].now) == (
        first.accuracy.value,
        last.accuracy.value,
    )
    assert figures["flagged"].of_before == first.flagged.of
    assert figures["mean_lift"].now == last.methods[0].mean_lift
    for move in (*moved.figures, *moved.classes):
        assert move.low <= move.change <= move.high
        assert move.change == pytest.approx(move.now - move.before)
        assert move.moved == (move.low > 0 or move.high < 0)
        assert move.sentence.startswith("moved by" if move.moved else "no change that these")


def test_classes_with_enough_images_share_one_error(
    moved: schema.Comparison, nights: tuple[RunFolder, RunFolder]
) -> None:
    first, last = (open_run(run.path).summary() for run in nights)
    counts = [
        {row.name: row.flagged.of for row in summary.by_prediction} for summary in (first, last)
    ]
    enough = {name for name in counts[0] if min(side.get(name, 0) for side in counts) >= ENOUGH}
    assert {move.name for move in moved.classes} == enough
    assert moved.confidence == pytest.approx(1 - 0.05 / max(1, len(enough)))


def test_what_else_differs_is_said(moved: schema.Comparison) -> None:
    fields = [difference.field for difference in moved.differs]
    assert fields == ["model", "data", "donor pool"]
    assert moved.differs[1].before.endswith("night-1.parquet")


def test_a_night_like_the_last_shows_no_change(nights: tuple[RunFolder, RunFolder]) -> None:
    now = open_run(nights[1].path)
    moved = compare_runs(now, now.summary(), now)
    assert moved.differs == ()
    assert (moved.added, moved.removed, moved.changed) == (0, 0, 0)
    assert moved.predictions_changed.count == 0
    for move in (*moved.figures, *moved.classes):
        assert (move.change, move.moved) == (0, False)
        assert move.sentence.startswith("no change that these numbers can show (")
    lift = moved.figures[-1]
    (method,) = now.summary().methods
    assert method.mean_lift is not None
    assert method.mean_lift_low is not None
    alone = method.mean_lift - method.mean_lift_low  # half of the interval of one night's lift
    assert lift.figure == "mean_lift"
    assert 0 <= lift.high < alone  # narrower than of other images, by sqrt(2): decided ones pair
    assert lift.low == pytest.approx(-lift.high)


def test_the_same_model_at_another_address_is_no_difference(
    nights: tuple[RunFolder, RunFolder], tmp_path: Path
) -> None:
    moved = RunFolder.at(shutil.copytree(nights[1].path, tmp_path / "moved"))
    moved.update_state(model_origin={"address": "mlflow:models:/net/1"})
    now = open_run(moved.path)
    assert compare_runs(now, now.summary(), open_run(nights[1].path)).differs == ()


def test_a_run_that_reuses_another_is_compared_with_it(
    nights: tuple[RunFolder, RunFolder], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before, now = (
        RunFolder.at(shutil.copytree(run.path, tmp_path / run.path.name)) for run in nights
    )
    now.update_state(reuse=str(before.path))
    cost = open_run(now.path).summary().cost
    moved = summarise(now, FlagSettings(), cost).moved
    assert moved is not None
    assert moved.before == str(before.path)
    assert open_run(now.path).summary().moved == moved
    metrics = metrics_of(open_run(now.path).summary())
    flagged = next(move for move in moved.figures if move.figure == "flagged")
    assert metrics["moved.flagged"] == flagged.change
    assert metrics["moved.flagged_low"] <= flagged.change <= metrics["moved.flagged_high"]
    assert metrics["moved.predictions"] == moved.predictions_changed.value
    before.summary.unlink()
    assert summarise(now, FlagSettings(), cost).moved is None
    assert "not compared with the previous run" in caplog.text
