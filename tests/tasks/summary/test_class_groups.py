"""Groups of classes of a finished run, counted again from its tables, whatever the file says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tasks.compare.figures import FigureQuery, FigureValue, compute_figure
from tasks.compare.paired_images import read_alone
from tasks.flags.settings import FlagSettings
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run
from tasks.schema import ClassGroups, Summary, wilson
from tasks.summary.groups import class_group_of_each
from tasks.summary.summarise import summarise

Summarised = Callable[..., tuple[Summary, pd.DataFrame, Run]]


@pytest.fixture
def summarised(finished_run: RunFolder, tmp_path: Path) -> Summarised:
    """The finished run, summarised again with groups of its classes: the first half, the rest."""

    def summarise_with(group_column: str | None = None) -> tuple[Summary, pd.DataFrame, Run]:
        folder = RunFolder.at(shutil.copytree(finished_run.path, tmp_path / "run"))
        state = json.loads(folder.state.read_text())
        classes = state["classes"]
        group_of = {name: ("a", "b")[at >= len(classes) // 2] for at, name in enumerate(classes)}
        state["class_groups"] = {"group_of": group_of}
        state["settings"]["data"]["group_column"] = group_column
        folder.state.write_text(json.dumps(state))
        summary = summarise(folder, FlagSettings(), open_run(folder.path).summary().cost)
        run = open_run(folder.path)
        rows = run.table().to_pandas()
        return summary, rows.assign(class_group=rows["label"].map(group_of)), run

    return summarise_with


def test_each_group_is_that_of_its_labels(summarised: Summarised) -> None:
    summary, rows, _ = summarised()
    assert summary.class_groups is not None
    assert [group.name for group in summary.by_class_group] == ["a", "b"]
    for group in summary.by_class_group:
        own = rows[rows["class_group"] == group.name]
        decided = own[own["flag"] != "undecided"]
        assert group.accuracy == wilson(int(own["correct"].astype(bool).sum()), len(own))
        flagged = int((decided["flag"] == "rests_on_background").sum())
        assert group.flagged == wilson(flagged, len(decided))
    assert "class_group" not in summary.by_column


def test_the_worst_group_is_one_of_classes_here_and_in_the_gate(summarised: Summarised) -> None:
    """In place of the column `group`, which was not named."""
    summary, rows, run = summarised()
    worst = summary.worst_group
    assert worst is not None
    assert (worst.of_classes, worst.column, worst.groups) == (True, None, 2)
    accuracies = rows.groupby("class_group")["correct"].agg(lambda it: it.astype(bool).mean())
    assert worst.name == accuracies.idxmin()
    assert worst.accuracy.value == pytest.approx(accuracies.min())
    images = read_alone(run)
    value = compute_figure(images, FigureQuery("worst_group"))
    assert isinstance(value, FigureValue)
    assert (value.value, value.low, value.high) == pytest.approx(
        (worst.accuracy.value, worst.accuracy.low, worst.accuracy.high)
    )
    assert value.note == f"{worst.name}, the lowest of 2 groups of classes"
    for name, accuracy in accuracies.items():
        part = compute_figure(images, FigureQuery("accuracy", class_group=str(name)))
        assert isinstance(part, FigureValue)
        assert part.value == pytest.approx(accuracy)


def test_a_column_that_was_named_goes_first(summarised: Summarised) -> None:
    summary, _, run = summarised("group")
    assert summary.worst_group is None or summary.worst_group.column == "group"
    assert read_alone(run).group_column == "group"
    assert len(summary.by_class_group) == 2


def test_without_a_label_the_prediction_says_the_group() -> None:
    groups = ClassGroups(group_of={"egret": "bird", "carp": "fish"})
    found = class_group_of_each(groups, ["egret", None, "carp"], ["carp", "carp", "egret"])
    assert found == ["bird", "fish", "fish"]
