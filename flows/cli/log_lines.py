"""What a command says on stderr: quiet, as usual, with the lines of the libraries it uses, or as
JSON for a program that collects logs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import click

from flows.runtime.log_lines import (
    JsonLines,
    StderrHandler,
    log,
    show_control_characters,
    writes_json,
)
from flows.settings.environment import show_orchestration, show_third_parties

Command = TypeVar("Command", bound=Callable[..., Any])
ORCHESTRATION = ("prefect", "distributed", "dask")  # loggers whose lines JSON includes


def set_up_logging() -> None:
    """Our own lines go to stderr, those of other libraries nowhere."""
    show_control_characters()
    root = logging.getLogger()
    for logger in (log, root):  # of an earlier command in this process
        for handler in [it for it in logger.handlers if isinstance(it, StderrHandler)]:
            logger.removeHandler(handler)
    log.addHandler(StderrHandler())
    log.setLevel(logging.INFO)
    log.propagate = False
    root.addHandler(logging.NullHandler())
    logging.captureWarnings(True)
    logging.raiseExceptions = (
        False  # or Prefect's log handler would print its own errors among our lines
    )


def log_options(command: Command) -> Command:
    """Add --verbose and --log-format, which take effect at once."""
    return _format_option(_verbose_option(command))


def quiet_option(command: Command) -> Command:
    """Add --quiet, by which a command prints less."""
    return click.option(
        "--quiet",
        is_flag=True,
        callback=_set_quiet,
        help="Print the headline and the path alone.",
    )(command)


def _verbose_option(command: Command) -> Command:
    return click.option(
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_set_verbose,
        help="Show the warnings of other libraries, too.",
    )(command)


def _format_option(command: Command) -> Command:
    return click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        is_eager=True,  # before --verbose, which adds to it
        expose_value=False,
        callback=_set_format,
        help="Form of the lines on stderr: text, or one JSON object a line.",
    )(command)


def _set_format(_: click.Context, __: click.Parameter, form: str) -> None:
    if form == "json":
        show_orchestration()
        for handler in log.handlers:
            if isinstance(handler, StderrHandler):
                handler.setFormatter(JsonLines())
        others = StderrHandler()
        others.setFormatter(JsonLines())
        others.addFilter(_is_orchestration)
        logging.getLogger().addHandler(others)


def _is_orchestration(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in ORCHESTRATION


def _set_verbose(_: click.Context, __: click.Parameter, verbose: bool) -> None:
    if not verbose:
        return
    show_third_parties()
    if writes_json():
        for handler in logging.getLogger().handlers:
            handler.removeFilter(_is_orchestration)
    else:
        logging.getLogger().addHandler(StderrHandler())


def _set_quiet(_: click.Context, __: click.Parameter, quiet: bool) -> bool:
    if quiet:
        log.setLevel(logging.WARNING)
    return quiet
