"""A limit for what other people's code may take, which says where that code is."""

from __future__ import annotations

import logging
import signal
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from models.errors import UserError

log = logging.getLogger("sightline")

PATIENCE = 60.0  # seconds until a line says what is being waited for
LIMIT = 1800.0  # seconds until it is stopped
INSTALLED = tuple(
    str(Path(sysconfig.get_path(key)).resolve()) for key in ("stdlib", "platstdlib", "purelib")
)
OURS = str(Path(__file__).resolve().parent)


class _TimeIsUp(BaseException):
    """Passes through `except Exception` in the code that is stopped."""


@contextmanager
def limit_time(action: str) -> Iterator[None]:
    """Stop the block after the limit; `action` names it, such as `loading model net.py:build`.

    Only Python's main thread can be interrupted. Other threads repeat what has passed there before.
    """
    if threading.current_thread() is not threading.main_thread() or _is_timer_used():
        yield
        return
    places: list[str] = []  # where the code was when its patience and its limit were over

    def interrupt(_: int, frame: FrameType | None) -> None:
        places.append(describe_frame(frame))
        if len(places) > 1:
            raise _TimeIsUp
        log.info("%s takes long, %s; it is stopped after %g s", action, places[0], LIMIT)
        signal.setitimer(signal.ITIMER_REAL, LIMIT - PATIENCE)

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    except BaseException:  # ours, or what the code has made of it
        if len(places) < 2:
            raise
        message = f"{action} has not ended after {LIMIT:g} s, {places[1]}: run it by itself"
        raise UserError(message) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def describe_frame(frame: FrameType | None) -> str:
    """The innermost line that is neither Python's, nor an installed package's, nor ours."""
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.suffix == ".py" and not str(path.resolve()).startswith((*INSTALLED, OURS)):
            return f"at {path.name} line {frame.f_lineno} ({frame.f_code.co_name})"
        frame = frame.f_back
    return "in an installed package"


def _is_timer_used() -> bool:
    """Does somebody else use the process's only timer?"""
    return signal.getitimer(signal.ITIMER_REAL)[0] > 0
