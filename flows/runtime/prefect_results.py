"""What Prefect's page of a flow run shows of its result: the figures and a link to the report."""

from __future__ import annotations

import logging
import threading
from contextvars import copy_context

from prefect.artifacts import create_link_artifact, create_markdown_artifact
from upath import UPath

from models.addresses import describe_safely, is_local, remove_secrets

log = logging.getLogger("sightline")

LONGEST = 5.0  # seconds to wait for the server


def show_result(figures: str, page: UPath) -> None:
    """Add figures (Markdown) and a link to the page as artifacts of this flow run; a server that
    does not answer loses them alone."""
    context = copy_context()  # holds the flow run that they belong to
    thread = threading.Thread(target=context.run, args=(_create, figures, page), daemon=True)
    thread.start()
    thread.join(LONGEST)


def _create(figures: str, page: UPath) -> None:
    name = page.parent.name
    try:
        create_markdown_artifact(figures, description=f"figures of {name}")
        link = page.as_uri() if is_local(str(page)) else remove_secrets(str(page))
        create_link_artifact(link, page.name, description=f"report of {name}")
    except Exception as error:  # from Prefect or its transport: no reason to stop
        log.warning("Prefect does not show the result (%s)", describe_safely(error)[0])
