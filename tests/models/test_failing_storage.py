"""S3 that fails: what passes is tried again, and what lasts is an error, not a missing file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from s3fs import S3FileSystem
from werkzeug.serving import make_server

from models.addresses import as_path, is_file

DATE = "Mon, 30 Nov 2026 00:00:00 GMT"
FOUND = [("Content-Length", "7"), ("ETag", '"1"'), ("Last-Modified", DATE)]


@contextmanager
def s3(*statuses: int) -> Iterator[list[str]]:
    """A server of one object, whose first answers have these statuses; how it was asked."""
    asked: list[str] = []

    def answer(request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        asked.append(request["REQUEST_METHOD"])
        status = statuses[len(asked) - 1] if len(asked) <= len(statuses) else 200
        start(f"{status} So", FOUND if status == 200 else [("Content-Length", "0")])
        return [b"content" if status == 200 and asked[-1] == "GET" else b""]

    server = make_server("127.0.0.1", 0, answer, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        S3FileSystem.clear_instance_cache()  # else it still talks to another server
        yield asked
        S3FileSystem.clear_instance_cache()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("status", [500, 503])
def test_what_fails_now_and_then_is_tried_again(status: int) -> None:
    with s3(status, status) as asked:
        assert is_file(as_path("s3://bucket/key"))
    assert asked == ["HEAD"] * 3


@pytest.mark.parametrize("status", [403, 500, 503])
def test_a_failure_that_lasts_does_not_say_that_there_is_no_file(status: int) -> None:
    with s3(*[status] * 50), pytest.raises(OSError):
        is_file(as_path("s3://bucket/key"))


def test_a_server_that_is_away_does_not_say_it_either() -> None:
    with s3(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        S3FileSystem.clear_instance_cache()
        with pytest.raises(OSError):
            is_file(as_path("s3://bucket/key"))
