"""The registry's part of a release: exactly the version that was audited becomes the champion.

MLflow cannot set an alias on the condition that it has not changed meanwhile. So every release
writes a claim, a tag of the registered model, and then reads all claims: a release that sees
another live claim withdraws its own (as tasks/storage/lock.py does with files). Two releases may
both withdraw; they never both go on.
The release that holds the claim checks once more everything that the gate assumed, then sets the
alias in one request, so that nothing is half promoted wherever MLflow fails. An alias that is set
without a claim, by hand or by other tools, is noticed only up to that check.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.classifier.mlflow_addresses import BY_VERSION, SCHEME
from models.classifier.mlflow_models import find_version
from models.errors import UserError
from tasks.model_registry.registration import DIGEST
from tasks.runs.folder import digest
from tasks.runs.reader import Run
from tasks.tracking.mlflow_client import connect, find_aliases, mlflow_errors
from tasks.tracking.settings import Tracking

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CLAIM = "sightline.release.claim."  # prefix of a release's token: tags of the registered model
VERDICT, REASONS = "sightline.release", "sightline.release.reasons"  # tags of the version
AUDITS = "sightline.release.audits"  # tag: ids of the runs that the champion's release stands on
LONGEST_TAG = 4000  # characters that every MLflow store takes
STALE = 300.0  # seconds after which the release behind a claim counts as dead
CLAIM_HOLDS = 60.0  # seconds that a release may take once it holds the claim
TRIES = 20  # where several releases claim at the same moment
REMEDY = "every alias is as it was, or this version's already: run the same command again"


@dataclass(frozen=True)
class Candidacy:
    """A version that may become the champion, and the champion before the gate."""

    name: str
    version: str
    digest: str  # of the model that was audited
    token: str  # the same for every attempt of one release
    champion: str | None  # version that had the alias, if any

    @property
    def is_champion(self) -> bool:
        return self.version == self.champion


def check_versions(address: str, alias: str, tracking: Tracking) -> None:
    """Before the audits, refuse versions without a tag that identifies their weights."""
    with mlflow_errors(tracking.uri, "nothing was changed"):
        client = connect(tracking)
        version = find_version(client, address.removeprefix(SCHEME)).address
        match = BY_VERSION.fullmatch(version)
        assert match is not None  # the settings have checked this
        name, champion = match["name"], find_aliases(client, match["name"]).get(alias)
        for number in filter(None, (match["version"], champion)):
            if DIGEST not in client.get_model_version(name, number).tags:
                raise UserError(
                    f"models:/{name}/{number} has no tag {DIGEST}, so nothing shows whether it is "
                    "what will be audited: register the model with sightline log"
                )


def candidacy_of(run: Run, address: str, alias: str, tracking: Tracking, folder: str) -> Candidacy:
    """The version that a run audited, or that `address` names for it, and the version that has the
    alias now; `folder` is the release's own."""
    same_address = run.state.model_address == address
    version = run.state.model_origin.get("address", "") if same_address else ""
    with mlflow_errors(tracking.uri, "nothing was changed"):
        client = connect(tracking)
        if address.startswith(SCHEME):
            version = find_version(client, version or address.removeprefix(SCHEME)).address
    match = BY_VERSION.fullmatch(version)
    if match is None:
        raise UserError(
            f"{run.folder.path} audited {address}, which is no version of a registered model: give "
            "--model mlflow:models:/NAME@candidate (sightline log registers one)"
        )
    audited = run.state.identity.model
    with mlflow_errors(tracking.uri, "nothing was changed"):
        champion = find_aliases(client, match["name"]).get(alias)
        tag = client.get_model_version(match["name"], match["version"]).tags.get(DIGEST)
    token = digest(run.state.id, folder)
    candidacy = Candidacy(match["name"], match["version"], audited, token, champion)
    if tag != audited:
        raise UserError(f"{run.folder.path}: {_describe_mismatch(candidacy, tag)}")
    return candidacy


def digest_of_champion(candidacy: Candidacy, tracking: Tracking) -> str | None:
    """The digest of the champion's weights, from the tag of its version."""
    if candidacy.champion is None:
        return None
    with mlflow_errors(tracking.uri, "nothing was changed"):
        version = connect(tracking).get_model_version(candidacy.name, candidacy.champion)
    tag: str | None = version.tags.get(DIGEST)
    return tag


def promote(
    candidacy: Candidacy, alias: str, tracking: Tracking, evidence: Mapping[str, str]
) -> str | None:
    """Give the alias to the version; returns None, or why nothing was changed."""
    with mlflow_errors(tracking.uri, REMEDY):
        client = connect(tracking)
        since = time.monotonic()
        if not _claim(client, candidacy):
            return f"another release of {candidacy.name!r} is promoting: try again in a few minutes"
        try:
            reason = _find_change(client, candidacy, alias)
            if reason is None:
                _tag(client, candidacy, evidence)
                reason = _set_alias(client, candidacy, alias, since)
        finally:
            _withdraw(client, candidacy)
    return reason


def refuse(candidacy: Candidacy, tracking: Tracking, evidence: Mapping[str, str]) -> None:
    """Tag the version with the reasons; no alias is touched."""
    with mlflow_errors(tracking.uri, "the candidate is not tagged with its reasons"):
        _tag(connect(tracking), candidacy, evidence)


def _find_change(client: MlflowClient, candidacy: Candidacy, alias: str) -> str | None:
    """What has changed in the registry since the gate decided."""
    now = find_aliases(client, candidacy.name).get(alias)
    if now not in (candidacy.champion, candidacy.version):
        return (
            f"{alias} was {describe_version(candidacy.champion)} when the candidate was judged "
            f"and is {describe_version(now)} now: release again, against the new one"
        )
    tag = client.get_model_version(candidacy.name, candidacy.version).tags.get(DIGEST)
    if tag != candidacy.digest:
        return _describe_mismatch(candidacy, tag)
    return None


def _describe_mismatch(candidacy: Candidacy, tag: str | None) -> str:
    return (
        f"version {candidacy.version} has the model {tag or 'unknown'} (tag {DIGEST}), the "
        f"audited one is {candidacy.digest}: register the audited model with sightline log"
    )


def _set_alias(client: MlflowClient, candidacy: Candidacy, alias: str, since: float) -> str | None:
    if time.monotonic() - since > CLAIM_HOLDS:  # others may soon count this release as dead
        return "MLflow answers too slowly to rule out that another release is promoting: try again"
    client.set_registered_model_alias(candidacy.name, alias, candidacy.version)
    now = find_aliases(client, candidacy.name).get(alias)
    if now != candidacy.version:
        return f"{alias} became {describe_version(now)} at the same moment: release again"
    return None


def _claim(client: MlflowClient, candidacy: Candidacy) -> bool:
    """Write the release's claim; returns whether it is the only live one."""
    for _ in range(TRIES):
        claim = CLAIM + candidacy.token
        client.set_registered_model_tag(candidacy.name, claim, json.dumps(time.time()))
        tags = client.get_registered_model(candidacy.name).tags
        others = {key: when for key, when in tags.items() if key.startswith(CLAIM) and key != claim}
        if all(time.time() - float(when) >= STALE for when in others.values()):
            for key in others:
                _delete_claim(client, candidacy.name, key)
            return True
        _withdraw(client, candidacy)
        time.sleep(random.uniform(0.05, 0.5))
    return False


def _withdraw(client: MlflowClient, candidacy: Candidacy) -> None:
    _delete_claim(client, candidacy.name, CLAIM + candidacy.token)


def _delete_claim(client: MlflowClient, name: str, key: str) -> None:
    from mlflow.exceptions import MlflowException

    with suppress(MlflowException):  # MLflow is away: the claim goes stale
        client.delete_registered_model_tag(name, key)


def _tag(client: MlflowClient, candidacy: Candidacy, evidence: Mapping[str, str]) -> None:
    for key, value in evidence.items():
        client.set_model_version_tag(
            candidacy.name, candidacy.version, key, value[:LONGEST_TAG] or "none"
        )


def describe_version(version: str | None) -> str:
    return "unassigned" if version is None else f"version {version}"
