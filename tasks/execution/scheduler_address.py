"""Does a Dask scheduler answer at an address? Dask's client waits for ever where something else
accepts the connection and says nothing."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from distributed import Security
from distributed.comm import connect

from models.errors import UserError

TIMEOUT = 10  # seconds for a scheduler to answer


def check_scheduler(address: str) -> None:
    """Refuse an address where no Dask scheduler answers in time."""
    keys = Security().get_connection_args("client")  # of Dask's own settings
    if address.startswith("tls://") and keys["ssl_context"] is None:
        raise UserError(
            f"the Dask scheduler at {address} needs keys and Dask's settings name none: set "
            "distributed.comm.tls (ca-file, client.key, client.cert) in ~/.config/dask, or leave "
            "--dask out for a local cluster"
        )
    with ThreadPoolExecutor(1) as thread:  # the caller's may have an event loop of its own
        try:
            thread.submit(asyncio.run, _greet(address, keys)).result()
        except Exception as error:  # whatever may answer at the address
            raise UserError(
                f"no Dask scheduler answers at {address} within {TIMEOUT} s: start one (dask "
                "scheduler) and give its address, such as tcp://10.0.0.1:8786, or leave --dask out "
                "for a local cluster"
            ) from error


async def _greet(address: str, keys: dict[str, object]) -> None:
    connection = await asyncio.wait_for(connect(address, timeout=TIMEOUT, **keys), TIMEOUT)
    await connection.close()
