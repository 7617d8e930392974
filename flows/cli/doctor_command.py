"""`sightline doctor`: what an installation lacks, and what would stop a run, a line each."""

from __future__ import annotations

import click

from flows.cli.log_lines import log_options
from flows.cli.one_line_errors import one_line_errors
from flows.cli.output.lines import print_line
from flows.settings.environment import home, mlflow_uri, prefect_url
from models.errors import UserError


@click.command()
@click.option("--data", help="Data of a run: is it readable?")
@click.option("--out", help="Folder of a run: a file is written there, read and deleted.")
@click.option("--dask", help="Scheduler of a run: does it answer, and has it workers?")
@click.option("--mlflow", help="MLflow's address, if MLFLOW_TRACKING_URI does not name it.")
@log_options
@one_line_errors()
def doctor(data: str | None, out: str | None, dask: str | None, mlflow: str | None) -> None:
    """Say in a line each what this installation has, lacks or has in an odd version.

    With the addresses of a run, try them too. The exit code is 2 where something would stop it.
    """
    from flows.runtime.installation import Surroundings, examine
    from flows.runtime.run_addresses import RunAddresses

    addresses = RunAddresses(data, out, dask)
    missing = 0
    for finding in examine(Surroundings(home(), prefect_url(), mlflow or mlflow_uri(), addresses)):
        print_line(f"{finding.state:<9}{finding.text}")
        missing += finding.state == "missing"
    if missing:
        raise UserError(
            f"{missing} essential {'thing is' if missing == 1 else 'things are'} "
            "missing: see the lines above"
        )
