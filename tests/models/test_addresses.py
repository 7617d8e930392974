"""Addresses are resolved or refused in one line, and logged without their passwords."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models import addresses
from models.addresses import (
    as_path,
    describe_safely,
    has_secret,
    is_local,
    local_copy,
    place_of,
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


FORMS = "an address is a path or begins with s3://, gs:// or abfs://, not "


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("://x", f"://x: {FORMS}://: copy the files there"),
        ("nofs://x", f"nofs://x: {FORMS}nofs://: copy the files there"),
        ("S3://x", f"S3://x: {FORMS}S3://: copy the files there"),
        (" s3://x", f" s3://x: {FORMS} s3://: copy the files there"),
        ("zip://a::s3://x", f"zip://a::s3://x: {FORMS}a chain (::): copy the files there"),
        ("s3://x/http://y", f"s3://x/http://y: {FORMS}an address in another: copy the files there"),
        ("s3://x/a::zip", f"s3://x/a::zip: {FORMS}a chain (::): copy the files there"),
        ("file://zip://x", f"zip://x: {FORMS}zip://: copy the files there"),
        ("https://x/a?key=t0ken", "https://x/a: http:// and https:// are read only for the images"),
        ("ftp://me:s3cret@x", f"ftp://x: {FORMS}ftp://: copy the files there"),
    ],
)
def test_what_is_not_an_address_is_refused_in_one_line(address: str, line: str) -> None:
    for reach in (as_path, read_text):
        with pytest.raises(AddressError) as caught:
            reach(address)
        assert str(caught.value).startswith(line)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("s3://bucket/a/b.png", "s3://bucket"),
        ("s3://bucket", "s3://bucket"),
        ("abfs://container@account/a", "abfs://container@account"),
        ("https://there:8080/a://b", "https://there:8080"),
        ("https://there\\@elsewhere/a", "https://there\\@elsewhere"),
        ("https://there?@elsewhere/a", "https://there?@elsewhere"),
        ("https://there#@elsewhere/a", "https://there#@elsewhere"),
    ],
)
def test_a_place_is_everything_before_the_path(address: str, place: str) -> None:
    """However a client may read what stands there, it is another place than an allowed one."""
    assert place_of(address) == place


def test_a_remote_copy_has_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    as_path("memory://copied/w.pt").write_bytes(bytes(2000))
    with local_copy("memory://copied/w.pt") as path:
        assert path is not None
        assert path.read_bytes() == bytes(2000)
    for name, value, words in (
        ("LARGEST_COPY", 1000, "w.pt is larger than"),
        ("LONGEST_COPY", -1.0, "w.pt takes longer than"),
    ):
        monkeypatch.setattr(addresses, name, value)
        with pytest.raises(AddressError, match=words), local_copy("memory://copied/w.pt"):
            pass
        monkeypatch.undo()


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
    "abfs://container@account.dfs.core.windows.net/a",
    "/home/me/what?key=b",
)


@pytest.mark.parametrize("address", SECRET)
def test_passwords_are_found_and_removed(address: str) -> None:
    assert has_secret(address)
    assert remove_secrets(address) == SECRET[address]
    assert remove_secrets(f"GET {address} failed: why?") == f"GET {SECRET[address]} failed: why?"


@pytest.mark.parametrize("address", HARMLESS)
def test_addresses_without_a_password_stay_as_they_are(address: str) -> None:
    assert not has_secret(address)
    assert remove_secrets(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "https://t0ken@there/list.csv",
        "https://there/a.png?X-Amz-Credential=me&X-Amz-Signature=t0ken",
        "https://there/a.png?s=t0ken",  # signatures have many names
        "HTTPS://there/a.png?sv=2024&sig=t0ken",
        "abfs://container@account/a.png?sv=2024&sig=t0ken",
        "s3://bucket/a.png?X-Amz-Security-Token=t0ken",
        "s3://bucket/a.png?AWSAccessKeyId=t0ken&Expires=1",
        "postgresql://there/runs?user=me&password=t0ken",
    ],
)
def test_tokens_and_signatures_are_found_and_removed(address: str) -> None:
    assert has_secret(address)
    assert has_secret(f"see {address}, please")
    assert "t0ken" not in remove_secrets(f"see {address} please")


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
