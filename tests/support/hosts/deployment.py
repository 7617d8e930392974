"""Four hosts: services, two workers, and a person who runs `sightline`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.support.hosts.host import OWN, Host, kill
from tests.support.hosts.network import SUBNET, switch
from tests.support.hosts.services import ADDRESS, MLFLOW, PREFECT, S3_KEYS, Services
from tests.support.waiting import PATIENCE, wait_until

BUCKETS = ("data", "runs", "mlflow")
AWAIT_WORKERS = """
import sys
from distributed import Client
Client(sys.argv[1]).wait_for_workers(int(sys.argv[2]), timeout=300)
"""
SHARDS = 8
SMALL = ("--split", "test", "--shard-size", "8", "--methods", "grad_cam_pp")
# As a service manager does: a worker that ends is started again.
KEEP = 'while :; do "$@"; sleep 1; done'


@dataclass
class Worker:
    host: Host
    services: Services
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    is_odd: bool = False

    def start(self, **more: str) -> None:
        """With more in its environment it is an odd one: `rise` starts it again without."""
        self.is_odd = bool(more)
        here = ("--host", f"{self.services.protocol}://{self.host.address}")
        how = ("--nthreads", "1", "--no-dashboard", "--local-directory", f"{OWN}/tmp")
        command = ("dask", "worker", self.services.scheduler, *here, *how, *self.options)
        words = ("bash", "-c", KEEP, "keep", *command)
        self.process = self.host.start("worker.log", *words, **more)

    def stop(self) -> None:
        if self.process is not None:
            kill(self.process)
            self.process = None

    def die(self) -> None:
        """With its host."""
        self.host.die()
        self.process = None

    def rise(self) -> None:
        """It works, whatever was before."""
        self.host.rise()
        if self.is_odd:
            self.stop()
        if self.process is None or self.process.poll() is not None:
            self.start()


@dataclass
class Audit:
    """`sightline audit` on the person's host."""

    process: subprocess.Popen[bytes]
    log: Path

    def end(self, seconds: float = PATIENCE) -> int:
        """The exit code, within so many seconds."""
        return self.process.wait(seconds)

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def said(self) -> str:
        return self.log.read_text()


@dataclass
class Deployment:
    services: Services
    workers: tuple[Worker, Worker]
    person: Host
    _numbers: Iterator[int]

    def audit(self, run: str, *options: str, **more: str) -> Audit:
        """Start one of the benchmark; its rows go to s3://runs/RUN."""
        where = ("--data", "s3://data/pictures", "--model", "s3://data/model")
        dask = ("--dask", self.services.scheduler)
        return self.audit_of(f"s3://runs/{run}", *where, *dask, *options, **more)

    def audit_of(self, out: str, *options: str, **more: str) -> Audit:
        """Start one of 64 pictures."""
        log = f"audit-{next(self._numbers)}.log"
        command = ("sightline", "audit", "--out", out, *SMALL, *options)
        return Audit(self.person.start(log, *command, **more), self.person.folder / log)

    def reach(self, audit: Audit, run: str, parts: int) -> bool:
        """Wait until it has finished so many shards; False when it ended before."""
        wait_until(lambda: audit.has_ended or len(self.services.written_parts(run)) >= parts)
        return not audit.has_ended

    def await_workers(self, count: int) -> None:
        """Return when the scheduler knows so many."""
        self.person.run("python", "-c", AWAIT_WORKERS, self.services.scheduler, str(count))

    def put(self, folder: Path, address: str) -> None:
        """Copy a folder of the test's to S3, from the person's host."""
        copy = self.person.folder / "sent"
        shutil.copytree(folder, copy)
        self.copy("put", f"{OWN}/sent", address)
        shutil.rmtree(copy)

    def get(self, run: str) -> Path:
        """The run's files, as the person's host reads them."""
        copy = self.person.folder / "fetched" / run
        shutil.rmtree(copy, ignore_errors=True)
        self.copy("get", f"s3://runs/{run}", f"{OWN}/fetched/{run}")
        return copy

    def copy(self, *words: str) -> None:
        self.person.run("python", "-m", "tests.support.hosts.s3_files", *words)

    @contextmanager
    def tls(self, scheduler: tuple[str, ...], worker: tuple[str, ...]) -> Iterator[None]:
        """Inside the block, scheduler and workers have these options, and speak TLS."""
        self._restart_dask("tls", scheduler, worker)
        try:
            yield
        finally:
            self._restart_dask("tcp", (), ())

    def _restart_dask(
        self, protocol: str, scheduler: tuple[str, ...], worker: tuple[str, ...]
    ) -> None:
        for it in self.workers:
            it.stop()
            it.options = worker
        self.services.kill("scheduler")
        self.services.protocol, self.services.scheduler_options = protocol, scheduler
        self.services.start("scheduler")
        for it in self.workers:
            it.start()

    def restore(self) -> None:
        """All hosts and services work again."""
        self.services.host.rise()
        self.services.revive()
        for worker in self.workers:
            worker.rise()
        self.person.rise()


@contextmanager
def deployment(folder: Path, hidden: Path) -> Iterator[Deployment]:
    """It runs inside the block, with empty buckets."""
    with switch():
        client = {**S3_KEYS, "PREFECT_API_URL": f"{PREFECT}/api", "MLFLOW_TRACKING_URI": MLFLOW}
        services, one, two, person = (
            Host(name, f"{SUBNET}.{number}", folder / name, hidden, variables)
            for number, (name, variables) in enumerate(
                [
                    ("services", S3_KEYS),
                    ("worker1", S3_KEYS),
                    ("worker2", S3_KEYS),
                    ("person", client),
                ],
                start=1,
            )
        )
        assert services.address == ADDRESS
        hosts = (services, one, two, person)
        try:
            for host in hosts:
                host.install()
            offered = Services(services)
            offered.start_all()
            workers = (Worker(one, offered), Worker(two, offered))
            for worker in workers:
                worker.start()
            made = Deployment(offered, workers, person, count())
            made.copy("make", *BUCKETS)
            yield made
        finally:
            for host in hosts:
                host.shut_down()
