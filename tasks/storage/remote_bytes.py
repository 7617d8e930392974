"""Bodies of remote files, never larger and never longer than the limits here."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Coroutine
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from fsspec.asyn import get_loop, sync
from upath import UPath

if TYPE_CHECKING:  # takes a while to import, and only addresses of web servers need it
    import httpx

LARGEST = 1 << 30  # bytes of a picture, a mask or a small table
LONGEST = 120.0  # seconds from the request to the last byte
SILENCE = 20.0  # seconds that a web server may take to answer, and between two of its bytes
CONNECTIONS = 32  # to all web servers at once


def read_object(target: UPath) -> bytes:
    """All bytes of a file on storage; an OSError says that it is too large or too slow."""
    return _refuse_large(read_start(target, LARGEST + 1))


def read_start(target: UPath, size: int) -> bytes:
    """The first bytes of a file on storage, in one request; all if it has no more."""
    path = target.path
    if not target.fs.async_impl:
        return cast(bytes, target.fs.cat_file(path, end=size))
    try:
        return cast(bytes, _in_time(target.fs._cat_file, path, start=0, end=size))
    except OSError as error:
        if error.errno == errno.EINVAL and _in_time(target.fs._info, path)["size"] == 0:
            return b""  # which has no valid range
        raise


def download(address: str) -> bytes:
    """All bytes at an address of a web server, without following it to another one."""
    return _refuse_large(_in_time(_get, _client(get_loop()), address))


async def _get(client: httpx.AsyncClient, address: str) -> bytes:
    import httpx

    content = bytearray()
    try:
        async with client.stream("GET", address) as response:
            if response.status_code != 200:
                raise OSError(f"the server answers {response.status_code} {response.reason_phrase}")
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) > LARGEST:
                    break
    except httpx.TimeoutException as error:
        raise OSError(f"the server is silent for {SILENCE:.0f} seconds") from error
    return bytes(content)


@lru_cache(maxsize=1)
def _client(_: asyncio.AbstractEventLoop) -> httpx.AsyncClient:
    """One for each event loop, since it keeps its connections."""
    import httpx

    return httpx.AsyncClient(
        follow_redirects=False,  # to a server that nobody named
        headers={"Accept-Encoding": "identity"},  # what is unpacked has no limit
        limits=httpx.Limits(max_connections=CONNECTIONS),
        timeout=SILENCE,
    )


def _in_time(work: Callable[..., Coroutine[Any, Any, Any]], *args: Any, **options: Any) -> Any:
    try:
        return sync(get_loop(), work, *args, timeout=LONGEST, **options)
    except TimeoutError as error:
        message = f"it was not read in time, at most {LONGEST:.0f} seconds"
        raise OSError(errno.ETIMEDOUT, message) from error


def _refuse_large(content: bytes) -> bytes:
    if len(content) > LARGEST:
        raise OSError(errno.EFBIG, f"it is larger than {LARGEST >> 30} GiB")
    return content
