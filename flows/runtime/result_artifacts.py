"""What Prefect's pages show of a finished audit: its headline figures, and a link to its page."""

from __future__ import annotations

import logging
from pathlib import Path

from prefect.artifacts import create_link_artifact, create_markdown_artifact
from upath import UPath

from models.addresses import describe_safely, is_local, remove_secrets
from reports.markdown import audit_as_markdown
from tasks.runs import open_run
from tasks.runs.folder import RunFolder

log = logging.getLogger("sightline")


def show_results(run: RunFolder) -> None:
    """Leave both artifacts with the flow run; a server that refuses them costs no result."""
    name = run.path.name
    try:
        figures = audit_as_markdown(open_run(run.path).summary())
        create_markdown_artifact(figures, description=f"figures of {name}")
        create_link_artifact(_link_to(run.report), run.report.name, description=f"report of {name}")
    except Exception as error:  # from Prefect or its transport: the run is finished
        log.warning("Prefect does not show the results (%s)", describe_safely(error)[0])


def _link_to(page: UPath) -> str:
    return Path(page).absolute().as_uri() if is_local(page) else remove_secrets(str(page))
