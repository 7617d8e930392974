"""A real MLflow server on loopback, and a line to it that loses answers."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.waiting import PATIENCE, answers, wait_until

MLFLOW = str(Path(sys.executable).with_name("mlflow"))


@dataclass
class Server:
    """`mlflow server` on SQLite with its files beside it; it can be killed and started again."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        store = ("--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}")
        files = ("--artifacts-destination", str(self.folder / "artifacts"))
        where = ("--host", "127.0.0.1", "--port", str(self.port), "--workers", "1")
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [MLFLOW, "server", *store, *files, *where],
                stdout=log,
                stderr=log,
                start_new_session=True,  # it starts processes of its own
            )
        is_up = wait_until(lambda: answers(f"{self.uri}/health"))
        assert is_up, (self.folder / "server.log").read_text()

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)
            self.process = None


@dataclass
class Line:
    """A way to the server on which the answer to one request, the nth, is lost."""

    server: Server
    lost: int | None = None  # counted from 0
    cut: bool = False  # and nothing passes afterwards
    passed: int = 0
    port: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def number(self) -> int:
        with self.lock:
            self.passed += 1
            return self.passed - 1

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        number = self.number()
        lost = self.lost if self.lost is not None else sys.maxsize
        if self.cut and number > lost:
            request.close_connection = True
            return
        length = int(request.headers.get("Content-Length") or 0)
        server = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE)
        server.request(
            request.command, request.path, request.rfile.read(length), dict(request.headers)
        )
        answer = server.getresponse()
        content = answer.read()
        server.close()
        request.close_connection = True
        if number != lost:
            request.send_response(answer.status)
            request.send_header("Content-Type", answer.headers.get("Content-Type", ""))
            request.send_header("Content-Length", str(len(content)))
            request.end_headers()
            request.wfile.write(content)


@contextmanager
def line_to(server: Server, lost: int | None = None, *, cut: bool = False) -> Iterator[Line]:
    line = Line(server, lost, cut)

    class Handler(BaseHTTPRequestHandler):
        def forward(self) -> None:
            line.answer(self)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        line.port = proxy.server_address[1]
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        yield line
        proxy.shutdown()
        thread.join()
