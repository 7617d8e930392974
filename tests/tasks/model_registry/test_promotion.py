"""One champion, however many releases: their part in the registry, on MLflow with SQLite."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from mlflow.tracking import MlflowClient

from models.errors import UserError
from tasks.model_registry.promotion import (
    CLAIM,
    REASONS,
    STALE,
    VERDICT,
    candidacy_of,
    check_versions,
    promote,
    refuse,
)
from tasks.model_registry.registration import DIGEST
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.tracking.settings import Tracking
from tests.support.model_versions import (
    ALIAS,
    PASSED,
    aliases,
    candidacy,
    claims,
    tags,
    three_versions,
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three versions, the first of which is the champion."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    client = MlflowClient(tracking_uri=f"sqlite:///{path}")
    three_versions(client, "birds")
    return path


def test_the_audited_version_becomes_the_champion(tracking: Tracking) -> None:
    assert promote(candidacy(2), ALIAS, tracking, PASSED) is None
    assert aliases(tracking.uri) == {ALIAS: "2", "candidate": "3"}
    assert tags(tracking.uri, 2) == {DIGEST: "digest-2"} | PASSED
    assert claims(tracking.uri) == []
    assert promote(candidacy(2), ALIAS, tracking, PASSED) is None  # the same release again
    assert aliases(tracking.uri)[ALIAS] == "2"


def test_the_first_champion(tracking: Tracking) -> None:
    MlflowClient(tracking.uri).delete_registered_model_alias("birds", ALIAS)
    assert promote(candidacy(3, champion=None), ALIAS, tracking, PASSED) is None
    assert aliases(tracking.uri)[ALIAS] == "3"


@pytest.mark.parametrize("tag", ["digest-9", None])
def test_other_weights_than_the_audited_ones_are_never_promoted(
    tag: str | None, tracking: Tracking
) -> None:
    client = MlflowClient(tracking.uri)
    client.delete_model_version_tag("birds", "2", DIGEST)
    if tag is not None:
        client.set_model_version_tag("birds", "2", DIGEST, tag)
    reason = promote(candidacy(2), ALIAS, tracking, PASSED)
    assert reason is not None
    assert reason.startswith(f"version 2 has the model {tag or 'unknown'} (tag {DIGEST})")
    assert aliases(tracking.uri)[ALIAS] == "1"
    assert VERDICT not in tags(tracking.uri, 2)
    assert claims(tracking.uri) == []


def test_a_champion_that_moved_meanwhile_is_seen(tracking: Tracking) -> None:
    MlflowClient(tracking.uri).set_registered_model_alias("birds", ALIAS, "3")
    assert promote(candidacy(2), ALIAS, tracking, PASSED) == (
        "champion was version 1 when the candidate was judged and is version 3 now: release "
        "again, against the new one"
    )
    MlflowClient(tracking.uri).delete_registered_model_alias("birds", ALIAS)
    reason = promote(candidacy(2), ALIAS, tracking, PASSED)
    assert reason is not None
    assert "is unassigned now" in reason
    assert ALIAS not in aliases(tracking.uri)


def test_a_live_claim_is_respected_and_a_stale_one_removed(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.model_registry.promotion.TRIES", 2)
    client = MlflowClient(tracking.uri)
    client.set_registered_model_tag("birds", f"{CLAIM}other", json.dumps(time.time() - STALE / 2))
    reason = promote(candidacy(2), ALIAS, tracking, PASSED)
    assert reason is not None
    assert reason.startswith("another release of 'birds' is promoting")
    assert aliases(tracking.uri)[ALIAS] == "1"
    assert claims(tracking.uri) == [f"{CLAIM}other"]
    client.set_registered_model_tag("birds", f"{CLAIM}other", json.dumps(time.time() - STALE - 1))
    assert promote(candidacy(2), ALIAS, tracking, PASSED) is None
    assert claims(tracking.uri) == []


def test_a_claim_that_was_held_for_too_long_sets_no_alias(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.model_registry.promotion.CLAIM_HOLDS", 0.0)
    reason = promote(candidacy(2), ALIAS, tracking, PASSED)
    assert reason is not None
    assert "too slowly" in reason
    assert aliases(tracking.uri)[ALIAS] == "1"


def test_of_two_releases_at_once_one_wins(tracking: Tracking) -> None:
    uri = tracking.uri
    for turn in range(4):
        MlflowClient(uri).set_registered_model_alias("birds", ALIAS, "1")
        together = Barrier(2)

        def release(number: int, together: Barrier = together) -> str | None:
            together.wait()
            return promote(candidacy(number), ALIAS, tracking, PASSED)

        with ThreadPoolExecutor(2) as pool:
            reasons = dict(zip((2, 3), pool.map(release, (2, 3)), strict=True))
        (winner,) = [number for number, reason in reasons.items() if reason is None]
        (message,) = [reason for reason in reasons.values() if reason is not None]
        assert aliases(uri)[ALIAS] == str(winner), turn
        assert f"is version {winner} now: release again" in message
        assert claims(uri) == []


@pytest.mark.parametrize("moment", ["get_model_version", "set_registered_model_alias"])
def test_no_other_release_comes_between_the_last_check_and_the_alias(
    moment: str, tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole other release runs in the middle of this one."""
    monkeypatch.setattr("tasks.model_registry.promotion.TRIES", 2)
    others: list[str | None] = []
    ask = getattr(MlflowClient, moment)

    def ask_late(*given: object) -> object:
        if not others:
            others.append("comes")
            others.append(promote(candidacy(3), ALIAS, tracking, PASSED))
        return ask(*given)

    monkeypatch.setattr(MlflowClient, moment, ask_late)
    assert promote(candidacy(2), ALIAS, tracking, PASSED) is None
    assert others[1] is not None
    assert others[1].startswith("another release of 'birds' is promoting")
    assert aliases(tracking.uri)[ALIAS] == "2"
    assert VERDICT not in tags(tracking.uri, 3)


def test_a_refusal_is_written_on_the_candidate_and_touches_no_alias(tracking: Tracking) -> None:
    before = aliases(tracking.uri)
    refuse(candidacy(3), tracking, {VERDICT: "refused", REASONS: "rule 1: " + 9999 * "x"})
    assert aliases(tracking.uri) == before
    assert tags(tracking.uri, 3)[VERDICT] == "refused"
    assert tags(tracking.uri, 3)[REASONS].startswith("rule 1: xxx")


def test_a_run_of_a_local_bundle_stands_for_the_version_that_is_named(
    finished_run: RunFolder, tracking: Tracking
) -> None:
    run = open_run(finished_run.path)
    client, address = MlflowClient(tracking.uri), "mlflow:models:/birds@candidate"
    with pytest.raises(UserError, match="version 3 has the model digest-3"):
        candidacy_of(run, address, ALIAS, tracking, "out")
    client.set_model_version_tag("birds", "3", DIGEST, run.state.identity.model)
    found = candidacy_of(run, address, ALIAS, tracking, "out")
    assert (found.name, found.version, found.champion) == ("birds", "3", "1")
    client.set_model_version_tag("birds", "3", DIGEST, "exchanged meanwhile")
    reason = promote(found, ALIAS, tracking, PASSED)
    assert reason is not None
    assert f"audited one is {found.digest}" in reason
    client.set_model_version_tag("birds", "3", DIGEST, found.digest)
    assert promote(found, ALIAS, tracking, PASSED) is None
    assert aliases(tracking.uri)[ALIAS] == "3"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("demo/model", "is no version of a registered model"),
        ("mlflow:models:/birds@candidat", "did you mean 'candidate'"),
        ("mlflow:models:/bird/1", "did you mean 'birds'"),
    ],
)
def test_an_address_of_no_version_names_the_nearest(
    finished_run: RunFolder, tracking: Tracking, address: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        candidacy_of(open_run(finished_run.path), address, ALIAS, tracking, "out")


@pytest.mark.parametrize("version", ["1", "2"])  # the champion's, the candidate's
def test_a_version_without_a_digest_is_refused_before_any_audit(
    tracking: Tracking, version: str
) -> None:
    check_versions("mlflow:models:/birds/2", ALIAS, tracking)
    MlflowClient(tracking_uri=tracking.uri).delete_model_version_tag("birds", version, DIGEST)
    with pytest.raises(UserError, match=rf"models:/birds/{version} has no tag"):
        check_versions("mlflow:models:/birds/2", ALIAS, tracking)
