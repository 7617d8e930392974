"""What Prefect's page of a flow run shows."""

from __future__ import annotations

from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.sorting import ArtifactSort


def check_artifacts(page: Path, words: str) -> str:
    """The newest flow run that links to this page has figures with these words; returns its id."""
    name, link = page.parent.name, f"[{page.name}]({page.as_uri()})"
    with get_client(sync_client=True) as client:
        newest = client.read_artifacts(sort=ArtifactSort.CREATED_DESC)
        linked = next(artifact for artifact in newest if str(artifact.data) == link)
        assert linked.flow_run_id is not None
        its = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[linked.flow_run_id]))
        found = client.read_artifacts(artifact_filter=its)
    texts = {artifact.description: str(artifact.data) for artifact in found}
    assert texts[f"report of {name}"] == link
    assert words in texts[f"figures of {name}"]
    return str(linked.flow_run_id)
