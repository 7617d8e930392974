"""What a command says on stderr: quiet, as usual, or with the lines of the libraries it uses."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from flows.runtime.log_lines import log, show_control_characters
from flows.settings.environment import show_third_parties

Command = TypeVar("Command", bound=Callable[..., Any])


def set_up_logging() -> None:
    """Our own lines go to stderr, those of other libraries nowhere."""
    show_control_characters()
    log.addHandler(logging.StreamHandler(sys.stderr))
    log.setLevel(logging.INFO)
    log.propagate = False
    logging.getLogger().addHandler(logging.NullHandler())
    logging.captureWarnings(True)
    logging.raiseExceptions = (
        False  # or Prefect's log handler would print its own errors among our lines
    )


def verbose_option(command: Command) -> Command:
    """Add --verbose, which takes effect at once."""
    return click.option(
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_set_verbose,
        help="Show the warnings of other libraries, too.",
    )(command)


def quiet_option(command: Command) -> Command:
    """Add --quiet, by which a command prints less."""
    return click.option(
        "--quiet",
        is_flag=True,
        callback=_set_quiet,
        help="Print the headline and the path alone.",
    )(command)


def _set_verbose(_: click.Context, __: click.Parameter, verbose: bool) -> None:
    if verbose:
        show_third_parties()
        logging.getLogger().addHandler(logging.StreamHandler(sys.stderr))


def _set_quiet(_: click.Context, __: click.Parameter, quiet: bool) -> bool:
    if quiet:
        log.setLevel(logging.WARNING)
    return quiet
