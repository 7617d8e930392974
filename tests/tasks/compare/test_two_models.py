"""Two models on the same images: figures against loops."""

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
from tasks.compare.changed_images import SHOWN
from tasks.compare.figures import FigureQuery, FigureValue
from tasks.compare.paired_examples import examples_of_pair
from tasks.compare.two_models import SMALLEST_GROUP, compare_models
from tasks.compare.verdicts import judge_change
from tasks.intervals.bootstrap import change_of_means
from tasks.pictures import samples
from tasks.runs import open_run
from tasks.runs.contents import forget_interventions
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run
from tasks.schema import ENOUGH
from tests.support.audits import SHARD
from tests.support.recount import METHOD, image_values, join_runs, one_side

SIDES = ("before", "after")


@pytest.fixture(scope="module")
def runs(
    finished_run: RunFolder, other_run: RunFolder, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, Run]:
    """Two models, and groups of 16 images: by background alone."""
    folder = tmp_path_factory.mktemp("pair")
    before, after = copies((open_run(finished_run.path), open_run(other_run.path)), folder)
    for run in (before, after):
        index = run.catalog.column_names.index("group")
        rewrite(run, run.catalog.set_column(index, "group", run.catalog["background"]))
    return reopened(before), reopened(after)


def rewrite(run: Run, catalog: pa.Table) -> None:
    pq.write_table(catalog, run.folder.catalog, row_group_size=SHARD)


@pytest.fixture(scope="module")
def paired(runs: tuple[Run, Run]) -> schema.PairedSummary:
    return compare_models(*runs)


@pytest.fixture(scope="module")
def both(runs: tuple[Run, Run]) -> pd.DataFrame:
    return join_runs(*runs)


def figure(paired: schema.PairedSummary, name: str, of: str | None = None) -> schema.PairedFigure:
    return next(it for it in paired.figures if (it.figure, it.name) == (name, of))


def test_every_figure_is_there_once(paired: schema.PairedSummary) -> None:
    names = {it.figure for it in paired.figures}
    assert names == {*schema.figures_of_images()}
    assert paired.missing == ()
    assert (paired.images, paired.left_out) == (64, 0)
    for it in (*paired.figures, *paired.classes):
        assert it.low <= it.change <= it.high
        assert it.change == pytest.approx(it.after - it.before)


def test_figures_are_means_over_images_of_both(
    paired: schema.PairedSummary, both: pd.DataFrame, runs: tuple[Run, Run]
) -> None:
    recounted = [it for it in paired.figures if it.name in (None, METHOD)]
    means = [it for it in recounted if it.figure != "worst_group"]
    assert len(means) == len(schema.figures_of_images()) - 1
    for it in means:
        sides = [
            image_values(one_side(both, side), it.figure, run.summary().rule.threshold)
            for run, side in zip(runs, SIDES, strict=True)
        ]
        known = pd.concat(sides, axis=1).dropna()
        assert it.of == len(known) > 0, it.figure
        assert (it.before, it.after) == pytest.approx(tuple(known.mean()), abs=1e-6), it.figure


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
            if len(own) >= SMALLEST_GROUP:
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
    known = {
        (figure, name): count_known(both[both["label_after"] == name], figure)
        for figure in ("accuracy", "flips", "flagged")  # some are undecided
        for name in counts.index
    }
    least = min(known.values())
    monkeypatch.setattr(schema, "ENOUGH", least + 1)
    enough = {part for part, count in known.items() if count > least}
    assert {(it.figure, it.name) for it in compare_models(*runs).classes} == enough
    monkeypatch.setattr(schema, "ENOUGH", least)
    compared = compare_models(*runs)
    assert {(it.figure, it.name): it.of for it in compared.classes} == known
    assert compared.confidence == pytest.approx(1 - 0.05 / len(compared.classes))
    for it in compared.classes:
        own = both[both["label_after"] == it.name]
        pairs = known_pairs(own, it.figure)
        assert (it.before, it.after) == pytest.approx(tuple(pairs.mean()))
        change = change_of_means(pairs.to_numpy(float), compared.confidence)
        assert (it.low, it.high) == pytest.approx((change.low, change.high))


def known_pairs(rows: pd.DataFrame, figure: str) -> pd.DataFrame:
    """The values of the images that have one on both sides."""
    sides = [image_values(one_side(rows, side), figure) for side in SIDES]
    return pd.concat(sides, axis=1).dropna()


def count_known(rows: pd.DataFrame, figure: str) -> int:
    return len(known_pairs(rows, figure))


def test_groups_of_classes_with_enough_images_share_one_error(
    runs: tuple[Run, Run], both: pd.DataFrame, tmp_path: Path
) -> None:
    """Of the groups that the later audit was given; another number of them than of classes."""
    first, *others = sorted(both["label_after"].unique())
    group_of = {first: "small"} | dict.fromkeys(others, "large")
    before, after = copies(runs, tmp_path)
    after.folder.update_state(class_groups={"group_of": group_of})
    compared = compare_models(before, reopened(after))
    group = both["label_after"].map(group_of)
    assert (group == "small").sum() < ENOUGH <= (group == "large").sum()
    assert {(it.figure, it.name) for it in compared.class_groups} == {
        ("accuracy", "large"),
        ("flips", "large"),
        ("flagged", "large"),
    }
    assert compared.group_confidence == pytest.approx(1 - 0.05 / 3)
    for it in compared.class_groups:
        pairs = known_pairs(both[group == "large"], it.figure)
        assert it.of == len(pairs)
        assert (it.before, it.after) == pytest.approx(tuple(pairs.mean()))
        change = change_of_means(pairs.to_numpy(float), compared.group_confidence)
        assert (it.low, it.high) == pytest.approx((change.low, change.high))


def test_patterns_that_were_compared_are_not_compared_again(runs: tuple[Run, Run]) -> None:
    """Also where neither run confirmed one; these two looked for none."""
    assert compare_models(*runs).patterns is None
    assert compare_models(*runs, ()).patterns == ()


def test_no_declared_interval_ends_in_a_zero() -> None:
    """At one digit `better by +0.0 points (+0.0 to +0.1)` would say and take back."""
    value_n2 = np.stack([np.zeros(400), np.tile([0.0001, 0.0004], 200)], 1)
    change = change_of_means(value_n2)
    value = FigureValue(change.value, change.low, change.high, 400, 0.0, 0.00025, differ=400)
    judged = judge_change(FigureQuery("reliance_removal", change=True), value)
    assert judged.verdict != "unchanged"
    assert re.search(r"by \+0\.0[23]\d* points \(\+0\.02\d* to \+0\.03\d*\)", judged.sentence)


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
        column = part.column_names.index("correct")
        wrong = pa.array([False] * len(part))
        pq.write_table(part.set_column(column, "correct", wrong), path)
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
    column = catalog.column_names.index("image")
    nowhere = pa.array(["nowhere.png"] * len(catalog))
    rewrite(after, catalog.set_column(column, "image", nowhere))
    assert examples_of_pair(before, reopened(after), paired) == []


def test_no_picture_of_another_place_is_read(
    runs: tuple[Run, Run],
    paired: schema.PairedSummary,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run may be somebody else's: it names only local files and the buckets of its data."""
    before, after = copies(runs, tmp_path)
    foreign = ["memory://there/a.png", "http://127.0.0.1:9/a.png", "reference://a.png::http://x/y"]
    named = pa.array(foreign[number % 3] for number in range(len(after.catalog)))
    column = after.catalog.column_names.index("image")
    rewrite(after, after.catalog.set_column(column, "image", named))
    allowed = {"allow_addresses": ["http://127.0.0.1:9"]}  # which a hostile run may say as well
    settings = after.state.settings
    state = after.state.change(settings=settings | {"data": settings["data"] | allowed})
    after.folder.write_state(state)
    read: list[str] = []
    monkeypatch.setattr(samples, "read_bytes", read.append)
    assert examples_of_pair(before, reopened(after), paired) == []
    assert read == []


def test_without_interventions_the_reasons_are_told(runs: tuple[Run, Run], tmp_path: Path) -> None:
    before, after = copies(runs, tmp_path)
    for run in (before, after):
        forget_interventions(run.folder)
        flags = pq.read_table(run.folder.flags)
        column = flags.column_names.index("flag")
        undecided = pa.array(["undecided"] * len(flags)).dictionary_encode()
        pq.write_table(
            flags.set_column(column, "flag", undecided), run.folder.flags, row_group_size=SHARD
        )
    paired = compare_models(reopened(before), reopened(after))
    assert {it.figure for it in paired.figures} == {"accuracy", "worst_group", "lift"}
    reasons = {it.figure: it.reason for it in paired.missing}
    assert set(reasons) == {*schema.figures_of_images()} - {"accuracy", "worst_group", "lift"}
    assert reasons["flips"].startswith("no image was put on the background of another class in")
    assert reasons["flips"].endswith("--foreground estimate) and pictures of several classes")
    assert reasons["flagged"].startswith("no image is decided in both audits: the rule in")
    examples = examples_of_pair(before, after, paired)
    assert examples
    assert all(it.exchange is None for it in examples)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"false_alarm": 0.1}, f"grad_cam_pp at 0.1, version {schema.FLAG_RULE}"),
        ({"version": 0}, "grad_cam_pp at 0.05, version 0"),
    ],
)
def test_flags_of_different_rules_are_not_compared(
    runs: tuple[Run, Run], tmp_path: Path, change: dict[str, object], words: str
) -> None:
    before, after = copies(runs, tmp_path)
    summary = after.summary()
    rule = summary.rule.model_copy(update=change)
    text = summary.model_copy(update={"rule": rule}).model_dump_json()
    after.folder.summary.write_text(text)
    reasons = {it.figure: it.reason for it in compare_models(before, reopened(after)).missing}
    assert set(reasons) == {"flagged", "excess"}
    assert reasons["flagged"] == (
        "the two audits flag by different rules: grad_cam_pp at 0.05, version "
        f"{schema.FLAG_RULE}, and {words}"
    )


def test_images_of_other_bytes_are_left_out(runs: tuple[Run, Run], tmp_path: Path) -> None:
    before, after = copies(runs, tmp_path)
    path = after.folder.parts("predictions")[0]
    part = pq.read_table(path)
    content = ["other", *part["content_id"].to_pylist()[1:]]
    column = part.column_names.index("content_id")
    pq.write_table(part.set_column(column, "content_id", pa.array(content)), path)
    paired = compare_models(before, reopened(after))
    assert (paired.images, paired.left_out) == (63, 1)


@pytest.mark.parametrize(
    ("field", "value", "message"),
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
    runs: tuple[Run, Run], tmp_path: Path, field: str, value: object, message: str
) -> None:
    before, after = copies(runs, tmp_path)
    identity = after.state.identity.as_json() | {field: value}
    after.folder.update_state(identity=identity)
    with pytest.raises(NotComparable) as caught:
        compare_models(before, reopened(after))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "audit both models on the same data" in str(caught.value)


def test_other_values_of_the_pixels_are_no_other_geometry(
    runs: tuple[Run, Run], tmp_path: Path
) -> None:
    before, after = copies(runs, tmp_path)
    identity = after.state.identity.as_json()
    identity["preprocessing"]["mean"] = [0.4, 0.4, 0.4]
    after.folder.update_state(identity=identity)
    assert compare_models(before, reopened(after)).images == 64


def test_other_donors_are_refused(runs: tuple[Run, Run], tmp_path: Path) -> None:
    before, after = copies(runs, tmp_path)
    settings = json.loads(after.folder.state.read_text())["settings"]
    settings["interventions"]["others"] = 5
    after.folder.update_state(settings=settings)
    with pytest.raises(NotComparable, match=r'donors was .*"others": 2.*, is .*"others": 5'):
        compare_models(before, reopened(after))
    after.folder.donors.unlink()
    with pytest.raises(NotComparable, match=r"donor pool was [0-9a-f]{12}, is null"):
        compare_models(before, reopened(after))
