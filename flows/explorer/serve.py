"""The explorer's server: on loopback alone, until Ctrl-C."""

from __future__ import annotations

import logging
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from flows.explorer.app import explorer_app
from flows.explorer.opened import OpenedRuns
from flows.explorer.security import LOOPBACK, Door
from models.errors import UserError

BACKLOG = 128


def serve(opened: OpenedRuns, listener: socket.socket, ready: Callable[[str], None]) -> None:
    """Answer requests; `ready` gets the address once it answers."""
    port = listener.getsockname()[1]
    token = secrets.token_urlsafe(24)
    config = uvicorn.Config(
        Door(explorer_app(opened), token, port),
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
        ws="none",
    )
    address = f"http://{LOOPBACK}:{port}/{token}/"
    _Server(config, lambda: ready(address)).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Ctrl-C is how the command ends: it is not raised again, as uvicorn would."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """What is still computed has a second to end: to give it up then is no error."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        signals = (signal.SIGINT, signal.SIGTERM)
        earlier = {it: signal.signal(it, self.handle_exit) for it in signals}
        try:
            yield
        finally:
            for it, handler in earlier.items():
                signal.signal(it, handler)


def listen(port: int) -> socket.socket:
    """Take the port, before anything is read: a run that is being read cannot be left halfway."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise UserError(
            f"port {port} cannot be used ({error.strerror}): give another --port, or none for a "
            "free one"
        ) from error
    return listener
