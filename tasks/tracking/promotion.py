"""The registry's part of a release: exactly the version that was audited becomes the champion.

MLflow has no way to set an alias only if nobody else did meanwhile. So every release writes a claim
of its own, a tag of the registered model, and then looks: whoever sees another living claim
withdraws his (as tasks/storage/lock.py does with files). Two may both withdraw; never do two both
go on.
What holds a claim looks once more at all that the gate assumed, then sets the alias, in one
request: nothing is half promoted wherever MLflow goes away. Whoever sets aliases without a claim,
by hand or with other tools, is seen only up to that look.
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
from tasks.runs.folder import digest
from tasks.runs.reader import Run
from tasks.tracking.audit_run import mlflow_errors
from tasks.tracking.registry import MODEL
from tasks.tracking.settings import Tracking

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CLAIM = "sightline.release.claim."  # and a release's own token: tags of the registered model
VERDICT, REASONS = "sightline.release", "sightline.release.reasons"  # tags of the version
LONGEST = 4000  # characters of a tag that every MLflow store takes
STALE = 300.0  # seconds after which a claim is a dead release's
SURE = 60.0  # seconds within which a claim's owner must be done
TRIES = 20  # of releases that claim in the same moment
REMEDY = "every alias is as it was, or this version's already: run the same command again"


@dataclass(frozen=True)
class Candidacy:
    """A version that may become the champion, and what the registry said when it was judged."""

    name: str
    version: str
    digest: str  # of the model that was audited
    token: str  # the same for each try of one release
    champion: str | None  # version with the alias; None: there was none

    @property
    def is_champion(self) -> bool:
        return self.version == self.champion


def check_versions(address: str, alias: str, tracking: Tracking) -> None:
    """Refuse before the audits versions that nobody could tell from others after them."""
    with mlflow_errors(tracking.uri, "nothing was changed"):
        client = _client(tracking)
        version = find_version(client, address.removeprefix(SCHEME)).address
        match = BY_VERSION.fullmatch(version)
        assert match is not None  # so far the settings are checked
        name, champion = match["name"], _aliases(client, match["name"]).get(alias)
        for number in filter(None, (match["version"], champion)):
            if MODEL not in client.get_model_version(name, number).tags:
                raise UserError(
                    f"models:/{name}/{number} has no tag {MODEL}, so nobody can tell whether it is "
                    "what will be audited: register the model with sightline log"
                )


def candidacy_of(run: Run, address: str, alias: str, tracking: Tracking, folder: str) -> Candidacy:
    """Which version a run audited, or is to stand for by another address than its own, and who has
    the alias now; `folder` is the release's own."""
    own = run.state.model_address == address
    version = run.state.model_origin.get("address", "") if own else ""
    with mlflow_errors(tracking.uri, "nothing was changed"):
        client = _client(tracking)
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
        champion = _aliases(client, match["name"]).get(alias)
        found = client.get_model_version(match["name"], match["version"]).tags.get(MODEL)
    token = digest(run.state.id, folder)
    candidacy = Candidacy(match["name"], match["version"], audited, token, champion)
    if found != audited:
        raise UserError(f"{run.folder.path}: {_other_model(candidacy, found)}")
    return candidacy


def digest_of_champion(candidacy: Candidacy, tracking: Tracking) -> str | None:
    """Of the champion's numbers, as its version says."""
    if candidacy.champion is None:
        return None
    with mlflow_errors(tracking.uri, "nothing was changed"):
        version = _client(tracking).get_model_version(candidacy.name, candidacy.champion)
    found: str | None = version.tags.get(MODEL)
    return found


def promote(
    candidacy: Candidacy, alias: str, tracking: Tracking, evidence: Mapping[str, str]
) -> str | None:
    """Give the alias to the version; None, or why it was not given and nothing was changed."""
    with mlflow_errors(tracking.uri, REMEDY):
        client = _client(tracking)
        since = time.monotonic()
        if not _claimed(client, candidacy):
            return f"another release of {candidacy.name!r} is promoting: try again in some minutes"
        try:
            reason = _objection(client, candidacy, alias)
            if reason is None:
                _tag(client, candidacy, evidence)
                reason = _set(client, candidacy, alias, since)
        finally:
            _withdraw(client, candidacy)
    return reason


def refuse(candidacy: Candidacy, tracking: Tracking, evidence: Mapping[str, str]) -> None:
    """Say on the version why; no alias is touched."""
    with mlflow_errors(tracking.uri, "the candidate is not tagged with its reasons"):
        _tag(_client(tracking), candidacy, evidence)


def _client(tracking: Tracking) -> MlflowClient:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=tracking.uri)


def _aliases(client: MlflowClient, name: str) -> dict[str, str]:
    found = client.get_registered_model(name).aliases
    return {alias: str(version) for alias, version in found.items()}


def _objection(client: MlflowClient, candidacy: Candidacy, alias: str) -> str | None:
    """What has changed since the gate looked."""
    now = _aliases(client, candidacy.name).get(alias)
    if now not in (candidacy.champion, candidacy.version):
        return (
            f"{alias} was {_told(candidacy.champion)} when the candidate was judged and is "
            f"{_told(now)} now: release again, against the new one"
        )
    found = client.get_model_version(candidacy.name, candidacy.version).tags.get(MODEL)
    if found != candidacy.digest:
        return _other_model(candidacy, found)
    return None


def _other_model(candidacy: Candidacy, found: str | None) -> str:
    return (
        f"version {candidacy.version} says its model is {found or 'unknown'} (tag {MODEL}), "
        f"audited was {candidacy.digest}: register the audited model with sightline log"
    )


def _set(client: MlflowClient, candidacy: Candidacy, alias: str, since: float) -> str | None:
    if time.monotonic() - since > SURE:  # others may soon take the claim for a dead release's
        return "MLflow answers too slowly to be sure that no other release promotes: try again"
    client.set_registered_model_alias(candidacy.name, alias, candidacy.version)
    now = _aliases(client, candidacy.name).get(alias)
    if now != candidacy.version:
        return f"{alias} was set to {_told(now)} by others in the same moment: release again"
    return None


def _claimed(client: MlflowClient, candidacy: Candidacy) -> bool:
    """Is the release now the only one with a living claim?"""
    for _ in range(TRIES):
        own = CLAIM + candidacy.token
        client.set_registered_model_tag(candidacy.name, own, json.dumps(time.time()))
        tags = client.get_registered_model(candidacy.name).tags
        others = {key: when for key, when in tags.items() if key.startswith(CLAIM) and key != own}
        if not [when for when in others.values() if time.time() - float(when) < STALE]:
            for key in others:
                _forget(client, candidacy.name, key)
            return True
        _withdraw(client, candidacy)
        time.sleep(random.uniform(0.05, 0.5))
    return False


def _withdraw(client: MlflowClient, candidacy: Candidacy) -> None:
    _forget(client, candidacy.name, CLAIM + candidacy.token)


def _forget(client: MlflowClient, name: str, key: str) -> None:
    from mlflow.exceptions import MlflowException

    with suppress(MlflowException):  # away: the claim goes stale
        client.delete_registered_model_tag(name, key)


def _tag(client: MlflowClient, candidacy: Candidacy, evidence: Mapping[str, str]) -> None:
    for key, value in evidence.items():
        client.set_model_version_tag(
            candidacy.name, candidacy.version, key, value[:LONGEST] or "none"
        )


def _told(version: str | None) -> str:
    return "nobody's" if version is None else f"version {version}"
