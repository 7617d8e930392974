"""The steps of a score are those that the audit took, and lead to what its table says."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.attribution.donor_predictions import read_donor_predictions
from tasks.flags.score_steps import ScoreSteps, Step
from tasks.flags.scored_predictions import trust_of
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.rows import RunRows
from tasks.runs.stages import INTERVENTIONS


@pytest.fixture(scope="module")
def steps(finished_run: RunFolder) -> ScoreSteps:
    run = open_run(finished_run.path)
    return ScoreSteps(RunRows(run), run.summary().rule)


def by_start(steps: tuple[Step, ...]) -> Mapping[str, float | None]:
    """The value of each step, by what stands before the first colon."""
    return {step.words.partition(":")[0]: step.value for step in steps}


def test_the_trust_is_the_one_that_the_audit_computed(steps: ScoreSteps) -> None:
    run = steps.rows.run
    expected = trust_of(run, INTERVENTIONS, read_donor_predictions(run.folder), 0.0)
    assert steps.trust == pytest.approx(expected, abs=1e-4)


def test_the_steps_lead_to_the_score_of_the_table(
    steps: ScoreSteps, finished_run: RunFolder
) -> None:
    flags = pq.read_table(finished_run.flags).to_pylist()
    scored = [flag for flag in flags if flag["score"] is not None]
    assert scored
    for flag in scored:
        values = by_start(steps.of(flag["row_id"]))
        for name in ("kept", "score"):
            assert values[name] == pytest.approx(flag[name], abs=1e-6)
        assert values["null score"] == pytest.approx(flag["null_score"], abs=1e-6)
        assert values["share of the grad_cam_pp map on the object"] == flag["share"]


def test_every_step_follows_from_those_before_it(steps: ScoreSteps) -> None:
    """What the words say, done by hand."""
    for row_id in steps.rows.row_ids.to_pylist()[:20]:
        values = {
            name: np.float64(value or 0) for name, value in by_start(steps.of(row_id)).items()
        }
        trust = values["weight of the forecast beside the mean, the same for all images"]
        forecast = values["the same, forecast for all backgrounds of the donor pool"]
        mean = next(value for name, value in values.items() if name.startswith("mean probability"))
        assert values["kept"] == pytest.approx(trust * forecast + (1 - trust) * mean)
        removed = values["probability with the object removed"]
        alone = values["probability with the background removed"]
        assert values["removal"] == pytest.approx((1 + removed - alone) / 2)
        share = values["share of the grad_cam_pp map on the object"]
        assert values["attention"] == pytest.approx(1 - share)
        parts = values["removal"] + values["attention"]
        assert values["score"] == pytest.approx((4 * (1 - values["kept"]) + parts) / 6)
        assert values["null score"] == pytest.approx((4 * (1 - values["null kept"]) + parts) / 6)


def test_the_threshold_comes_last(steps: ScoreSteps) -> None:
    *_, last = steps.of(steps.rows.row_ids[0].as_py())
    assert last.value == steps.rule.threshold
    assert last.words.startswith("threshold: ")


def test_the_rule_of_another_version_is_not_explained_by_this_one(steps: ScoreSteps) -> None:
    older = ScoreSteps(steps.rows, steps.rule.model_copy(update={"version": 1}))
    assert older.of(steps.rows.row_ids[0].as_py()) == ()
