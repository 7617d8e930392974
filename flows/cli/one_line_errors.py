"""How a command ends: with one line for an error, and an exit code that says whose it was."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from flows.cli.interrupts import describe_stop, handle_interrupts
from flows.runtime.log_lines import last_line, writes_json
from models.addresses import as_os_errors, remove_secrets
from models.errors import Unfinished, UserError, describe_os_error
from reports.visible_text import visible

FAILURE = 3  # ours; the others are in models/errors.py
LONGEST = 900  # characters of a message


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Report a user's error in one line; show a traceback only for our own failures."""
    handle_interrupts()
    try:
        with as_os_errors():
            _check_working_folder()
            yield
    except (UserError, Unfinished) as error:
        exit_with(str(error), error.exit_code)
    except click.Abort:  # a question was not answered
        exit_with("nothing was done: answer the question, or pass --yes", UserError.exit_code)
    except OSError as error:  # a full disk, or storage that does not answer
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            exit_with(f"{describe_os_error(error)}: give another path", UserError.exit_code)
        exit_with(f"{describe_os_error(error)}; what was written before is kept", FAILURE)
    except Exception:  # ours: the traceback is needed to mend it
        trace = remove_secrets(traceback.format_exc())
        if not writes_json():  # whose last line has it
            for line in trace.splitlines():
                click.echo(visible(line), err=True)
        exit_with("this is a failure of Sightline, not of yours", FAILURE, trace)
    except KeyboardInterrupt:
        exit_with(describe_stop(), FAILURE)


def _check_working_folder() -> None:
    """Refuse a folder that was deleted: torch ends the process there without a word of ours."""
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise UserError("the working folder is gone: change to one that exists") from error


class VisibleUsage(click.Group):
    """Commands whose messages on wrong options show control characters and do not send them."""

    def make_context(self, *names: Any, **details: Any) -> click.Context:
        with _visible_usage():
            return super().make_context(*names, **details)

    def invoke(self, ctx: click.Context) -> Any:
        with _visible_usage():
            return super().invoke(ctx)


@contextmanager
def _visible_usage() -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:  # whose message is the help
        raise
    except click.UsageError as error:
        raise click.UsageError(visible(error.format_message()), error.ctx) from None


def exit_with(message: str, code: int, trace: str | None = None) -> NoReturn:
    """Print a last line to stderr, without secrets, and exit."""
    line = visible(remove_secrets(message).strip())
    if len(line) > LONGEST:  # of a name that a file gives; the end says what to do
        line = f"{line[: LONGEST // 2]}…{line[-LONGEST // 2 :]}"
    click.echo(last_line(line, code, trace), err=True)
    sys.exit(code)
