"""Certificates by file: what is wrong with them is said in a line, before anything is started."""

from __future__ import annotations

from pathlib import Path

import dask
import pytest
from cryptography.hazmat.primitives import serialization
from pydantic import ValidationError

from models.errors import UserError
from tasks.execution.key_files import check_key_files
from tasks.execution.scheduler_address import check_scheduler, security_of
from tasks.execution.settings import ComputeSettings
from tests.support.dask_cluster import make_certificates

ADDRESS = "tls://127.0.0.1:9"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"), "client", "other")


def settings(folder: Path, **files: str | None) -> ComputeSettings:
    names = {"tls_ca_file": "ca.pem", "tls_cert": "client.pem", "tls_key": "client-key.pem"} | files
    paths = {key: None if name is None else str(folder / name) for key, name in names.items()}
    return ComputeSettings(dask=ADDRESS, **paths)


def test_good_files_are_dask_s_keys(folder: Path) -> None:
    security = security_of(settings(folder))
    assert security.require_encryption
    assert security.get_connection_args("client")["ssl_context"] is not None


def test_a_file_may_hold_certificate_and_key(folder: Path) -> None:
    both = (folder / "client.pem").read_text() + (folder / "client-key.pem").read_text()
    (folder / "both.pem").write_text(both)
    security = security_of(settings(folder, tls_cert="both.pem", tls_key=None))
    assert security.get_connection_args("client")["ssl_context"] is not None


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"tls_ca_file": "nowhere.pem"}, r"--tls-ca-file: there is no file \S+nowhere.pem"),
        ({"tls_cert": "nowhere.pem"}, "--tls-cert: there is no file"),
        ({"tls_key": "nowhere.pem"}, "--tls-key: there is no file"),
        ({"tls_cert": "client-key.pem"}, "holds no certificate as PEM"),
        ({"tls_key": None}, r"--tls-key: \S+client.pem holds no private key as PEM"),
        ({"tls_ca_file": "picture.png"}, "holds no certificate as PEM"),
        ({"tls_key": "locked.pem"}, "has a passphrase"),
    ],
    ids=str,
)
def test_a_wrong_file_is_refused(folder: Path, files: dict[str, str | None], words: str) -> None:
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n")
    (folder / "locked.pem").write_bytes(locked_key(folder))
    with pytest.raises(UserError, match=words) as refused:
        check_key_files(settings(folder, **files))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"ca-file": "nowhere.pem"}, r"distributed.comm.tls.ca-file: there is no file \S+nowhere"),
        ({"client.key": "nowhere.pem"}, "distributed.comm.tls.client.key: there is no file"),
        ({"client.key": "locked.pem"}, "has a passphrase"),
    ],
    ids=str,
)
def test_a_wrong_file_of_dask_s_own_settings_is_refused(
    folder: Path, files: dict[str, str], words: str
) -> None:
    """OpenSSL would ask for the passphrase, and wait."""
    (folder / "locked.pem").write_bytes(locked_key(folder))
    names = {"ca-file": "ca.pem", "client.cert": "client.pem", "client.key": "client-key.pem"}
    own = {f"distributed.comm.tls.{key}": str(folder / it) for key, it in (names | files).items()}
    with dask.config.set(own), pytest.raises(UserError, match=words):
        check_scheduler(ADDRESS, security_of(ComputeSettings(dask=ADDRESS)))


def locked_key(folder: Path) -> bytes:
    key = serialization.load_pem_private_key((folder / "client-key.pem").read_bytes(), None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )


def test_another_certificate_s_key_is_refused(folder: Path) -> None:
    security = security_of(settings(folder, tls_key="other-key.pem"))
    with pytest.raises(UserError, match="do not fit together"):
        check_scheduler(ADDRESS, security)


def test_no_key_is_printed(folder: Path) -> None:
    """Dask's settings may hold the key itself."""
    names = {"ca-file": "ca.pem", "client.cert": "client.pem", "client.key": "other-key.pem"}
    own = {f"distributed.comm.tls.{key}": (folder / it).read_text() for key, it in names.items()}
    with dask.config.set(own), pytest.raises(UserError, match="do not fit together") as refused:
        check_scheduler(ADDRESS, security_of(ComputeSettings(dask=ADDRESS)))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"dask": ADDRESS, "tls_cert": "client.pem"}, "belong together"),
        ({"dask": ADDRESS, "tls_key": "client-key.pem"}, "give all three"),
        ({"tls_ca_file": "ca.pem", "tls_cert": "client.pem"}, "give --dask tls://"),
        (
            {"dask": "tcp://127.0.0.1:9", "tls_ca_file": "ca.pem", "tls_cert": "client.pem"},
            "give --dask tls://",
        ),
    ],
    ids=str,
)
def test_certificates_that_would_not_be_used_are_refused(
    values: dict[str, str], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        ComputeSettings(**values)
