"""A real SLURM of one node on loopback: its controller, its node, and what signs their messages.

Needs root, and Debian's slurmctld, slurmd, slurm-client and munge.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.waiting import PATIENCE, wait_until

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=16000 State=UNKNOWN
PartitionName={partition} Nodes=node Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def slurm(folder: Path, partition: str) -> Iterator[dict[str, str]]:
    """The environment in which `sbatch` and its kin find it."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    host = socket.gethostname().partition(".")[0]
    controller, node = free_ports(2)
    text = CONFIGURATION.format(
        folder=folder, host=host, controller=controller, node=node, partition=partition
    )
    (folder / "slurm.conf").write_text(text)
    (folder / "munge.key").write_bytes(os.urandom(64))
    (folder / "munge.key").chmod(0o600)
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    munge = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log"}
    files = [f"--{option}={folder}/munge.{name}" for option, name in munge.items()]
    with ExitStack() as stack:
        for words in (
            ("munged", "--foreground", "--force", *files, f"--seed-file={folder}/munge.seed"),
            ("slurmctld", "-D", "-c"),
            ("slurmd", "-D", "-N", "node"),
        ):
            stack.enter_context(running(words, folder / f"{words[0]}.log", environment))
        assert wait_until(lambda: is_idle(environment)), (folder / "slurmd.log").read_text()
        yield environment
        subprocess.run(["scancel", "--user", "root"], env=environment, check=True)
        assert wait_until(lambda: not jobs(environment))


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for it in sockets:
            it.bind(("127.0.0.1", 0))
        return [it.getsockname()[1] for it in sockets]


@contextmanager
def running(words: tuple[str, ...], log: Path, environment: dict[str, str]) -> Iterator[None]:
    with log.open("wb") as file:
        process = subprocess.Popen(words, stdout=file, stderr=file, env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def is_idle(environment: dict[str, str]) -> bool:
    return ask(environment, "sinfo", "--noheader", "--format=%t").strip() == "idle"


def jobs(environment: dict[str, str]) -> list[str]:
    """Names of the jobs that wait or run."""
    return ask(environment, "squeue", "--noheader", "--format=%j").split()


def ask(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    return done.stdout
