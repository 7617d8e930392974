"""Remote bodies are read whole or refused: too large, too slow, or from another server."""

from __future__ import annotations

import time
from collections.abc import Iterator

import fsspec
import pytest

from models.addresses import as_path
from tasks.storage import remote_bytes
from tasks.storage.files import read_bytes
from tests.support.s3_server import serve_bucket
from tests.support.web_server import WebServer, redirect, serve, stay_silent, trickle


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with serve() as site:
        yield site


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with serve_bucket("bytes") as address:
        yield address


def test_a_file_on_a_web_server_is_read(site: WebServer) -> None:
    site.files["/a%20b.png"] = b"content"
    assert read_bytes(f"{site.address}/a b.png") == b"content"


def test_a_missing_file_is_an_os_error(site: WebServer) -> None:
    with pytest.raises(OSError, match="the server answers 404 Not Found"):
        read_bytes(f"{site.address}/nowhere.png")


def test_no_redirect_is_followed(site: WebServer) -> None:
    site.files |= {"/a.png": redirect(f"{site.address}/b.png"), "/b.png": b"other"}
    with pytest.raises(OSError, match="the server answers 302"):
        read_bytes(f"{site.address}/a.png")
    assert site.requests == ["/a.png"]


def test_a_body_that_trickles_is_given_up(site: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    site.files["/a.png"] = trickle
    monkeypatch.setattr(remote_bytes, "LONGEST", 1.0)
    start = time.monotonic()
    with pytest.raises(OSError, match="not read in time, at most 1 seconds"):
        read_bytes(f"{site.address}/a.png")
    assert time.monotonic() - start < 60  # it would never end


def test_a_silent_server_is_given_up(site: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    site.files["/a.png"] = stay_silent
    monkeypatch.setattr(remote_bytes, "SILENCE", 1.0)
    remote_bytes._client.cache_clear()  # which has the usual limit
    try:
        with pytest.raises(OSError, match="the server is silent for 1 seconds"):
            read_bytes(f"{site.address}/a.png")
    finally:
        remote_bytes._client.cache_clear()


def test_a_large_body_is_refused(site: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_bytes, "LARGEST", 1000)
    memory = fsspec.filesystem("memory")
    for size in (1000, 1001):
        site.files["/a.png"] = bytes(size)
        memory.pipe_file("/large/a.png", bytes(size))
        for address in (f"{site.address}/a.png", "memory://large/a.png"):
            if size == 1000:
                assert read_bytes(address) == bytes(size)
            else:
                with pytest.raises(OSError, match="it is larger than"):
                    read_bytes(address)


def test_a_server_that_is_away_is_an_os_error() -> None:
    with pytest.raises(OSError, match="ConnectError"):
        read_bytes("http://127.0.0.1:9/a.png")


def test_an_empty_file_on_storage_is_read(bucket: str) -> None:
    (as_path(bucket) / "empty").write_bytes(b"")
    (as_path(bucket) / "full").write_bytes(b"full")
    assert read_bytes(f"{bucket}/empty") == b""
    assert read_bytes(f"{bucket}/full") == b"full"
    with pytest.raises(FileNotFoundError):
        read_bytes(f"{bucket}/nowhere")


def test_a_large_file_on_storage_is_refused(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_bytes, "LARGEST", 1000)
    (as_path(bucket) / "large").write_bytes(bytes(1001))
    with pytest.raises(OSError, match="it is larger than"):
        read_bytes(f"{bucket}/large")
