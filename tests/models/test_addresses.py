"""Addresses are found or refused in one line, and told without the passwords that they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.addresses import (
    as_path,
    describe_safely,
    has_password,
    is_local,
    read_text,
    without_secrets,
)
from models.errors import AddressError


@pytest.mark.parametrize("prefix", ["", "file://", "local://"])
def test_local_places_are_absolute(
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
        ("://x", "://x is no address: it needs a protocol, such as s3://"),
        ("nofs://x", "nofs://x is no address that fsspec knows ("),
    ],
)
def test_what_is_no_address_is_one_line(address: str, line: str) -> None:
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
def test_a_password_is_seen_and_never_told(address: str) -> None:
    assert has_password(address)
    assert without_secrets(address) == SECRET[address]
    assert without_secrets(f"GET {address} failed: why?") == f"GET {SECRET[address]} failed: why?"


@pytest.mark.parametrize("address", HARMLESS)
def test_what_holds_none_stays_as_it_is(address: str) -> None:
    assert not has_password(address)
    assert without_secrets(address) == address


def test_tokens_are_not_told_either() -> None:
    assert without_secrets("https://t0ken@mlflow:5000/a") == "https://mlflow:5000/a"
    assert without_secrets("'https://mlflow/a?key=t0ken' is away") == "'https://mlflow/a' is away"


def test_an_error_is_a_cause_only_where_its_traceback_may_be_read() -> None:
    try:
        try:
            raise OSError("http://me:s3cret@mlflow is away")
        except OSError as error:
            raise RuntimeError("no answer") from error
    except RuntimeError as error:
        assert describe_safely(error) == ("RuntimeError: no answer", None)
    harmless = OSError("http://mlflow is away")
    assert describe_safely(harmless) == ("OSError: http://mlflow is away", harmless)
