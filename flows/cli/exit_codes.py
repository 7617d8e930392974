"""How a command ends: one line for a mistake, and the exit code that says whose it was."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import click

from models.classifier.mlflow_models import RegistryAway
from models.errors import Mistake, told
from tasks.catalog.formats import NothingToAudit
from tasks.execution.run_shards import UnfinishedRun
from tasks.storage.files import answering
from tasks.tracking.audit_run import PublishError

REFUSED, MISTAKE, FAILURE, NOTHING = 1, 2, 3, 4


@contextmanager
def one_line_errors() -> Iterator[None]:
    """A mistake is one line and exit code 2; only our own failures show where they happened."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        with answering():
            yield
    except NothingToAudit as error:
        leave(str(error), NOTHING)
    except (UnfinishedRun, PublishError, RegistryAway) as error:
        leave(str(error), FAILURE)
    except Mistake as error:
        leave(str(error), MISTAKE)
    except click.Abort:  # a question and nobody to answer it
        leave("nothing was done: answer the question, or pass --yes", MISTAKE)
    except OSError as error:  # a full disk, storage that is away
        leave(f"{told(error)}; what was written before is kept", FAILURE)
    except Exception:  # ours: the traceback is for whoever mends it
        traceback.print_exc()
        leave("this is a failure of Sightline, not of yours", FAILURE)
    except KeyboardInterrupt:
        leave("stopped; what was computed is kept, and the same command continues", FAILURE)


def _stop(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def leave(message: str, code: int) -> NoReturn:
    """The last line on stderr."""
    click.echo(f"sightline: {' '.join(message.split())}", err=True)
    sys.exit(code)
