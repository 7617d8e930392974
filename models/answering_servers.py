"""Does a web server finish an answer in time? A client that waits for each byte anew waits for ever
for a server that sends one now and then."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from base64 import b64encode
from http.client import HTTPResponse
from typing import cast
from urllib.parse import unquote, urlsplit, urlunsplit

TIMEOUT = 20.0  # seconds for a whole answer


def open_url(url: str, timeout: float) -> HTTPResponse:
    """Open an address, also one with a user and a password, which urllib takes for the host."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=host)))
    if user:
        request.add_header("Authorization", f"Basic {b64encode(unquote(user).encode()).decode()}")
    return cast(HTTPResponse, urllib.request.urlopen(request, timeout=timeout))


def check_answer(uri: str) -> None:
    """Raise a TimeoutError where a server's answer does not end; a database is not asked.

    Other errors are left to the server's own client, which explains them better.
    """
    fault = find_fault(f"{uri}/health") if uri.startswith(("http://", "https://")) else None
    if isinstance(fault, TimeoutError):
        raise fault


def find_fault(url: str) -> Exception | None:
    """Why the address gives no answer; a refusal is an answer."""
    faults: list[Exception | None] = []
    thread = threading.Thread(target=lambda: faults.append(_read(url)), daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    if faults:
        return faults[0]
    return TimeoutError(f"it did not finish an answer within {TIMEOUT:g} seconds")


def _read(url: str) -> Exception | None:
    try:
        with open_url(url, timeout=2 * TIMEOUT) as answer:
            answer.read(1 << 16)
    except urllib.error.HTTPError:
        return None
    except Exception as error:  # an address that is none, a name that is unknown, a closed port
        reason = getattr(error, "reason", None)  # urllib wraps what it meets
        return reason if isinstance(reason, Exception) else error
    return None
