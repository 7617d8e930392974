"""What this process opens, connects to and starts, told by the interpreter itself."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
HARMLESS = ("uname",)  # Python's own platform.processor() asks it
STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile")
REQUESTS = ("socket.connect", "socket.getaddrinfo", "socket.sendto")
CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod")
READS = ("os.listdir", "os.scandir")

# Where every Python program reads: its own files and what the system says of itself.
SYSTEM = ("/proc", "/sys", "/dev", "/etc", "/usr", "/lib", "/bin", "/opt", "/var/lib")


def _installation() -> Iterator[str]:
    yield from sys.path
    yield from (sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *site.PREFIXES)
    yield str(Path(__file__).parents[2])


PROGRAM = tuple({os.path.realpath(name) for name in _installation() if name and name != "/"})


@dataclass
class Watch:
    """What is touched beside what may be; `touched` has a line for each."""

    readable: tuple[str, ...]
    writable: tuple[str, ...]
    touched: list[str] = field(default_factory=list)

    def notice(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in STARTS and arguments[0] not in HARMLESS:
            self.touched.append(f"a process: {arguments[0]} {arguments[1:2]}")
        elif event in REQUESTS:
            self.touched.append(f"the network: {arguments[-1]!r}")
        elif event == "open":
            self._notice_file(arguments[0], writes=bool(arguments[2] & WRITING))
        elif event in CHANGES:
            for name in arguments[: 2 if event in ("os.rename", "os.link") else 1]:
                self._notice_file(name, writes=True)
        elif event in READS:
            self._notice_file(arguments[0], writes=False)

    def _notice_file(self, name: Any, writes: bool) -> None:
        if name is None or isinstance(name, int):
            return
        path = os.path.abspath(os.fsdecode(name))  # noqa: PTH100 - links stay as they were named
        allowed = self.writable if writes else self.readable + self.writable
        if writes and path == os.devnull:
            return
        if not any(path == root or path.startswith(root + os.sep) for root in allowed):
            self.touched.append(f"{'written' if writes else 'read'}: {path}")


_WATCHES: list[Watch] = []  # that look now; a hook of the interpreter cannot be removed


def _notice(event: str, arguments: tuple[Any, ...]) -> None:
    for watch in _WATCHES:
        watch.notice(event, arguments)


sys.addaudithook(_notice)


@contextmanager
def watching(readable: tuple[Path, ...], writable: tuple[Path, ...]) -> Iterator[Watch]:
    """Notice in the block whatever is opened, changed, started or asked outside of these folders
    and of the program's own files."""
    watch = Watch(
        readable=(*PROGRAM, *SYSTEM, *map(str, readable)),
        writable=tuple(map(str, writable)),
    )
    _WATCHES.append(watch)
    try:
        yield watch
    finally:
        _WATCHES.remove(watch)
