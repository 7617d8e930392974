"""A web server on loopback that remembers every request, for what must (not) be fetched."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class WebServer:
    """What it answers by path, and what it was asked for."""

    address: str = ""
    files: dict[str, bytes | Answer] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, server: WebServer, *arguments: Any) -> None:
        self.site = server
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self.site.requests.append(self.path)
        answer = self.site.files.get(self.path)
        if callable(answer):
            answer(self)
        elif answer is None:
            self.send_error(404)
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    do_HEAD = do_POST = do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        pass


def redirect(target: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.end_headers()

    return answer


def trickle(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then, for ever: no wait for the next one is long."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x")
            time.sleep(0.05)
    except OSError:  # the client has left
        pass


def stay_silent(_: BaseHTTPRequestHandler) -> None:
    """No answer for longer than a test waits."""
    time.sleep(5)


@contextmanager
def serve() -> Iterator[WebServer]:
    site = WebServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, site))
    site.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
