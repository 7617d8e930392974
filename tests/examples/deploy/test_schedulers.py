"""examples/deploy/slurm.py on a real SLURM of one node, and ssh.py on a real sshd: an audit runs on
the workers that they start.

Needs root, and Debian's slurmctld, slurmd, slurm-client, munge and openssh-server.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import invoke, mlflow_of
from tests.support.dask_cluster import key_options, make_certificates
from tests.support.own_environment import own_environment
from tests.support.slurm import jobs, slurm
from tests.support.ssh_server import ssh_server
from tests.support.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.full, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "examples/deploy"
STARTER = ROOT / "tests/support/start_example_cluster.py"
PACKAGES = ("dask-jobqueue==0.9.0", "asyncssh==2.24.1")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("tools") / "environment"
    with own_environment(folder, *PACKAGES, with_ours=True) as programs:
        yield programs


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    return make_certificates(tmp_path / "certificates", "scheduler", "worker", "client")


@contextmanager
def started(
    programs: Path, file: str, function: str, environment: dict[str, str], **own: Any
) -> Iterator[dict[str, str]]:
    program = [str(it) for it in (programs / "python", STARTER, DEPLOY / file)]
    command = [*program, function, json.dumps(own)]
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        assert line, process.communicate(timeout=PATIENCE)[1]
        yield json.loads(line)
    finally:
        process.communicate(timeout=PATIENCE)  # ends its input


@pytest.fixture
def audit_words(benchmark_folder: Path, bundle: Path, tmp_path: Path) -> list[str]:
    return [
        *("audit", "--data", str(benchmark_folder), "--split", "test", "--model", str(bundle)),
        *("--out", str(tmp_path / "run"), "--mlflow", mlflow_of(tmp_path), "--json"),
        *("--interventions", "none"),
    ]


@pytest.mark.usefixtures("prefect_server")
def test_an_audit_runs_on_jobs_of_slurm(
    programs: Path, certificates: Path, audit_words: list[str], tmp_path: Path
) -> None:
    own = {
        "scheduler_options": {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0"},
        "log_directory": str(tmp_path),
    }
    (tmp_path / "slurm").mkdir()
    with slurm(tmp_path / "slurm", "short") as environment:
        start = started(
            *(programs, "slurm.py", "slurm_cluster", environment),
            arguments=[str(certificates)],
            settings=own,
        )
        with start as cluster:
            check_job(cluster["script"], certificates)
            assert wait_until(lambda: "sightline" in jobs(environment))
            words = ("--dask", cluster["address"], *key_options(certificates, "client"))
            done = invoke(*audit_words, *words)
            assert done.exit_code == 0, done.stderr
            assert json.loads(done.stdout)["cost"]["computed"] == 64
        assert wait_until(lambda: not jobs(environment))  # the cluster takes its jobs along


def check_job(script: str, certificates: Path) -> None:
    """What SLURM reads, and the command of the worker."""
    directives = re.findall(r"^#SBATCH (.+)$", script, flags=re.MULTILINE)
    assert {"-J sightline", "-p short", "-n 1", "--cpus-per-task=1", "-t 02:00:00"} <= {*directives}
    assert "--mem=4G" in directives
    command = script.splitlines()[-1]
    assert "distributed.cli.dask_worker tls://127.0.0.1:" in command
    assert "--nthreads 1" in command
    assert "--lifetime 110m" in command
    assert "--dashboard-address 127.0.0.1:0" in command
    for word in key_options(certificates, "worker"):
        assert word in command.split()
    assert "MALLOC_ARENA_MAX=1" in script


@pytest.mark.usefixtures("prefect_server")
def test_an_audit_runs_on_hosts_that_ssh_reaches(
    programs: Path, certificates: Path, audit_words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "ssh").mkdir()
    with ssh_server(tmp_path / "ssh") as connection:
        scheduler = {"protocol": "tls", "port": 0, "dashboard_address": "127.0.0.1:0"}
        settings = {"connect_options": connection, "scheduler_options": scheduler}
        start = started(
            *(programs, "ssh.py", "ssh_cluster", dict(os.environ)),
            arguments=[str(certificates), ["127.0.0.1"] * 3],
            settings=settings,
        )
        with start as cluster:
            words = ("--dask", cluster["address"], *key_options(certificates, "client"))
            done = invoke(*audit_words, *words)
            assert done.exit_code == 0, done.stderr
            cost = json.loads(done.stdout)["cost"]
            assert (cost["computed"], cost["workers"]) == (64, 2)
