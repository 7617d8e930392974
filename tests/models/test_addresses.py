"""Addresses are resolved or refused in one line, and logged without their passwords."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models.addresses import (
    as_path,
    describe_safely,
    has_password,
    is_local,
    read_text,
    remove_secrets,
)
from models.errors import AddressError


@pytest.mark.parametrize("prefix", ["", "file://", "local://"])
def test_local_paths_are_absolute(
    prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("note.txt").write_text("words", encoding="utf-8")
    assert str(as_path(f"{prefix}note.txt")) == str(tmp_path / "note.txt")
    assert is_local(as_path(f"{prefix}{tmp_path}/note.txt"))
    assert read_text(f"{prefix}{tmp_path}/note.txt") == "words"


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("://x", "://x is not an address: it needs a protocol, such as s3://"),
        ("nofs://x", "nofs://x is not an address that fsspec knows ("),
    ],
)
def test_what_is_not_an_address_is_refused_in_one_line(address: str, line: str) -> None:
    for reach in (as_path, read_text):
        with pytest.raises(AddressError) as caught:
            reach(address)
        assert str(caught.value).startswith(line)


SECRET = {
    "http://me:s3cret@mlflow:5000": "http://mlflow:5000",
    "https://me:s3cret@mlflow/path": "https://mlflow/path",
    "https://me:12345@mlflow": "https://mlflow",
    "https://me:s3@cret@mlflow": "https://mlflow",
    "postgresql://me:s3/cret@mlflow/runs": "postgresql://mlflow/runs",
    "redis://:s3cret@mlflow/0": "redis://mlflow/0",
    "zip://a.csv::https://me:s3cret@there/a.zip": "zip://a.csv::https://there/a.zip",
}
HARMLESS = (
    "http://mlflow:5000",
    "http://mlflow:5000/models/scenes@champion",
    "http://[::1]:5000/a@b",
    "sqlite:////home/me@there/a:b@c.db",
    "file:///home/me:here@there/a",
    "s3://bucket/night:2@x/run",
    "zip://a.csv::s3://bucket/me@there/a.zip",
    "mlflow:models:/scenes@champion",
    "/home/me:here@there",
    "databricks://profile:scope",
)


@pytest.mark.parametrize("address", SECRET)
def test_passwords_are_found_and_removed(address: str) -> None:
    assert has_password(address)
    assert remove_secrets(address) == SECRET[address]
    assert remove_secrets(f"GET {address} failed: why?") == f"GET {SECRET[address]} failed: why?"


@pytest.mark.parametrize("address", HARMLESS)
def test_addresses_without_a_password_stay_as_they_are(address: str) -> None:
    assert not has_password(address)
    assert remove_secrets(address) == address


def test_tokens_are_removed_too() -> None:
    assert remove_secrets("https://t0ken@mlflow:5000/a") == "https://mlflow:5000/a"
    assert remove_secrets("'https://mlflow/a?key=t0ken' is away") == "'https://mlflow/a' is away"


def test_an_error_whose_traceback_contains_a_password_is_dropped() -> None:
    try:
        try:
            raise OSError("http://me:s3cret@mlflow is away")
        except OSError as error:
            raise RuntimeError("no answer") from error
    except RuntimeError as error:
        assert describe_safely(error) == ("RuntimeError: no answer", None)
    harmless = OSError("http://mlflow is away")
    assert describe_safely(harmless) == ("OSError: http://mlflow is away", harmless)


@pytest.mark.timeout(20)
def test_a_pipe_or_a_device_is_refused_without_reading_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(AddressError, match=f"{path} is a pipe or a device, not a file"):
            read_text(path)
    assert read_text(tmp_path) is None
    assert read_text(tmp_path / "nothing") is None
