"""The files of the certificates by which a Dask cluster and this command know each other."""

from __future__ import annotations

from pathlib import Path

from models.errors import UserError
from tasks.execution.settings import ComputeSettings

LARGEST = 1 << 20  # bytes; certificates have a few thousand


def check_key_files(compute: ComputeSettings) -> None:
    """Refuse files that are missing or hold something else; needs no Dask."""
    key = compute.tls_key or compute.tls_cert  # one file may hold both
    _check(compute.tls_ca_file, "--tls-ca-file", "CERTIFICATE")
    _check(compute.tls_cert, "--tls-cert", "CERTIFICATE")
    _check(key, "--tls-key", "PRIVATE KEY")
    if key is not None and "ENCRYPTED" in Path(key).read_text(encoding="ascii"):
        raise UserError(
            f"the key in {key} has a passphrase, and nobody is there to type it: write it without "
            "(openssl pkey), and make the file readable to you alone"
        )


def _check(file: str | None, option: str, content: str) -> None:
    if file is None:
        return
    path = Path(file)
    if not path.is_file():
        raise UserError(f"{option}: there is no file {file}: give a PEM file")
    try:
        text = "" if path.stat().st_size > LARGEST else path.read_text(encoding="ascii")
    except PermissionError as error:
        raise UserError(f"{option}: {file} is not readable: give yourself the right") from error
    except UnicodeDecodeError:
        text = ""
    if f"{content}-----" not in text:
        raise UserError(
            f"{option}: {file} holds no {content.lower()} as PEM: give a file that has a line "
            f"-----BEGIN {content}-----"
        )
