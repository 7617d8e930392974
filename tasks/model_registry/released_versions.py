"""The versions of registered models that have an alias, and the audits that they stand on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.model_registry.promotion import AUDITS, VERDICT
from tasks.model_registry.registration import DIGEST
from tasks.runs.state import RunState
from tasks.tracking.mlflow_client import connect, mlflow_errors
from tasks.tracking.settings import Tracking

if TYPE_CHECKING:
    from mlflow.entities.model_registry import RegisteredModel
    from mlflow.tracking import MlflowClient


@dataclass(frozen=True)
class ReleasedVersion:
    """A version that a release gave its alias to."""

    name: str
    version: str
    alias: str
    digest: str | None  # of its weights
    audits: frozenset[str]  # ids of the runs; empty where an older Sightline released it

    def reason_to_keep(self, run: RunState) -> str | None:
        """Why a run is, or may be, evidence of this release; None where it is not."""
        words = f"{self.alias} {self.name}/{self.version}"
        if run.id is not None and run.id in self.audits:
            return f"the release of {words} stands on it"
        if not self.audits and run.identity.model == self.digest:
            return f"it audits {words}, whose release does not name its audits"
        return None


def find_released(tracking: Tracking) -> list[ReleasedVersion]:
    """Every version that has an alias and passed a gate; none where there is no database yet."""
    if tracking.database is not None and not tracking.database.exists():
        return []
    with mlflow_errors(tracking.uri, "nothing was deleted, since it names the champion's audits"):
        client = connect(tracking)
        return [it for model in _list_models(client) for it in _released(client, model)]


def _list_models(client: MlflowClient) -> Iterator[RegisteredModel]:
    token = None
    while True:
        page = client.search_registered_models(max_results=100, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _released(client: MlflowClient, model: RegisteredModel) -> Iterator[ReleasedVersion]:
    for alias, version in model.aliases.items():
        tags = client.get_model_version(model.name, str(version)).tags
        audits = frozenset(tags.get(AUDITS, "").split(",")) - {""}
        if audits or tags.get(VERDICT) == "passed":
            yield ReleasedVersion(model.name, str(version), alias, tags.get(DIGEST), audits)
