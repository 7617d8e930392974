"""`sightline open`: look at every image of an audit, in a browser."""

from __future__ import annotations

import logging

import click

from flows.cli.interrupts import end_without_threads
from flows.cli.one_line_errors import one_line_errors
from flows.settings.environment import has_screen

log = logging.getLogger("sightline")


@click.command("open")
@click.argument("run")
@click.argument("before", required=False)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, help="Of this machine; 0: a free one."
)
@click.option("--browser/--no-browser", default=None, help="Open the page; default: on a screen.")
@one_line_errors()
def open_run_command(run: str, before: str | None, port: int, browser: bool | None) -> None:
    """Look at every image of an audit in a browser: filter, sort, search, compare.

    Two runs are compared: RUN beside the one BEFORE. Nothing leaves this machine; Ctrl-C ends it.
    """
    from flows.explorer.freed_memory import return_freed_memory
    from flows.explorer.opened import OpenedRuns
    from flows.explorer.serve import listen, serve
    from tasks.runs import open_run

    def ready(address: str) -> None:
        click.echo(address)
        log.info("the explorer runs until Ctrl-C; whoever has this address can look")
        if browser or (browser is None and has_screen()):
            click.launch(address)

    return_freed_memory()
    with listen(port) as listener:
        log.info("reading the images of %s", run)
        opened = OpenedRuns.of(open_run(run), None if before is None else open_run(before))
        for it in opened.runs:
            if it.state.state != "finished":
                log.warning("%s is not finished: the page shows what there is", it.folder.path)
        serve(opened, listener, ready)
    end_without_threads()  # which may still prepare what nobody will ask for
