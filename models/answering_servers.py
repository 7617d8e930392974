"""Does a web server finish an answer in time? A client that waits for each byte anew waits for ever
for a server that sends one now and then."""

from __future__ import annotations

import threading
import urllib.request
from contextlib import suppress

TIMEOUT = 20.0  # seconds for a whole answer


def check_answer(uri: str) -> None:
    """Raise a TimeoutError where a server's answer does not end; a database is not asked."""
    if not uri.startswith(("http://", "https://")):
        return
    thread = threading.Thread(target=_read, args=(f"{uri}/health",), daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    if thread.is_alive():
        raise TimeoutError(f"it did not finish an answer within {TIMEOUT:.0f} seconds")


def _read(url: str) -> None:
    """Read any answer; a refusal is one, too, which the server's own client explains."""
    with suppress(Exception), urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
        answer.read(1 << 16)
