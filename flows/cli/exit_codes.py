"""How a command ends: one line for an error, and the exit code that says whose it was."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import click

from models.addresses import as_os_errors
from models.errors import Unfinished, UserError, describe_error

FAILURE = 3  # ours; models/errors.py has the others


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Report a user's error in one line; only our own failures show a traceback."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        with as_os_errors():
            yield
    except (UserError, Unfinished) as error:
        leave(str(error), error.exit_code)
    except click.Abort:  # a question without an answer
        leave("nothing was done: answer the question, or pass --yes", UserError.exit_code)
    except OSError as error:  # a full disk, storage that is away
        leave(f"{describe_error(error)}; what was written before is kept", FAILURE)
    except Exception:  # ours: whoever mends it needs the traceback
        traceback.print_exc()
        leave("this is a failure of Sightline, not of yours", FAILURE)
    except KeyboardInterrupt:
        leave("stopped; what was computed is kept, and the same command continues", FAILURE)


def _stop(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def leave(message: str, code: int) -> NoReturn:
    """Exit with a last line on stderr."""
    click.echo(f"sightline: {' '.join(message.split())}", err=True)
    sys.exit(code)
