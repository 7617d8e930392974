"""What is said of an MLflow that fails: the reason, without the words of the libraries below it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from models.mlflow_failures import describe_failure, explain_failure, safe_cause
from tasks.tracking.mlflow_client import connect, find_experiment
from tasks.tracking.settings import Tracking
from tests.hostile.hostile_input import PYTHON


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def failure_of(uri: str) -> str:
    with pytest.raises(Exception) as caught:
        find_experiment(connect(Tracking(uri, "any")), Tracking(uri, "any"))
    line = describe_failure(uri, caught.value)
    assert "\n" not in line
    assert PYTHON.search(line) is None, line
    return line


@contextmanager
def server_that(answer: Any) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_server_that_is_away_is_named_without_secrets() -> None:
    line = failure_of("http://me:s3cret@127.0.0.1:9")
    assert line == "MLflow at http://127.0.0.1:9 does not answer (Connection refused)"


def test_a_name_that_nobody_knows() -> None:
    line = failure_of("http://nowhere.invalid:5")
    assert line.startswith("MLflow at http://nowhere.invalid:5 does not answer (")


def test_a_connection_that_is_cut() -> None:
    with server_that(lambda handler: handler.connection.close()) as uri:
        line = failure_of(uri)
    assert line.startswith(f"MLflow at {uri} does not answer (")
    assert "closed" in line or "reset" in line


def test_a_server_that_answers_with_errors() -> None:
    with server_that(lambda handler: handler.send_error(503)) as uri:
        assert failure_of(uri).startswith(f"MLflow at {uri} failed (")


def test_a_server_that_speaks_no_tls() -> None:
    with server_that(lambda handler: handler.send_error(400)) as uri:
        assert "SSL" in failure_of(uri.replace("http", "https"))


def test_a_damaged_database(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 16)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert failure_of(uri) == f"MLflow at {uri} failed (file is not a database)"


@pytest.fixture(params=["empty", "whole"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Without tables MLflow asks Alembic for the schema, with tables it looks itself."""
    path = tmp_path / "mlflow.db"
    if request.param == "whole":
        connect(Tracking(f"sqlite:///{path}", "any")).search_experiments()
        shutil.copy(path, tmp_path / "other.db")  # MLflow has looked at the first one already
        return tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('none')")
    return path


def set_schema(database: Path, revision: str) -> str:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    return f"sqlite:///{database}"


def test_a_database_of_a_newer_version(database: Path) -> None:
    uri = set_schema(database, "ffffffffffff")
    assert failure_of(uri) == (
        f"MLflow at {uri} failed (its database was changed by a newer MLflow (its schema "
        f"ffffffffffff is unknown to {version('mlflow')}): install that version, or move the "
        "database away)"
    )


@pytest.mark.parametrize("database", ["whole"], indirect=True)
def test_a_database_of_an_older_version_is_to_be_upgraded(database: Path) -> None:
    line = failure_of(set_schema(database, "f5a4f2784254"))
    assert "mlflow db upgrade" in line
    assert "newer" not in line


def test_a_driver_that_is_not_installed() -> None:
    assert "No module named 'nothing'" in explain_failure(ImportError("No module named 'nothing'"))


def test_pythons_own_errors_keep_their_type() -> None:
    assert explain_failure(KeyError("run")) == "KeyError: 'run'"


def test_a_cause_with_a_secret_is_not_handed_on() -> None:
    assert safe_cause(OSError("https://me:s3cret@host/x failed")) is None
    plain = OSError("no space")
    assert safe_cause(plain) is plain
