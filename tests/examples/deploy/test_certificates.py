"""The certificates of the example hold where they are checked strictly, as from Python 3.13 on."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

from tests.support.dask_cluster import make_certificates


def test_both_sides_are_accepted(tmp_path: Path) -> None:
    folder = make_certificates(tmp_path, "scheduler", "client")
    to_client, to_scheduler = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = keys_of(folder, "client", ssl.Purpose.SERVER_AUTH).wrap_bio(to_client, to_scheduler)
    scheduler = keys_of(folder, "scheduler", ssl.Purpose.CLIENT_AUTH).wrap_bio(
        to_scheduler, to_client, server_side=True
    )
    for side in 2 * (client, scheduler):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    assert "('commonName', 'scheduler')" in str(client.getpeercert())
    assert "('commonName', 'client')" in str(scheduler.getpeercert())


def keys_of(folder: Path, name: str, purpose: ssl.Purpose) -> ssl.SSLContext:
    """As Dask uses them, which compares no host names."""
    context = ssl.create_default_context(purpose, cafile=folder / "ca.pem")
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}-key.pem")
    return context
