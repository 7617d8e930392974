"""Retraining on the patterns that an audit of the training images confirmed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.runs import open_run
from tasks.schema import PairedSummary
from tests.support import tagged_pictures
from tests.support.command_line import check_refused, invoke, mlflow_of
from tests.support.tagged_pictures import SIZE, write_tagged_pictures

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """Without masks, the tag's own region is all that can be exchanged."""
    for name, seed in (("train", 0), ("test", 1)):
        write_tagged_pictures(tmp_path / name, 300, seed=seed)
    test, train = (str(tmp_path / name / "unmarked.csv") for name in ("test", "train"))
    return [
        *("retrain", "--data", test, "--train", train, "--size", str(SIZE)),
        *("--model", f"{tagged_pictures.__file__}:rests_on_tags", "--layer", "cells"),
        *("--mean", "0,0,0", "--std", "1,1,1", "--classes", str(tmp_path / "test/classes.txt")),
        *("--objective", "erm", "--epochs", "2", "--training-batch-size", "16"),
        *("--learning-rate", "0.05", "--methods", "grad_cam_pp", "--workers", "0"),
        *("--out", str(tmp_path / "out"), "--name", "toy", "--mlflow", mlflow_of(tmp_path)),
    ]


@pytest.mark.full
def test_a_tag_that_was_pasted_and_filled_in_training_is_gone(
    command: list[str], tmp_path: Path
) -> None:
    done = invoke(*command, "--donors-from", "patterns", "--json")
    assert done.exit_code == 0, done.stderr
    paired = PairedSummary.model_validate(json.loads(done.stdout))
    (change,) = paired.patterns or ()
    assert (change.kind, change.pulls_to) == ("gone", "red")
    assert change.now is not None
    assert change.now.verdict == "not confirmed"
    (found,) = open_run(tmp_path / "out/patterns").summary().patterns.confirmed  # type: ignore[union-attr]
    assert found.exchanged == "region"
    assert "donors and artefacts are of 1 pattern" in done.stderr
    again = invoke(*command, "--donors-from", "patterns", "--json")
    assert PairedSummary.model_validate(json.loads(again.stdout)).patterns == paired.patterns


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--patterns-run", "x"), "is read for --donors-from patterns alone"),
        (("--donors-from", "patterns", "--patterns", "none"), "needs --patterns default"),
        (("--donors-from", "patterns", "--patterns-run", "nowhere"), "is not a run folder"),
    ],
)
def test_what_gives_no_patterns_is_a_mistake(
    command: list[str], options: tuple[str, ...], message: str
) -> None:
    check_refused(invoke(*command, *options), 2, message)
