"""The files of the certificates by which a Dask cluster and this command know each other."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from models.errors import UserError
from tasks.execution.settings import ComputeSettings

LARGEST = 1 << 20  # bytes; certificates have a few thousand


class KeyFiles(NamedTuple):
    """The files, or by what names a user gives them."""

    authority: str | None
    certificate: str | None
    key: str | None


OPTIONS = KeyFiles("--tls-ca-file", "--tls-cert", "--tls-key")


def check_key_files(compute: ComputeSettings) -> None:
    """Refuse files of the options that are missing or hold something else; needs no Dask."""
    check_files(KeyFiles(compute.tls_ca_file, compute.tls_cert, compute.tls_key), OPTIONS)


def check_files(files: KeyFiles, names: KeyFiles) -> None:
    """Refuse files that are missing or hold something else."""
    key = files.key or files.certificate  # one file may hold both
    _check(files.authority, names.authority, "CERTIFICATE")
    _check(files.certificate, names.certificate, "CERTIFICATE")
    _check(key, names.key, "PRIVATE KEY")
    if key is not None and "ENCRYPTED" in Path(key).read_text(encoding="ascii"):
        raise UserError(
            f"the key in {key} has a passphrase, and nobody is there to type it: write it without "
            "(openssl pkey), and make the file readable to you alone"
        )


def _check(file: str | None, name: str | None, content: str) -> None:
    if file is None:
        return
    path = Path(file)
    if not path.is_file():
        raise UserError(f"{name}: there is no file {file}: give a PEM file")
    try:
        text = "" if path.stat().st_size > LARGEST else path.read_text(encoding="ascii")
    except PermissionError as error:
        raise UserError(f"{name}: {file} is not readable: give yourself the right") from error
    except UnicodeDecodeError:
        text = ""
    if f"{content}-----" not in text:
        raise UserError(
            f"{name}: {file} holds no {content.lower()} as PEM: give a file that has a line "
            f"-----BEGIN {content}-----"
        )
