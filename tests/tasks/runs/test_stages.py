"""The folder of each stage, and its failures."""

from __future__ import annotations

import pytest

from tasks.runs.folder import RunFolder
from tasks.runs.stages import (
    ATTENDED_BACKGROUND,
    DONOR_PREDICTIONS,
    FAILURES,
    FEATURES,
    INTERVENTIONS,
    MAPS,
    PICTURE_PROPERTIES,
    PREDICTIONS,
    SCORES,
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
        (ATTENDED_BACKGROUND.of("iba"), "attended_background/iba"),
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
        (ATTENDED_BACKGROUND.of("iba"), None),
        (PICTURE_PROPERTIES, None),
    ],
)
def test_stages_that_keep_failures_name_their_folder(stage: Stage, failures: Stage | None) -> None:
    assert stage.failures == failures
