"""Servers that accept every connection and then say nothing, or far too little."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

HEADER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"


@contextmanager
def silent_server() -> Iterator[str]:
    """HOST:PORT that accepts and never answers."""
    with _server(lambda _: None) as address:
        yield address


@contextmanager
def trickling_server(pause: float = 0.2) -> Iterator[str]:
    """HOST:PORT of a web server whose answers come a byte at a time and never end."""
    stopped = threading.Event()

    def trickle(connection: socket.socket) -> None:
        with suppress(OSError):  # the other side gave up
            connection.recv(1 << 16)
            connection.sendall(HEADER)
            while not stopped.wait(pause):
                connection.sendall(b" ")

    with _server(trickle) as address:
        try:
            yield address
        finally:
            stopped.set()


@contextmanager
def _server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    connections: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):  # closed
            while True:
                connections.append(listener.accept()[0])
                threading.Thread(target=serve, args=connections[-1:], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        host, port = listener.getsockname()
        try:
            yield f"{host}:{port}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for connection in connections:
                connection.close()
