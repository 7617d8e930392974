"""`sightline doctor`: what an installation lacks, a line each."""

from __future__ import annotations

import click

from flows.cli.one_line_errors import one_line_errors
from flows.settings.environment import home, mlflow_uri, prefect_url
from models.errors import UserError


@click.command()
@one_line_errors()
def doctor() -> None:
    """Say in a line each what this installation has, lacks or has in an odd version."""
    from flows.runtime.installation import Surroundings, examine

    missing = 0
    for finding in examine(Surroundings(home(), prefect_url(), mlflow_uri())):
        click.echo(f"{finding.state:<9}{finding.text}")
        missing += finding.state == "missing"
    if missing:
        raise UserError(
            f"{missing} essential {'thing is' if missing == 1 else 'things are'} "
            "missing: see the lines above"
        )
