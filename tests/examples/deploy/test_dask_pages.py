"""Dask's pages have no password: in every example, only who is on their host reads them.

`--no-dashboard` does not close them: it leaves out the charts alone.
"""

from __future__ import annotations

import asyncio
import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from distributed import Scheduler, Worker

from tests.examples.deploy.test_files import DEPLOY, ROOT, compose, lists_in

OWN_HOST = "127.0.0.1"


def test_those_of_hosts_that_ssh_reaches_are_for_these_alone(tmp_path: Path) -> None:
    """Scheduler and worker as dask_spec makes them there, but at ports that are free here."""
    example = runpy.run_path(str(DEPLOY / "ssh.py"))
    pages = example["SCHEDULER"]["dashboard_address"].replace(":8787", ":0")
    scheduler = {"protocol": "tcp", "port": 0, "dashboard_address": pages}
    worker = example["WORKER"] | {"local_directory": str(tmp_path)}
    assert asyncio.run(listening(example["SCHEDULER"] | scheduler, worker)) == {OWN_HOST}


async def listening(scheduler: dict[str, Any], worker: dict[str, Any]) -> set[str]:
    """The addresses at which their pages are."""
    async with Scheduler(**scheduler) as first, Worker(first.address, **worker) as second:
        ports = {first.http_server.port, second.http_server.port}
        sockets = psutil.Process().net_connections("tcp")
        return {
            it.laddr.ip
            for it in sockets
            if it.status == psutil.CONN_LISTEN and it.laddr.port in ports
        }


def commands_of_the_page() -> list[list[str]]:
    text = (ROOT / "docs/clusters.md").read_text(encoding="utf-8")
    return [shlex.split(line) for line in re.findall(r"^dask .+$", text, flags=re.MULTILINE)]


def commands_of_compose() -> list[list[str]]:
    return [words for words in lists_in(compose()) if words[:1] == ["dask"]]


def workers_of_kubernetes() -> list[list[str]]:
    """Its scheduler answers Kubernetes' probes; a NetworkPolicy says who else reaches it."""
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))
    return [words for words in lists_in(documents) if words[:2] == ["dask", "worker"]]


@pytest.mark.parametrize(
    "commands", [commands_of_the_page(), commands_of_compose(), workers_of_kubernetes()]
)
def test_commands_give_their_pages_an_address_of_their_own_host(commands: list[list[str]]) -> None:
    assert commands
    for words in commands:
        assert "--no-dashboard" not in words
        assert words[words.index("--dashboard-address") + 1].startswith(f"{OWN_HOST}:")
