"""What runs on the host of services, as an operator starts it: PostgreSQL, Prefect, MLflow, S3, and
Dask's scheduler."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.hosts.host import OWN, Host, kill
from tests.support.hosts.network import DATABASE_PROGRAMS, SUBNET
from tests.support.hosts.s3_process import FAULTS, REQUESTS
from tests.support.waiting import wait_until

ADDRESS = f"{SUBNET}.1"
DATABASE_USER = "postgres"  # of the system: PostgreSQL refuses to run as root
DATABASE = f"sightline@{ADDRESS}:5432"
PREFECT, MLFLOW, S3 = (f"http://{ADDRESS}:{port}" for port in (4200, 5000, 9000))
SCHEDULER = 8786
S3_KEYS = {
    "AWS_ENDPOINT_URL": S3,
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}
NEVER_ASK = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
# Run on the host of services, until it succeeds.
UNTIL = """
import socket, time, urllib.request
while True:
    try:
        {attempt}
        break
    except OSError:
        time.sleep(0.2)
"""
ANSWERS = UNTIL.format(attempt="urllib.request.urlopen('{}', timeout=5)")
LISTENS = UNTIL.format(attempt="socket.create_connection(('{}', {}), 5)")


@dataclass
class Services:
    """Each is started, killed and started again by its name."""

    host: Host
    scheduler_options: tuple[str, ...] = ()
    protocol: str = "tcp"
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def scheduler(self) -> str:
        return f"{self.protocol}://{ADDRESS}:{SCHEDULER}"

    def start_all(self) -> None:
        self._make_database()
        self.start("postgres")
        for name in ("prefect", "mlflow"):
            where = ("--host", ADDRESS, "--username", "sightline", name)
            self.host.run(str(DATABASE_PROGRAMS / "createdb"), *where)
        for name in ("s3", "prefect", "mlflow", "scheduler"):
            self._launch(name)
        for name in ("s3", "prefect", "mlflow", "scheduler"):
            self._await(name)

    def start(self, name: str) -> None:
        self._launch(name)
        self._await(name)

    def kill(self, name: str) -> None:
        """Nothing happens where it was killed before."""
        if name in self.running:
            kill(self.running.pop(name))

    def revive(self) -> None:
        """All that should run, runs, also what ended by itself; and S3 fails no more."""
        self.mend_s3()
        for name in COMMANDS:
            if name not in self.running or self.running[name].poll() is not None:
                self.start(name)

    def spoil_s3(self, *, status: int = 503, share: float = 0.0, seconds: float = 0.0) -> None:
        faults = {"status": status, "share": share, "seconds": seconds}
        (self.host.folder / FAULTS).write_text(json.dumps(faults))

    def mend_s3(self) -> None:
        (self.host.folder / FAULTS).unlink(missing_ok=True)

    def written_parts(self, run: str) -> Counter[str]:
        """How often each part of a run's features was written."""
        lines = (line.split() for line in self.host.log(REQUESTS).splitlines())
        folder = f"/runs/{run}/features/"
        return Counter(
            words[1]
            for words in lines
            if words[0] == "PUT" and words[1].startswith(folder) and words[2] == "200"
        )

    def _launch(self, name: str) -> None:
        self.running[name] = self.host.start(f"{name}.log", *COMMANDS[name](self), **NEVER_ASK)

    def _await(self, name: str) -> None:
        words = self.host.words(sys.executable, "-S", "-c", CHECKS[name])
        check, service = subprocess.Popen(words), self.running[name]
        wait_until(lambda: check.poll() is not None or service.poll() is not None)
        assert check.poll() == 0, self.host.log(f"{name}.log")

    def _make_database(self) -> None:
        folder = self.host.folder / "postgres"
        folder.mkdir()
        shutil.chown(folder, DATABASE_USER)
        make = ("initdb", "--username", "sightline", "--auth", "trust", "--no-sync")
        self.host.run(*_as_database_user(*make, "--pgdata", f"{OWN}/postgres"))
        with (folder / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {SUBNET}.0/24 trust\n")


def _as_database_user(program: str, *words: str) -> list[str]:
    user = (f"--reuid={DATABASE_USER}", f"--regid={DATABASE_USER}", "--clear-groups")
    return ["setpriv", *user, str(DATABASE_PROGRAMS / program), *words]


def _postgres(services: Services) -> list[str]:
    pid_file = services.host.folder / "postgres/postmaster.pid"
    pid_file.unlink(missing_ok=True)  # of a server that was killed
    options = {"listen_addresses": ADDRESS, "unix_socket_directories": "", "fsync": "off"}
    words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    return _as_database_user("postgres", "-D", f"{OWN}/postgres", *words)


def _prefect(_: Services) -> list[str]:
    own = {
        "PREFECT_HOME": f"{OWN}/prefect",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{DATABASE}/prefect",
    }
    settings = [f"{name}={value}" for name, value in own.items()]
    return ["env", *settings, "prefect", "server", "start", "--host", ADDRESS, "--port", "4200"]


def _mlflow(_: Services) -> list[str]:
    stores = ("--backend-store-uri", f"postgresql://{DATABASE}/mlflow")
    files = ("--artifacts-destination", "s3://mlflow")
    return [
        *("env", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false"),  # processes that no audit needs
        *("mlflow", "server", *stores, *files),
        *("--host", ADDRESS, "--port", "5000", "--workers", "1"),
    ]


def _s3(_: Services) -> list[str]:
    return [sys.executable, "-m", "tests.support.hosts.s3_process", ADDRESS, "9000", OWN]


def _scheduler(services: Services) -> list[str]:
    where = ("--host", services.scheduler.rpartition(":")[0], "--port", str(SCHEDULER))
    return ["dask", "scheduler", *where, "--no-dashboard", *services.scheduler_options]


COMMANDS: dict[str, Callable[[Services], list[str]]] = {
    "postgres": _postgres,
    "s3": _s3,
    "prefect": _prefect,
    "mlflow": _mlflow,
    "scheduler": _scheduler,
}
CHECKS = {
    "postgres": LISTENS.format(ADDRESS, 5432),
    "s3": LISTENS.format(ADDRESS, 9000),
    "prefect": ANSWERS.format(f"{PREFECT}/api/health"),
    "mlflow": ANSWERS.format(f"{MLFLOW}/health"),
    "scheduler": LISTENS.format(ADDRESS, SCHEDULER),
}
