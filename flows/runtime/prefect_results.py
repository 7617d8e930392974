"""What Prefect's page of a flow run shows of its result: the headline and a link to the report."""

from __future__ import annotations

import logging
import threading
from contextvars import copy_context

from prefect.artifacts import create_link_artifact, create_markdown_artifact
from upath import UPath

from models.addresses import describe_safely, is_local
from reports.markdown import escape

log = logging.getLogger("sightline")

LONGEST = 5.0  # seconds to wait for the server


def show_result(headline: str, page: UPath) -> None:
    """Add both as artifacts of this flow run; a server that does not answer loses them alone."""
    context = copy_context()  # holds the flow run that they belong to
    thread = threading.Thread(target=context.run, args=(_create, headline, page), daemon=True)
    thread.start()
    thread.join(LONGEST)


def _create(headline: str, page: UPath) -> None:
    try:
        create_markdown_artifact(f"{escape(headline)}\n\n`{page}`", description="headline")
        link = page.as_uri() if is_local(str(page)) else str(page)
        create_link_artifact(link, page.name, description="report")
    except Exception as error:  # from Prefect or its transport: no reason to stop
        log.warning("Prefect does not show the result (%s)", describe_safely(error)[0])
