"""The figures of scenarios: those of the audit where all images are chosen, and of any others what
pandas counts over the same rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.compare.figures import FigureQuery, FigureValue, compute_figure
from tasks.compare.paired_images import read_alone
from tasks.compare.two_models import compare_models
from tasks.query.filters import Filter, HasValue, InRange, IsRow
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run
from tasks.scenarios.figures import (
    FIGURES_OF_SCENARIOS,
    AuditedImages,
    FilteredFigures,
    ScenarioFigure,
)
from tasks.scenarios.saved import Scenario
from tasks.schema import ENOUGH, FIGURES, Interval, MissingFigure, Rate, wilson
from tests.support.recount import image_values, join_runs, one_side, read_rows

MANY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def run(other_run: RunFolder) -> Run:
    return open_run(other_run.path)


@pytest.fixture(scope="module")
def before(finished_run: RunFolder) -> Run:
    return open_run(finished_run.path)


@pytest.fixture(scope="module")
def images(run: Run, before: Run) -> AuditedImages:
    return AuditedImages.read(run, before)


@pytest.fixture(scope="module")
def rows(run: Run) -> pd.DataFrame:
    table = run.table().to_pandas()[["row_id", "background", "confidence"]]
    return read_rows(run).merge(table, on="row_id")


@pytest.fixture(scope="module")
def both(run: Run, before: Run) -> pd.DataFrame:
    return join_runs(before, run)


def by_name(figures: tuple[ScenarioFigure, ...] | None) -> dict[str, ScenarioFigure]:
    assert figures is not None
    return {figure.figure: figure for figure in figures}


def every_row(images: AuditedImages) -> Filter:
    """Every image by name, which is another filter than none."""
    return Filter(conditions=(IsRow(row_ids=tuple(images.now.after["row_id"].to_pylist())),))


@pytest.mark.parametrize("choose", [lambda _: Filter(), every_row])
def test_a_scenario_of_every_image_has_the_figures_of_the_audit(
    images: AuditedImages, run: Run, choose: Callable[[AuditedImages], Filter]
) -> None:
    found = images.figures(choose(images))
    summary = run.summary()
    audited: dict[str, Rate | Interval] = {
        "accuracy": summary.accuracy,
        "flagged": summary.flagged,
        "flips": summary.figures["flips"],
    }
    now = by_name(found.now)
    assert found.images == 64
    for name, expected in audited.items():
        figure = now[name]
        assert (figure.value, figure.low, figure.high, figure.images) == (
            *(expected.value, expected.low, expected.high),
            expected.of,
        )
    excess = summary.excess
    assert excess is not None
    assert (now["excess"].value, now["excess"].low) == (excess.value, excess.low)
    assert now["excess"].high == excess.high


def test_a_scenario_of_every_image_changes_as_two_models_do(
    images: AuditedImages, run: Run, before: Run
) -> None:
    found = images.figures(every_row(images))
    paired = {it.figure: it for it in compare_models(before, run).figures}
    for name, change in by_name(found.change).items():
        expected = paired[name]
        assert (change.value, change.low, change.high, change.images, change.sentence) == (
            *(expected.change, expected.low, expected.high),
            *(expected.of, expected.sentence),
        )
    earlier = by_name(found.before)
    assert earlier["accuracy"].value == before.summary().accuracy.value


def test_the_figures_of_a_part_take_the_thresholds_as_given_as_those_of_a_class_do(
    images: AuditedImages, run: Run
) -> None:
    label = images.now.labels.names[0]
    of_class = Filter(conditions=(HasValue(column="label", values=(label,)),))
    found = compute_figure(read_alone(run), FigureQuery("excess", label=label))
    of_label = pc.equal(images.now.after["label"], label)
    part = images.now.choose(images.now.after["row_id"].filter(of_label).combine_chunks())
    assert compute_figure(part, FigureQuery("excess")) == found
    now = by_name(images.figures(of_class).now)
    assert isinstance(found, FigureValue)
    if found.of >= ENOUGH:
        assert (now["excess"].value, now["excess"].low) == (found.value, found.low)


@MANY
@given(left_out=st.sets(st.integers(0, 9), max_size=6), low=st.none() | st.floats(0, 1))
def test_figures_are_those_that_pandas_counts_over_the_same_rows(
    images: AuditedImages, rows: pd.DataFrame, run: Run, left_out: set[int], low: float | None
) -> None:
    known = enumerate(sorted(rows["background"].unique()))
    backgrounds = [name for number, name in known if number not in left_out]
    chosen = Filter(
        conditions=(
            HasValue(column="background", values=tuple(backgrounds)),
            *(() if low is None else (InRange(column="confidence", low=low),)),
        )
    )
    kept = rows["background"].isin(backgrounds).to_numpy()
    if low is not None:
        kept = kept & (rows["confidence"] >= low).to_numpy()
    found = images.figures(chosen)
    assert found.images == kept.sum()
    for name, figure in by_name(found.now).items():
        values = image_values(rows[kept], name, run.summary().rule.threshold).dropna()
        assert figure.images == len(values)
        if len(values) < ENOUGH:
            assert figure.value is None
            assert figure.sentence
            continue
        assert figure.value == pytest.approx(values.mean())
        if name in ("accuracy", "flagged"):
            expected = wilson(int(values.sum()), len(values))
            assert (figure.low, figure.high) == (expected.low, expected.high)


@MANY
@given(numbers=st.sets(st.integers(0, 63), min_size=15))
def test_changes_are_those_that_pandas_counts_over_the_same_rows(
    images: AuditedImages, both: pd.DataFrame, run: Run, before: Run, numbers: set[int]
) -> None:
    ids = {sorted(both["row_id"])[number] for number in numbers}
    found = images.figures(Filter(conditions=(IsRow(row_ids=tuple(sorted(ids))),)))
    kept = both[both["row_id"].isin(ids)]
    then, now = (one_side(kept, side) for side in ("before", "after"))
    for name, change in by_name(found.change).items():
        thresholds = (side.summary().rule.threshold for side in (before, run))
        values = [
            image_values(side, name, threshold)
            for side, threshold in zip((then, now), thresholds, strict=True)
        ]
        known = np.isfinite(values[0]) & np.isfinite(values[1])
        if known.sum() >= ENOUGH:
            expected = values[1][known].mean() - values[0][known].mean()
            assert change.value == pytest.approx(expected)
            assert change.low is not None
            assert change.high is not None
            assert change.low <= expected <= change.high
        assert change.images == known.sum()


def test_few_images_and_none_say_so(images: AuditedImages) -> None:
    few = IsRow(row_ids=tuple(images.now.after["row_id"].to_pylist()[: ENOUGH - 1]))
    for figure in images.figures(Filter(conditions=(few,))).now:
        assert (figure.value, figure.low, figure.high) == (None, None, None)
        assert f"too few images to judge: {figure.images}, and it takes 20" == figure.sentence
    none = images.figures(Filter(conditions=(IsRow(row_ids=("nobody",)),)))
    assert none.images == 0
    assert {figure.sentence for figure in none.now} == {"no chosen image was predicted"}


def test_a_scenario_that_asks_for_what_the_run_lacks_says_so(images: AuditedImages) -> None:
    lacking = Filter(conditions=(HasValue(column="weather", values=("snow",)),))
    found = images.scenario(Scenario(name="snow", filter=lacking))
    assert (found.name, found.figures.images) == ("snow", 0)
    assert {figure.value for figure in found.figures.now} == {None}
    assert all("there is no column 'weather'" in figure.sentence for figure in found.figures.now)


def test_runs_that_are_no_pair_have_no_change(
    finished_run: RunFolder, many_classes_run: RunFolder
) -> None:
    images = AuditedImages.read(open_run(finished_run.path), open_run(many_classes_run.path))
    found = images.figures(Filter())
    assert by_name(found.now)["accuracy"].value is not None
    assert all("are not a pair" in figure.sentence for figure in found.change or ())
    assert FilteredFigures.model_validate_json(found.model_dump_json()) == found


def test_every_figure_of_scenarios_is_one_of_rules() -> None:
    for name in FIGURES_OF_SCENARIOS:
        assert FIGURES[name].kind == "image"
        assert not FIGURES[name].by_method


def test_without_predictions_a_figure_is_missing(images: AuditedImages) -> None:
    nobody = images.now.choose(images.now.after["row_id"].slice(0, 0))
    assert len(nobody) == 0
    assert isinstance(compute_figure(nobody, FigureQuery("accuracy")), MissingFigure)
