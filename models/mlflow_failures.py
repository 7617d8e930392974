"""Why MLflow failed, in words without the names of Python's exceptions.

Its client wraps what requests, urllib3 and a socket, or SQLAlchemy and a database's driver raise,
and quotes them inside each other: the innermost says what happened.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from models.addresses import describe_safely, remove_secrets
from models.errors import describe_error, describe_os_error

AWAY = (ConnectionError, TimeoutError, socket.gaierror)
LONGEST = 300  # characters
MIGRATIONS = "store/db_migrations/versions"  # in MLflow's package: a file per schema
REVISION = re.compile(  # of a database, as Alembic or MLflow names it
    r"No such revision or branch '(\w+)'|database schema \(found version (\w+)"
)
SPEAKERS = ("urllib3", "sqlite3", "psycopg2", "pymysql", "alembic", "mlflow")  # in sentences


def describe_failure(uri: str, error: Exception) -> str:
    """Which MLflow failed, and why, in one line without secrets."""
    is_away = any(isinstance(cause, AWAY) for cause in _causes(error))
    verb = "does not answer" if is_away else "failed"
    return f"MLflow at {remove_secrets(uri)} {verb} ({explain_failure(error)})"


def explain_failure(error: Exception) -> str:
    """What happened, in one line without secrets."""
    *_, innermost = _causes(error)
    schema = _explain_schema(error)
    words = schema or _speak(innermost) or _speak(error) or describe_error(error)
    return remove_secrets(" ".join(words.split()))[:LONGEST]


def _explain_schema(error: Exception) -> str:
    """Which MLflow a database needs that a newer one has changed; empty for any other failure.

    MLflow itself proposes to upgrade the database, whichever of both is newer.
    """
    found = (match for cause in _causes(error) if (match := REVISION.search(str(cause))))
    revision = next((match[1] or match[2] for match in found), None)
    package = find_spec("mlflow")
    if revision is None or package is None or package.origin is None:
        return ""
    if any((Path(package.origin).parent / MIGRATIONS).glob(f"{revision}_*.py")):
        return ""
    return (
        f"its database was changed by a newer MLflow (its schema {revision} is unknown to "
        f"{version('mlflow')}): install that version, or move the database away"
    )


def safe_cause(error: Exception) -> Exception | None:
    """The error, unless its traceback contains a secret."""
    return describe_safely(error)[1]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what caused it, what caused that: urllib3 also keeps causes as arguments."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        given = [it for it in cause.args if isinstance(it, BaseException)]
        cause = cause.__cause__ or cause.__context__ or (given[-1] if given else None)


def _speak(error: BaseException) -> str:
    """Its words, where they are meant for people."""
    if isinstance(error, OSError):
        return describe_os_error(error)
    package = type(error).__module__.partition(".")[0]
    return str(error) if isinstance(error, ImportError) or package in SPEAKERS else ""
