"""A host: namespaces of its own for network, processes, mounts and its name.

It sees the machine's files, read-only and without the tests' folder; what it writes is in /srv,
which is another folder on each host. So hosts share programs and the network, and nothing else.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.hosts.network import PREFIX, connect, repair, set_cable
from tests.support.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[3]
OWN = "/srv"
FOLDERS = ("home", "tmp", "sightline")
BOOT = """
hostname {name}
mount --bind {folder} {own}
cat /proc/sys/kernel/random/uuid > {own}/boot_id
mount --bind {own}/boot_id /proc/sys/kernel/random/boot_id
mount -t tmpfs none /dev/shm
mount -t tmpfs -o ro none {hidden}
mount -o remount,bind,ro /
touch {own}/booted
exec sleep infinity
"""


@dataclass
class Host:
    """Its own folder is `folder` outside, and /srv inside."""

    name: str
    address: str
    folder: Path
    hidden: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    _unshare: subprocess.Popen[bytes] | None = None
    _init: psutil.Process | None = None
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def install(self) -> None:
        """Give it its folder and its cable, and boot it."""
        for name in FOLDERS:
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        connect(self.name, self.address)
        self.boot()

    def boot(self) -> None:
        booted = self.folder / "booted"
        booted.unlink(missing_ok=True)
        script = BOOT.format(name=self.name, folder=self.folder, own=OWN, hidden=self.hidden)
        apart = ("--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc")
        words = [
            *("setpriv", "--pdeathsig", "KILL"),  # no host outlives a killed test
            *("ip", "netns", "exec", f"{PREFIX}{self.name}"),
            *("unshare", *apart, "sh", "-ec", script),
        ]
        with (self.folder / "boot.log").open("ab") as log:
            self._unshare = subprocess.Popen(words, stderr=log)
        assert wait_until(booted.is_file), self.log("boot.log")
        (self._init,) = psutil.Process(self._unshare.pid).children()

    def die(self) -> None:
        """As without electricity: nothing says goodbye."""
        set_cable(self.name, plugged=False)
        self.shut_down()

    def shut_down(self) -> None:
        """The kernel kills all processes of a namespace with its first one."""
        if self._init is not None and self._unshare is not None:
            with suppress(psutil.NoSuchProcess):
                self._init.kill()
            self._unshare.wait(PATIENCE)
            self._init = self._unshare = None
            for process in self._started:
                process.wait(PATIENCE)
            self._started.clear()

    def rise(self) -> None:
        """Dead or not, it works afterwards, on a good cable."""
        repair(self.name)
        if self._init is None:
            self.boot()

    @property
    def variables(self) -> dict[str, str]:
        """The whole environment of its processes."""
        programs = Path(sys.executable).parent
        return {
            "PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": f"{OWN}/home",
            "TMPDIR": f"{OWN}/tmp",
            "SIGHTLINE_HOME": f"{OWN}/sightline",
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "LANG": "C.UTF-8",
            **self.environment,
        }

    def words(self, *words: str) -> list[str]:
        """What runs a program on the host."""
        assert self._init is not None, f"{self.name} is dead"
        inside = ("--net", "--mount", "--pid", "--uts", "--ipc", f"--wdns={OWN}/home")
        return ["nsenter", f"--target={self._init.pid}", *inside, *words]

    def start(self, log: str, *words: str, **more: str) -> subprocess.Popen[bytes]:
        """A program that goes on, its output in a file of the host's folder."""
        with (self.folder / log).open("ab") as file:
            process = subprocess.Popen(
                self.words(*words), stdout=file, stderr=file, env={**self.variables, **more}
            )
        self._started.append(process)
        return process

    def run(self, *words: str, **more: str) -> str:
        """A program's output; it must succeed."""
        done = subprocess.run(
            self.words(*words),
            env={**self.variables, **more},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def log(self, name: str) -> str:
        file = self.folder / name
        return file.read_text(errors="replace") if file.is_file() else ""

    def await_line(self, log: str, line: str) -> bool:
        return wait_until(lambda: line in self.log(log).splitlines())


def kill(process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
    """Signal what runs inside; nsenter, its parent here, ends with it."""
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(ProcessLookupError):
            os.kill(child.pid, number)
    process.wait(PATIENCE)
