"""Dask workers as jobs of SLURM, until Ctrl-C: run it on a login node.

    pip install dask-jobqueue
    python certificates.py ~/certificates scheduler worker client
    python slurm.py ~/certificates

It prints the address for `sightline audit --dask`. Certificates, environment, data, model and run
folder lie on the file system that all nodes share. Set queue, walltime and memory to your site's.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

from dask_jobqueue import SLURMCluster
from distributed import Security

MOST_JOBS = 16


def slurm_cluster(certificates: Path, **own: Any) -> SLURMCluster:
    """A scheduler in this process; each worker is a job of one core."""
    settings: dict[str, Any] = {
        "queue": "short",
        "walltime": "02:00:00",
        "memory": "4GB",
        "cores": 1,
        "processes": 1,
        "job_name": "sightline",
        # Leave before SLURM kills the job: Dask then gives the shard under way to another worker,
        # and blames no image for a death.
        "worker_extra_args": [
            *("--lifetime", "110m", "--lifetime-stagger", "5m"),
            *("--dashboard-address", "127.0.0.1:0"),
        ],
        "job_script_prologue": [
            "export OMP_NUM_THREADS=1 MALLOC_ARENA_MAX=1",
            "export MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=536870912",
        ],
        "local_directory": "/tmp",
        "security": keys_in(certificates),
        # Dask's pages have no password: they are for who has a shell on their host.
        "scheduler_options": {"port": 8786, "dashboard_address": "127.0.0.1:8787"},
    }
    return SLURMCluster(**settings | own)


def keys_in(certificates: Path) -> Security:
    files = {"tls_ca_file": str(certificates / "ca.pem")}
    for role in ("scheduler", "worker", "client"):
        files[f"tls_{role}_cert"] = str(certificates / f"{role}.pem")
        files[f"tls_{role}_key"] = str(certificates / f"{role}-key.pem")
    return Security(require_encryption=True, **files)


if __name__ == "__main__":
    with slurm_cluster(Path(sys.argv[1]).expanduser().absolute()) as cluster:
        cluster.adapt(minimum_jobs=1, maximum_jobs=MOST_JOBS)
        print(cluster.scheduler_address, flush=True)
        signal.pause()
