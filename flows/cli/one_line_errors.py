"""How a command ends: with one line for an error, and an exit code that says whose it was."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from models.addresses import as_os_errors
from models.errors import Unfinished, UserError, describe_error

FAILURE = 3  # ours; the others are in models/errors.py


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Report a user's error in one line; show a traceback only for our own failures."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        with as_os_errors():
            _check_working_folder()
            yield
    except (UserError, Unfinished) as error:
        exit_with(str(error), error.exit_code)
    except click.Abort:  # a question was not answered
        exit_with("nothing was done: answer the question, or pass --yes", UserError.exit_code)
    except OSError as error:  # a full disk, or storage that does not answer
        exit_with(f"{describe_error(error)}; what was written before is kept", FAILURE)
    except Exception:  # ours: the traceback is needed to mend it
        traceback.print_exc()
        exit_with("this is a failure of Sightline, not of yours", FAILURE)
    except KeyboardInterrupt:
        exit_with("stopped; what was computed is kept, and the same command continues", FAILURE)


def _check_working_folder() -> None:
    """Refuse a folder that was deleted: torch ends the process there without a word of ours."""
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise UserError("the working folder is gone: change to one that exists") from error


def _stop(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def exit_with(message: str, code: int) -> NoReturn:
    """Print a last line to stderr and exit."""
    click.echo(f"sightline: {' '.join(message.split())}", err=True)
    sys.exit(code)
