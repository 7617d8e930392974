"""Calls of a user's code: what it raises is one line, and the process is left as it was.

Everything of the user's that we run goes through `user_call`: loading a file, building a network,
its forward, a method of their own.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from typing import Any, Self

import torch
from torch import nn

from models.errors import (
    ForwardError,
    Stopped,
    UserCodeError,
    UserError,
    describe_error,
    lacks_memory,
    printable,
)
from models.time_limit import limit_time

CALL = "call it by itself with these pictures"
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def user_call(
    failed: str,
    remedy: str = "run it by itself",
    kind: type[UserError] = UserCodeError,
    *,
    may_be_smaller: bool = False,
) -> Iterator[None]:
    """Report what the user's code raises in one line, which begins with what `failed`, and undo its
    changes of the process.

    Ctrl-C goes on as it is; so does a lack of memory where the call `may_be_smaller`.
    """
    before = ProcessState.now()
    try:
        yield
    except UserError:
        raise
    except BaseException as error:  # SystemExit too: their exit code is not ours
        if _is_ctrl_c(error) or (may_be_smaller and lacks_memory(error)):
            raise
        raise kind(f"{failed} {printable(describe_error(error))}: {remedy}") from error
    finally:
        before.restore()


def _is_ctrl_c(error: BaseException) -> bool:
    """Or did their code raise it? A command's handler raises Stopped, Python's the plain one."""
    if isinstance(error, Stopped):
        return True
    is_pythons = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return isinstance(error, KeyboardInterrupt) and is_pythons


def guard_forward(network: nn.Module, name: str) -> None:
    """Make every call of the network a `user_call`; its layers and weights keep their names.

    Its class is replaced rather than its `forward`, so that copies of it run their own weights.
    """
    if isinstance(network, torch.jit.ScriptModule):
        return  # it runs no Python
    kind: Any = type(network)

    @wraps(kind.forward)  # exporters look at the names of its arguments
    def forward(self: nn.Module, *arguments: object, **named: object) -> object:
        with (
            limit_time(f"a forward of {name}"),
            user_call(f"{name} raised", CALL, ForwardError, may_be_smaller=True),
        ):
            return kind.forward(self, *arguments, **named)

    members = {"forward": forward, "__module__": kind.__module__, "__qualname__": kind.__qualname__}
    network.__class__ = type(kind.__name__, (kind,), members)


@dataclass(frozen=True)
class ProcessState:
    """What a user's code may change of the process, and our numbers and our end depend on."""

    folder: str | None  # None where it is gone
    dtype: torch.dtype  # of new tensors
    device: torch.device  # of new tensors
    threads: int
    has_gradients: bool
    handlers: tuple[Any, ...]  # of SIGNALS

    @classmethod
    def now(cls) -> Self:
        return cls(
            _working_folder(),
            torch.get_default_dtype(),
            torch.get_default_device(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            tuple(map(signal.getsignal, SIGNALS)),
        )

    def restore(self) -> None:
        """Undo the changes, which cost more than to find that there are none."""
        if self.dtype != torch.get_default_dtype():
            torch.set_default_dtype(self.dtype)
        if self.device != torch.get_default_device():
            # None for the CPU: naming it would slow down every new tensor.
            torch.set_default_device(None if self.device.type == "cpu" else self.device)
        if self.threads != torch.get_num_threads():
            torch.set_num_threads(self.threads)
        if self.has_gradients != torch.is_grad_enabled():
            torch.set_grad_enabled(self.has_gradients)
        if self.folder is not None and self.folder != _working_folder():
            with suppress(OSError):  # it is gone
                os.chdir(self.folder)
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # only the main thread can set any
        for number, handler in zip(SIGNALS, self.handlers, strict=True):
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def _working_folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - as text, before every call
    except OSError:
        return None
