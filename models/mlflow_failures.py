"""Why MLflow failed, in words without the names of Python's exceptions.

Its client wraps what requests, urllib3 and a socket, or SQLAlchemy and a database's driver raise,
and quotes them inside each other: the innermost says what happened.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

from models.addresses import describe_safely, remove_secrets
from models.errors import describe_error, describe_os_error

AWAY = (ConnectionError, TimeoutError, socket.gaierror)
LONGEST = 300  # characters
SPEAKERS = ("urllib3", "sqlite3", "psycopg2", "pymysql", "alembic", "mlflow")  # in sentences


def describe_failure(uri: str, error: Exception) -> str:
    """Which MLflow failed, and why, in one line without secrets."""
    is_away = any(isinstance(cause, AWAY) for cause in _causes(error))
    verb = "does not answer" if is_away else "failed"
    return f"MLflow at {remove_secrets(uri)} {verb} ({explain_failure(error)})"


def explain_failure(error: Exception) -> str:
    """What happened, in one line without secrets."""
    *_, innermost = _causes(error)
    words = _speak(innermost) or _speak(error) or describe_error(error)
    return remove_secrets(" ".join(words.split()))[:LONGEST]


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
