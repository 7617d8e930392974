"""A Dask cluster on a list of hosts that SSH reaches, until Ctrl-C.

    pip install asyncssh
    python certificates.py ~/certificates scheduler worker client
    python ssh.py ~/certificates SCHEDULER WORKER [WORKER ...]

It prints the address for `sightline audit --dask`. Every host has this Python with Sightline, and
the certificates, at the same addresses as here; SSH knows the hosts' keys and lets yours in.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
from dask.distributed import Client, SSHCluster

# Dask's pages have no password: they are for who has a shell on their host.
SCHEDULER = {"protocol": "tls", "port": 8786, "dashboard_address": "127.0.0.1:8787"}
WORKER = {"nthreads": 1, "local_directory": "/tmp", "dashboard_address": "127.0.0.1:0"}


@contextmanager
def ssh_cluster(certificates: Path, hosts: list[str], **own: Any) -> Iterator[SSHCluster]:
    """The first host has the scheduler, and each further one a worker; one may be named twice."""
    dask.config.set(keys_in(certificates))  # which SSHCluster sends to every host
    dask.config.set({"logging.distributed": "info"})  # it waits for a line of the scheduler's log
    settings: dict[str, Any] = {"scheduler_options": SCHEDULER, "worker_options": WORKER}
    with SSHCluster(hosts, **settings | own) as cluster, Client(cluster) as client:
        try:
            yield cluster
        finally:  # by a message: where root logs in, sshd passes no signals on
            client.retire_workers(close_workers=True, remove=True)


def keys_in(certificates: Path) -> dict[str, Any]:
    files = {"distributed.comm.tls.ca-file": str(certificates / "ca.pem")}
    for role in ("scheduler", "worker", "client"):
        files[f"distributed.comm.tls.{role}.cert"] = str(certificates / f"{role}.pem")
        files[f"distributed.comm.tls.{role}.key"] = str(certificates / f"{role}-key.pem")
    return files | {"distributed.comm.require-encryption": True}


if __name__ == "__main__":
    with ssh_cluster(Path(sys.argv[1]).expanduser().absolute(), sys.argv[2:]) as cluster:
        print(cluster.scheduler_address, flush=True)
        signal.pause()
