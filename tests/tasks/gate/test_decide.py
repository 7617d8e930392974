"""The gate's decision on a finished audit: no image is left out, and an earlier pass stands."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.gate.decide import decide, still_holds
from tasks.gate.policy import Policy, read_policy
from tasks.pictures.samples import Failure
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.stages import PREDICT
from tasks.schema import FAILURES
from tests.support.model_versions import LENIENT


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    (tmp_path / "lenient.toml").write_text(LENIENT)
    return read_policy(str(tmp_path / "lenient.toml"))


@pytest.fixture
def unanswering(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    """An audit in which 5 images have no answer, each listed twice, and 2 could not be read."""
    run = RunFolder.at(shutil.copytree(finished_run.path, tmp_path / "run"))
    rows = pq.read_table(str(run.catalog))["row_id"].to_pylist()[:5]
    failures = [asdict(Failure(row, PREDICT, "permanent", "", "")) for row in rows + rows]
    part = run.part("failures/predictions", 0)
    part.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(failures, FAILURES), str(part))
    summary = json.loads(run.summary.read_text())
    summary["images"]["failed"] = 7
    run.summary.write_text(json.dumps(summary))
    return run


def test_a_first_candidate_that_keeps_the_rules_passes(
    finished_run: RunFolder, policy: Policy
) -> None:
    result = decide(policy, open_run(finished_run.path), None, "nobody")
    assert [it.status for it in result.rulings] == ["pass", "skipped"]
    assert (result.passed, result.promoted, result.champion) == (True, False, None)
    assert (result.policy, result.compared) == (policy.address, "nobody")


def test_a_champion_is_compared_on_the_same_images(finished_run: RunFolder, policy: Policy) -> None:
    run = open_run(finished_run.path)
    result = decide(policy, run, run, "itself")
    assert [it.status for it in result.rulings] == ["pass", "pass"]
    assert result.champion == result.candidate


def test_images_without_an_answer_refuse_a_candidate_that_keeps_the_rules(
    unanswering: RunFolder, policy: Policy
) -> None:
    """Otherwise a network that gives no number for difficult images would be right on the rest."""
    result = decide(policy, open_run(unanswering.path), None, "")
    assert [it.status for it in result.rulings] == ["pass", "skipped"]
    assert not result.passed
    assert result.sentence.startswith("Refused: it gives no answer for 5 images, which no rule")
    assert (result.unanswered, result.unread) == (5, 2)


def test_an_earlier_pass_holds_for_the_same_audit_and_policy_alone(
    finished_run: RunFolder, policy: Policy, tmp_path: Path
) -> None:
    run = open_run(finished_run.path)
    result = decide(policy, run, None, "")
    assert still_holds(result, policy, run)
    assert not still_holds(result.model_copy(update={"passed": False}), policy, run)
    assert not still_holds(result, replace(policy, digest="another"), run)
    other = RunFolder.at(shutil.copytree(finished_run.path, tmp_path / "other"))
    changed = run.state.identity.model_copy(update={"model": "another"})
    other.write_state(run.state.change(identity=changed))
    assert not still_holds(result, policy, open_run(other.path))
