"""Prefect's page of a flow run shows the headline and the report, if its server answers."""

from __future__ import annotations

import logging
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.runtime import flow_run
from upath import UPath

from flows.runtime import prefect_results
from flows.runtime.prefect_results import show_result


@flow
def audit() -> str:
    show_result("99.5% of the predictions", UPath("/runs/a/report.html"))
    return str(flow_run.id)


@pytest.mark.usefixtures("prefect_server")
def test_a_flow_run_has_the_figures_and_a_link_to_the_page() -> None:
    run = ArtifactFilterFlowRunId(any_=[UUID(audit())])
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=run))
    content = {artifact.description: str(artifact.data) for artifact in found}
    assert content["figures of a"] == "99.5% of the predictions"
    assert "[report.html](file:///runs/a/report.html)" in content["report of a"]


def test_a_server_that_does_not_answer_costs_a_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Failed to reach API at http://127.0.0.1:9")

    monkeypatch.setattr(prefect_results, "create_markdown_artifact", refuse)
    with caplog.at_level(logging.WARNING, "sightline"):
        show_result("a headline", UPath("/runs/a/report.html"))
    assert caplog.messages[0].startswith("Prefect does not show the result (")
