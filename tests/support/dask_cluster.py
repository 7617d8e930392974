"""`dask scheduler` and `dask worker` as processes of their own on loopback, as operators start
them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[2]
DASK = str(Path(sys.executable).with_name("dask"))
CERTIFICATES = ROOT / "examples/deploy/certificates.py"


def make_certificates(folder: Path, *names: str) -> Path:
    """The folder, with the certificates of an authority of its own."""
    subprocess.run([sys.executable, CERTIFICATES, folder, *names], check=True, timeout=PATIENCE)
    return folder


def key_options(folder: Path, name: str) -> list[str]:
    """Those of `dask scheduler`, `dask worker` and `sightline audit`, which have the same names."""
    files = {"ca-file": "ca.pem", "cert": f"{name}.pem", "key": f"{name}-key.pem"}
    return [word for key, file in files.items() for word in (f"--tls-{key}", str(folder / file))]


@dataclass
class Cluster:
    """A scheduler, and workers that come and go."""

    folder: Path
    certificates: Path | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    scheduler: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Empty as long as the scheduler has not written it."""
        file = self.folder / "scheduler.json"
        with suppress(FileNotFoundError, json.JSONDecodeError):
            return str(json.loads(file.read_text())["address"])
        return ""

    @property
    def log(self) -> str:
        return (self.folder / "dask.log").read_text()

    def start(self, *words: str, **more: str) -> subprocess.Popen[bytes]:
        keys = [] if self.certificates is None else key_options(self.certificates, words[0])
        with (self.folder / "dask.log").open("ab") as log:
            return subprocess.Popen(
                [DASK, *words, *keys],
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **more},
            )

    def add_worker(self, **more: str) -> None:
        here = ("--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard")
        own = self.folder / f"worker{len(self.workers)}"
        self.workers.append(
            self.start("worker", self.address, *here, "--local-directory", str(own), **more)
        )

    def kill_scheduler(self) -> None:
        assert self.scheduler is not None
        self.scheduler.kill()
        self.scheduler.wait(PATIENCE)

    def kill_worker(self, number: int) -> None:
        self.workers[number].kill()
        self.workers[number].wait(PATIENCE)


@contextmanager
def running_cluster(
    folder: Path, workers: int = 1, certificates: Path | None = None
) -> Iterator[Cluster]:
    cluster = Cluster(folder, certificates)
    protocol = "tcp" if certificates is None else "tls"
    cluster.scheduler = scheduler = cluster.start(
        *("scheduler", "--host", "127.0.0.1", "--port", "0", "--protocol", protocol),
        *("--no-dashboard", "--no-show", "--scheduler-file", str(folder / "scheduler.json")),
    )
    try:
        wait_until(lambda: cluster.address or scheduler.poll() is not None)
        assert cluster.address, cluster.log
        for _ in range(workers):
            cluster.add_worker()
        yield cluster
    finally:
        for process in (*cluster.workers, scheduler):
            process.kill()
            process.wait(PATIENCE)
