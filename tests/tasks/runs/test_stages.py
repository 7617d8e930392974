"""The folder of each stage, and its failures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.runs.folder import RunFolder
from tasks.runs.stages import (
    DONOR_PREDICTIONS,
    FAILURES,
    FEATURES,
    INTERVENTIONS,
    MAPS,
    PREDICTIONS,
    SCORES,
    STAGES,
    Stage,
)


@pytest.mark.parametrize(
    ("stage", "folder"),
    [
        (PREDICTIONS, "predictions"),
        (MAPS.of("rise:masks=20"), "maps/rise:masks=20"),
        (SCORES.of("iba").from_estimates(), "estimated/scores/iba"),
        (INTERVENTIONS.from_estimates(), "estimated/interventions"),
        (DONOR_PREDICTIONS, "votes"),
    ],
)
def test_a_stage_has_a_folder(stage: Stage, folder: str) -> None:
    assert stage.folder == folder
    run = RunFolder.at("run")
    assert run.part(stage, 3) == run.part(folder, 3)


@pytest.mark.parametrize(
    ("stage", "failures"),
    [
        (PREDICTIONS, FAILURES.of("predictions")),
        (MAPS.of("iba"), FAILURES.of("iba")),
        (INTERVENTIONS, FAILURES.of("interventions")),
        (INTERVENTIONS.from_estimates(), None),
        (SCORES.of("iba"), None),
        (FEATURES, None),
    ],
)
def test_stages_that_keep_failures_name_their_folder(stage: Stage, failures: Stage | None) -> None:
    assert stage.failures == failures


def test_a_run_without_interventions_keeps_none(tmp_path: Path) -> None:
    run = RunFolder.at(tmp_path)
    stages = [*STAGES, *(stage.from_estimates() for stage in (SCORES, INTERVENTIONS))]
    stages += [FAILURES.of("predictions"), FAILURES.of("interventions")]
    for stage in stages:
        run.stage(stage).mkdir(parents=True, exist_ok=True)
    run.forget_interventions()
    gone = {stage.folder for stage in stages if not run.stage(stage).exists()}
    assert gone == {"interventions", "votes", "estimated/interventions", "failures/interventions"}


def test_all_of_a_run_is_erased_and_nothing_else(tmp_path: Path) -> None:
    run = RunFolder.at(tmp_path)
    for stage in STAGES:
        run.stage(stage).mkdir()
    for path in (run.catalog, run.donors, run.flags, run.summary, run.report, run.state):
        path.touch()
    (tmp_path / "thesis").mkdir()
    run.erase()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]
