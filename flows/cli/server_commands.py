"""`sightline up`, `down` and `status`: the servers that all commands of one home share."""

from __future__ import annotations

import logging
import sys

import click

from flows.cli.one_line_errors import one_line_errors
from flows.settings.environment import prepare_environment

log = logging.getLogger("sightline")


@click.command()
@click.option("--browser/--no-browser", default=None, help="Open both pages; default: on a screen.")
@one_line_errors()
def up(browser: bool | None) -> None:
    """Keep Prefect's and MLflow's servers running, with their pages; commands use them."""
    prepare_environment()
    from flows.runtime.kept_servers import start_servers

    log.info("starting the servers that do not run yet")  # which takes seconds
    for server in start_servers():
        click.echo(f"{server.name + ':':9}{server.page}")
        if browser or (browser is None and sys.stdout.isatty()):
            click.launch(server.page)
    click.echo("they run until: sightline down")


@click.command()
@one_line_errors()
def down() -> None:
    """Stop the servers that `sightline up` started."""
    from flows.runtime.kept_servers import stop_servers

    stopped = [server.name for server in stop_servers()]
    click.echo(f"stopped {' and '.join(stopped)}" if stopped else "no server is running")


@click.command()
@one_line_errors()
def status() -> None:
    """Say which servers commands use, and where their pages are."""
    from flows.runtime.kept_servers import read_servers

    servers = read_servers()
    for server in servers:
        state = "answers" if server.answers else "does not answer"
        click.echo(f"{server.name + ':':9}{server.page} {state} (process {server.pid})")
    if not servers:
        click.echo("no server is running: each command starts its own (sightline up keeps them)")
