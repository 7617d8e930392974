"""Does a Dask scheduler answer at an address? Dask's client waits for ever where something else
accepts the connection and says nothing."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from distributed import Security
from distributed.comm import connect

from models.errors import UserError
from tasks.execution.key_files import KeyFiles, check_files, check_key_files
from tasks.execution.settings import ComputeSettings

DASKS_NAMES = KeyFiles(
    "distributed.comm.tls.ca-file",
    "distributed.comm.tls.client.cert",
    "distributed.comm.tls.client.key",
)
TIMEOUT = 10  # seconds for a scheduler to answer
# A scheduler without TLS speaks first: before our handshake has begun, or in the middle of it.
SPEAKS_PLAINLY = ("cannot convert to SSL", "WRONG_VERSION_NUMBER")


def security_of(compute: ComputeSettings) -> Security:
    """The keys that the settings name, else those of Dask's own settings, which may name none."""
    if compute.tls_ca_file is None:
        return Security()
    check_key_files(compute)
    return Security(
        require_encryption=True,
        tls_ca_file=compute.tls_ca_file,
        tls_client_cert=compute.tls_cert,
        tls_client_key=compute.tls_key,
    )


def check_scheduler(address: str, security: Security) -> None:
    """Refuse an address where no Dask scheduler answers in time, or one that knows other keys."""
    keys = _connection_keys(security)
    if address.startswith("tls://") and keys["ssl_context"] is None:
        raise UserError(
            f"the Dask scheduler at {address} asks for a certificate: give --tls-ca-file, "
            "--tls-cert and --tls-key (or distributed.comm.tls in Dask's settings), or leave "
            "--dask out for a local cluster"
        )
    with ThreadPoolExecutor(1) as thread:  # the caller's may have an event loop of its own
        try:
            thread.submit(asyncio.run, _greet(address, keys)).result()
        except Exception as error:  # whatever may answer at the address
            raise UserError(
                _describe_keys(error, address, security)
                or f"no Dask scheduler answers at {address} within {TIMEOUT} s: start one (dask "
                "scheduler) and give its address, such as tcp://10.0.0.1:8786, or tls://… where "
                "it has keys, or leave --dask out for a local cluster"
            ) from error


def _connection_keys(security: Security) -> dict[str, object]:
    files = KeyFiles(security.tls_ca_file, security.tls_client_cert, security.tls_client_key)
    if any("\n" in (file or "") for file in files):  # Dask takes the keys themselves, too
        files = DASKS_NAMES  # which are no secrets
    else:
        check_files(files, DASKS_NAMES)
    try:
        keys: dict[str, object] = security.get_connection_args("client")
    except (OSError, ValueError) as error:  # of which ssl's are; files that belong to nothing
        raise UserError(
            f"certificate {files.certificate}, its key {files.key or files.certificate} and the "
            f"authority's certificate {files.authority} do not fit together: give the key that the "
            "certificate was made with"
        ) from error
    return keys


def _describe_keys(error: BaseException, address: str, security: Security) -> str | None:
    """What two sides that know different certificates should do; None of any other failure."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate of the Dask scheduler at {address} is not accepted "
                f"({cause.verify_message}): give the certificate of the authority that signed it "
                f"in place of {security.tls_ca_file}, or renew it"
            )
        if any(words in str(cause) for words in SPEAKS_PLAINLY):
            return f"what answers at {address} has no TLS: give tcp://…, or start it with keys"
    if any("_ALERT_" in str(cause) or isinstance(cause, ssl.SSLEOFError) for cause in causes):
        return (  # an alert is the other side's word, and it may hang up before we have read it
            f"the Dask scheduler at {address} refuses the certificate "
            f"{security.tls_client_cert}: give one that its authority has signed and that "
            "has not expired"
        )
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


async def _greet(address: str, keys: dict[str, object]) -> None:
    connection = await asyncio.wait_for(connect(address, timeout=TIMEOUT, **keys), TIMEOUT)
    await connection.close()
