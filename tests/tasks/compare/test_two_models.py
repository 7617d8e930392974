"""Two models on the same images: figures against loops, intervals against a slow bootstrap."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import NotComparable
from tasks import schema
from tasks.compare.changed_images import SHOWN, examples_of_pair
from tasks.compare.figures import FigureQuery, FigureValue
from tasks.compare.two_models import LEAST, compare_models
from tasks.compare.verdicts import judge_change
from tasks.flags.background_score import threshold_of
from tasks.intervals.bootstrap import DRAWS, SEED, change_of_excess, change_of_means, fewest
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run, open_run
from tasks.schema import ENOUGH
from tests.support.duelists import SHARD, audited, retrained

SIDES = ("before", "after")


@pytest.fixture(scope="module")
def runs(
    finished_run: RunFolder,
    benchmark_folder: Path,
    bundle: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Run, Run]:
    """Two models, and groups of 16 images: by background alone."""
    folder = tmp_path_factory.mktemp("duel")
    before = shutil.copytree(finished_run.path, folder / "before")
    audited(folder / "after", benchmark_folder, retrained(bundle, folder / "model"))
    for run in (open_run(before), open_run(folder / "after")):
        place = run.catalog.column_names.index("group")
        rewrite(run, run.catalog.set_column(place, "group", run.catalog["background"]))
    return open_run(before), open_run(folder / "after")


def rewrite(run: Run, catalog: pa.Table) -> None:
    pq.write_table(catalog, run.folder.catalog, row_group_size=SHARD)


@pytest.fixture(scope="module")
def paired(runs: tuple[Run, Run]) -> schema.PairedSummary:
    return compare_models(*runs)


def rows_of_run(run: Run, method: str) -> pd.DataFrame:
    """All that a reader with pandas has of a run."""
    scores = run.table(method).to_pandas()[["row_id", "label", "prediction", "correct", "area"]]
    flags = pq.read_table(run.folder.flags).to_pandas()
    flags = flags[["row_id", "flag", "score", "null_score", "lift"]]
    told = pq.read_table(run.folder.path / "interventions").to_pandas()
    joined = scores.merge(flags, on="row_id").merge(told, on="row_id", how="left")
    return joined.astype({"label": str, "prediction": str, "flag": str})


@pytest.fixture(scope="module")
def both(runs: tuple[Run, Run]) -> pd.DataFrame:
    sides = [rows_of_run(run, "grad_cam_pp") for run in runs]
    return sides[0].merge(sides[1], on="row_id", suffixes=("_before", "_after"))


def figure(paired: schema.PairedSummary, name: str, of: str | None = None) -> schema.PairedFigure:
    return next(it for it in paired.figures if (it.figure, it.name) == (name, of))


def kept_label(row: pd.Series, side: str) -> float:
    """Share of other classes' backgrounds on which the label is predicted, by a loop."""
    told = zip(row[f"exchanged_predictions_{side}"], row[f"same_class_{side}"], strict=True)
    kept = [prediction == row["label_after"] for prediction, same in told if not same]
    return float(np.mean(kept))


def test_every_figure_is_there_once(paired: schema.PairedSummary) -> None:
    names = {it.figure for it in paired.figures}
    assert names == {*schema.figures_of_images()}
    assert paired.missing == ()
    assert (paired.images, paired.left_out) == (64, 0)
    for it in (*paired.figures, *paired.classes):
        assert it.low <= it.change <= it.high
        assert it.change == pytest.approx(it.after - it.before)


def test_figures_are_means_over_images_of_both(
    paired: schema.PairedSummary, both: pd.DataFrame
) -> None:
    changed = both.dropna(subset=["flips_before", "flips_after"])
    for side in ("before", "after"):
        told = {
            "accuracy": both[f"correct_{side}"].astype(bool).mean(),
            "flips": changed[f"flips_{side}"].mean(),
            "reliance_exchange": changed[f"reliance_exchange_{side}"].mean(),
            "reliance_removal": changed[f"reliance_removal_{side}"].mean(),
            "accuracy_exchanged": changed.apply(kept_label, axis=1, side=side).mean(),
        }
        for name, value in told.items():
            assert getattr(figure(paired, name), side) == pytest.approx(value, abs=1e-6), name
    decidable = both[both["area_after"].between(0.01, 0.95)].dropna(
        subset=["lift_before", "lift_after"]
    )
    lift = figure(paired, "lift", "grad_cam_pp")
    assert lift.of == len(decidable) > 0
    assert lift.after == pytest.approx(decidable["lift_after"].mean(), abs=1e-6)


def test_flags_and_their_excess_are_of_what_both_decide(
    paired: schema.PairedSummary, both: pd.DataFrame, runs: tuple[Run, Run]
) -> None:
    decided = both[(both["flag_before"] != "undecided") & (both["flag_after"] != "undecided")]
    flagged, excess = figure(paired, "flagged"), figure(paired, "excess")
    assert flagged.of == excess.of == len(decided) > 0
    for run, side in zip(runs, ("before", "after"), strict=True):
        threshold = run.summary().rule.threshold
        assert threshold is not None
        rate = (decided[f"flag_{side}"] == "rests_on_background").mean()
        null = sum(value > threshold for value in decided[f"null_score_{side}"]) / len(decided)
        assert getattr(flagged, side) == pytest.approx(rate)
        assert getattr(excess, side) == pytest.approx(rate - null)


def test_the_worst_group_is_looked_for_on_each_side(
    paired: schema.PairedSummary, both: pd.DataFrame, runs: tuple[Run, Run]
) -> None:
    groups = runs[1].catalog.to_pandas().set_index("row_id")
    assert "group" in groups
    found = figure(paired, "worst_group")
    for side in ("before", "after"):
        shares = {}
        for name in sorted(groups["group"].astype(str).unique()):
            own = both[both["row_id"].map(groups["group"].astype(str)) == name]
            if len(own) >= LEAST:
                shares[name] = own[f"correct_{side}"].astype(bool).mean()
        assert getattr(found, side) == pytest.approx(min(shares.values()))
    assert f"the lowest of {len(shares)} values of the column group" in found.note


def test_small_groups_are_never_the_worst(finished_run: RunFolder) -> None:
    run = open_run(finished_run.path)
    (missing,) = compare_models(run, run).missing
    assert (missing.figure, missing.reason) == (
        "worst_group",
        "no group has 10 images with a label",
    )


def test_without_a_column_of_groups_it_is_the_worst_class(
    runs: tuple[Run, Run], tmp_path: Path
) -> None:
    before, after = copies(runs, tmp_path)
    for run in (before, after):
        rewrite(run, run.catalog.drop_columns(["group"]))
    found = figure(compare_models(reopened(before), reopened(after)), "worst_group")
    assert "the lowest of 4 labels" in found.note


def test_classes_with_enough_images_share_one_error(
    runs: tuple[Run, Run],
    paired: schema.PairedSummary,
    both: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = both["label_after"].value_counts()
    assert counts.max() < ENOUGH
    assert paired.classes == ()
    monkeypatch.setattr(schema, "ENOUGH", int(counts.min()))
    told = compare_models(*runs)
    assert {it.name for it in told.classes} == set(counts.index)
    assert {it.figure for it in told.classes} == {"accuracy", "flips", "flagged"}
    assert told.confidence == pytest.approx(1 - 0.05 / len(told.classes))
    for it in told.classes:
        own = both[both["label_after"] == it.name]
        values = {
            "accuracy": [own[f"correct_{side}"].astype(float) for side in SIDES],
            "flips": [own[f"flips_{side}"] for side in SIDES],
            "flagged": [(own[f"flag_{side}"] == "rests_on_background") * 1.0 for side in SIDES],
        }[it.figure]
        assert (it.before, it.after) == pytest.approx([value.mean() for value in values])
        pair_n2 = np.stack([value.to_numpy(float) for value in values], 1)
        change = change_of_means(pair_n2, told.confidence)
        assert (it.low, it.high) == pytest.approx((change.low, change.high))


def random_pairs(images: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Right or wrong on each side, and groups."""
    random = np.random.default_rng(seed)
    right_n2 = (random.random((images, 2)) < [0.5, 0.7]).astype(float)
    return right_n2, random.integers(5, size=images)


def slow_draws(images: int) -> list[np.ndarray]:
    """The same draws, one after the other."""
    drawn = np.random.default_rng(SEED).integers(images, size=(DRAWS, images))
    return list(drawn)


def test_the_interval_of_a_mean_is_that_of_a_loop() -> None:
    right_n2, _ = random_pairs(90)
    changes = [right_n2[drawn, 1].mean() - right_n2[drawn, 0].mean() for drawn in slow_draws(90)]
    found = change_of_means(right_n2)
    assert (found.low, found.high) == pytest.approx(np.quantile(changes, [0.025, 0.975]))


def test_the_thresholds_are_found_again_in_each_draw() -> None:
    random = np.random.default_rng(0)
    null_n2 = random.random((120, 2))
    score_n2 = null_n2 + random.normal(0.1, 0.1, (120, 2))
    changes = []
    for drawn in slow_draws(120):
        excess = []
        for side in (0, 1):
            threshold = threshold_of(null_n2[drawn, side], 0.05)
            assert threshold is not None
            score, null = (values[drawn, side] > threshold for values in (score_n2, null_n2))
            excess.append(score.mean() - null.mean())
        changes.append(excess[1] - excess[0])
    value = float(np.mean(changes))
    found = change_of_excess(score_n2, null_n2, 0.05, value)
    assert (found.low, found.high) == pytest.approx(np.quantile(changes, [0.025, 0.975]))


def test_a_surer_interval_is_wider() -> None:
    right_n2, _ = random_pairs(90)
    usual, surer = change_of_means(right_n2), change_of_means(right_n2, 0.9999)
    assert surer.low < usual.low < usual.high < surer.high


@pytest.mark.parametrize(("confidence", "images"), [(0.95, 6), (0.99, 8), (0.9999, 15)])
def test_fewer_images_than_a_coin_needs_are_no_change(confidence: float, images: int) -> None:
    assert fewest(confidence) == images
    assert 2 * 0.5**images <= 1 - confidence < 2 * 0.5 ** (images - 1)


def test_no_declared_interval_ends_in_a_zero() -> None:
    """At one digit `better by +0.0 points (+0.0 to +0.1)` would say and take back."""
    value_n2 = np.stack([np.zeros(400), np.tile([0.0001, 0.0004], 200)], 1)
    change = change_of_means(value_n2)
    value = FigureValue(change.value, change.low, change.high, 400, 0.0, 0.00025, differ=400)
    told = judge_change(FigureQuery("reliance_removal", change=True), value)
    assert told.verdict != "unchanged"
    assert re.search(r"by \+0\.0[23]\d* points \(\+0\.02\d* to \+0\.03\d*\)", told.sentence)


def test_the_same_run_twice_shows_no_change(runs: tuple[Run, Run]) -> None:
    same = compare_models(runs[0], runs[0])
    assert {it.figure for it in same.figures} == {*schema.figures_of_images()}
    for it in (*same.figures, *same.classes):
        assert (it.change, it.differ) == (0, 0)
        assert (it.low, it.high) == (0, 0) or it.figure == "worst_group"
        assert it.verdict == "unchanged"
        assert "no change that these numbers can show" in it.sentence
    assert same.sentence == f"None of {len(same.figures)} figures shows a change."
    assert same.changed == ()
    assert set(same.turns.values()) == {0}
    assert same.predictions_changed.count == 0


def test_exchanged_sides_exchange_the_verdicts(
    runs: tuple[Run, Run], paired: schema.PairedSummary
) -> None:
    back = compare_models(runs[1], runs[0])
    opposite = {"worse": "better", "better": "worse", "unchanged": "unchanged"}
    for it in paired.figures:
        other = figure(back, it.figure, it.name)
        assert (other.before, other.after) == (it.after, it.before)
        assert (other.low, other.high) == pytest.approx((-it.high, -it.low))
        assert other.verdict == opposite[it.verdict]
    assert back.turns["fixed"] == paired.turns["broken"] > 0


def copies(runs: tuple[Run, Run], folder: Path) -> tuple[Run, Run]:
    before, after = (
        open_run(shutil.copytree(run.folder.path, folder / name))
        for run, name in zip(runs, ("before", "after"), strict=True)
    )
    return before, after


def reopened(run: Run) -> Run:
    return open_run(run.folder.path)


def test_a_model_without_its_knowledge_is_worse(runs: tuple[Run, Run], tmp_path: Path) -> None:
    """Every right prediction of the later run turned wrong, with certainty."""
    before, after = copies(runs, tmp_path)
    for path in after.folder.parts("predictions"):
        part = pq.read_table(path)
        place = part.column_names.index("correct")
        wrong = pa.array([False] * len(part))
        pq.write_table(part.set_column(place, "correct", wrong), path)
    paired = compare_models(before, reopened(after))
    first = paired.figures[0]
    assert (first.figure, first.verdict, first.after) == ("accuracy", "worse", 0.0)
    assert first.sentence.startswith("worse by −")
    assert paired.sentence.startswith("Worse: accuracy")
    assert first in paired.regressions
    verdicts = [it.verdict for it in paired.figures]
    assert verdicts == sorted(verdicts, key=["worse", "better", "unchanged"].index)
    assert paired.turns["broken"] == round(first.before * 64)
    assert paired.turns["fixed"] == 0
    assert paired.changed[0].turns[0] == "broken"


def test_changed_images_are_those_of_the_tables(
    paired: schema.PairedSummary, both: pd.DataFrame
) -> None:
    by_row = both.set_index("row_id")
    right = [both[f"correct_{side}"].astype(bool) for side in ("before", "after")]
    assert paired.turns["broken"] == int((right[0] & ~right[1]).sum())
    assert paired.turns["fixed"] == int((~right[0] & right[1]).sum())
    decided = (both["flag_before"] != "undecided") & (both["flag_after"] != "undecided")
    flag = [both[f"flag_{side}"] == "rests_on_background" for side in ("before", "after")]
    assert paired.turns["newly_flagged"] == int((decided & ~flag[0] & flag[1]).sum())
    assert 0 < len(paired.changed) <= SHOWN
    for image in paired.changed:
        row = by_row.loc[image.row_id]
        assert (image.before.prediction, image.after.prediction) == (
            row["prediction_before"],
            row["prediction_after"],
        )
        assert ("broken" in image.turns) == (image.before.correct and not image.after.correct)
    worse = [bool({"broken", "newly_flagged"} & set(image.turns)) for image in paired.changed]
    assert worse == sorted(worse, reverse=True)


def test_examples_hold_both_maps_and_one_background(
    runs: tuple[Run, Run], paired: schema.PairedSummary
) -> None:
    examples = examples_of_pair(*runs, paired)
    assert [it.image for it in examples] == list(paired.changed)
    donors = {row["row_id"]: row for run in runs[:1] for row in changes(run)}
    for it in examples:
        assert it.map_before_HW is not None
        assert it.map_after_HW is not None
        assert it.mask_HW is not None
        assert it.picture_HW3.shape[:2] == it.map_before_HW.shape == it.map_after_HW.shape
        assert it.exchange is not None
        row = donors[it.image.row_id]
        slot = row["donors"].index(it.exchange.donor)
        assert it.exchange.before == row["exchanged_predictions"][slot]
        inside = it.mask_HW
        apart = abs(it.exchange.picture_HW3[inside].astype(int) - it.picture_HW3[inside])
        assert apart.max() <= 1
        assert (it.exchange.picture_HW3 != it.picture_HW3).any()


def changes(run: Run) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(run.folder.path / "interventions").to_pylist()
    return rows


def test_a_picture_that_is_away_is_left_out(
    runs: tuple[Run, Run], paired: schema.PairedSummary, tmp_path: Path
) -> None:
    before, after = copies(runs, tmp_path)
    catalog = after.catalog
    place = catalog.column_names.index("image")
    nowhere = pa.array(["nowhere.png"] * len(catalog))
    rewrite(after, catalog.set_column(place, "image", nowhere))
    assert examples_of_pair(before, reopened(after), paired) == []


def test_without_interventions_the_reasons_are_told(runs: tuple[Run, Run], tmp_path: Path) -> None:
    before, after = copies(runs, tmp_path)
    for run in (before, after):
        run.folder.forget_interventions()
        flags = pq.read_table(run.folder.flags)
        place = flags.column_names.index("flag")
        undecided = pa.array(["undecided"] * len(flags)).dictionary_encode()
        pq.write_table(
            flags.set_column(place, "flag", undecided), run.folder.flags, row_group_size=SHARD
        )
    paired = compare_models(reopened(before), reopened(after))
    assert {it.figure for it in paired.figures} == {"accuracy", "worst_group", "lift"}
    reasons = {it.figure: it.reason for it in paired.missing}
    assert set(reasons) == {*schema.figures_of_images()} - {"accuracy", "worst_group", "lift"}
    assert reasons["flips"] == "no image was put on other backgrounds in both audits"
    assert reasons["flagged"] == "no image is decided in both audits"
    examples = examples_of_pair(before, after, paired)
    assert examples
    assert all(it.exchange is None for it in examples)


def test_flags_of_different_rules_are_not_compared(runs: tuple[Run, Run], tmp_path: Path) -> None:
    before, after = copies(runs, tmp_path)
    summary = after.summary()
    rule = summary.rule.model_copy(update={"false_alarm": 0.1})
    told = summary.model_copy(update={"rule": rule}).model_dump_json()
    after.folder.summary.write_text(told)
    reasons = {it.figure: it.reason for it in compare_models(before, reopened(after)).missing}
    assert set(reasons) == {"flagged", "excess"}
    assert "grad_cam_pp at 0.05, and grad_cam_pp at 0.1" in reasons["flagged"]


def test_images_of_other_bytes_are_left_out(runs: tuple[Run, Run], tmp_path: Path) -> None:
    before, after = copies(runs, tmp_path)
    path = after.folder.parts("predictions")[0]
    part = pq.read_table(path)
    content = ["other", *part["content_id"].to_pylist()[1:]]
    place = part.column_names.index("content_id")
    pq.write_table(part.set_column(place, "content_id", pa.array(content)), path)
    paired = compare_models(before, reopened(after))
    assert (paired.images, paired.left_out) == (63, 1)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("catalog", "f" * 32, "is ffffffffffff"),
        ("classes", "e" * 32, "is eeeeeeeeeeee"),
        ("foreground", "box", "foreground was annotated, is box"),
        ("polarity", "background", "polarity was foreground, is background"),
        ("target", "label", "target was prediction, is label"),
        ("preprocessing", {"resize": 99, "crop": [64, 64]}, "resize was null, is 99"),
    ],
)
def test_runs_of_other_questions_are_refused(
    runs: tuple[Run, Run], tmp_path: Path, field: str, value: object, told: str
) -> None:
    before, after = copies(runs, tmp_path)
    identity = after.state["identity"] | {field: value}
    after.folder.update_state(identity=identity)
    with pytest.raises(NotComparable) as caught:
        compare_models(before, reopened(after))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "audit both models on the same data" in str(caught.value)


def test_other_values_of_the_pixels_are_no_other_geometry(
    runs: tuple[Run, Run], tmp_path: Path
) -> None:
    before, after = copies(runs, tmp_path)
    preprocessing = after.state["identity"]["preprocessing"] | {"mean": [0.4, 0.4, 0.4]}
    after.folder.update_state(identity=after.state["identity"] | {"preprocessing": preprocessing})
    assert compare_models(before, reopened(after)).images == 64


def test_other_donors_are_refused(runs: tuple[Run, Run], tmp_path: Path) -> None:
    before, after = copies(runs, tmp_path)
    settings = json.loads(after.folder.state.read_text())["settings"]
    settings["interventions"]["others"] = 5
    after.folder.update_state(settings=settings)
    with pytest.raises(NotComparable, match=r'donors was .*"others": 3.*, is .*"others": 5'):
        compare_models(before, reopened(after))
    after.folder.donors.unlink()
    with pytest.raises(NotComparable, match=r"donor pool was [0-9a-f]{12}, is null"):
        compare_models(before, reopened(after))
