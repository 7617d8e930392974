"""An audit over four hosts that share nothing but the network: services, two workers, a person.

Needs root, and Debian's iproute2, nftables, postgresql and faketime: make test-cluster.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.dask_cluster import key_options, make_certificates
from tests.support.hosts.deployment import Deployment
from tests.support.hosts.host import OWN
from tests.support.hosts.services import MLFLOW, PREFECT
from tests.support.same_rows import check_same_rows

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

SUMMARY = "summary.json"
# What is asked over HTTP, from the person's host.
ASK = """
import sys, urllib.request as u
request = u.Request(sys.argv[1], sys.argv[2].encode(), {"Content-Type": "application/json"})
print(u.urlopen(request, timeout=60).read().decode())
"""


def ask(hosts: Deployment, url: str, **question: Any) -> Any:
    return json.loads(hosts.person.run("python", "-c", ASK, url, json.dumps(question)))


def cost_of(run: Path) -> dict[str, Any]:
    cost: dict[str, Any] = json.loads((run / SUMMARY).read_text())["cost"]
    return cost


def test_hosts_see_no_files_of_each_other(hosts: Deployment, tmp_path: Path) -> None:
    (tmp_path / "ours").touch()
    seen = hosts.person.run(
        "bash", "-c", f"ls {OWN}; ls {tmp_path} 2>&1 || true; touch /x 2>&1 || true"
    )
    assert "sightline" in seen
    assert "No such file" in seen
    assert "Read-only file system" in seen
    names = {host.run("hostname").strip() for host in (hosts.person, hosts.workers[0].host)}
    assert names == {"person", "worker1"}


def test_the_rows_are_those_of_one_machine(hosts: Deployment, undisturbed: Path) -> None:
    """With local folders and a local cluster, on the person's host."""
    own = hosts.person.folder / "local"
    hosts.copy("get", "s3://data", f"{OWN}/local")
    local = hosts.audit_of(
        f"{OWN}/run",
        "--data",
        f"{OWN}/local/pictures",
        "--model",
        f"{OWN}/local/model",
        "--workers",
        "1",
    )
    assert local.end() == 0, local.said
    shutil.rmtree(own)
    # Its addresses are others; so are the donors', whose numbers are the same.
    check_same_rows(hosts.person.folder / "run", undisturbed, without=("catalog.parquet",))
    cost = cost_of(undisturbed)
    assert (cost["computed"], cost["reused"], cost["workers"]) == (64, 0, 2)


def test_prefect_and_mlflow_know_the_run(hosts: Deployment, undisturbed: Path) -> None:
    flows = ask(hosts, f"{PREFECT}/api/flow_runs/filter")
    assert {flow["state_type"] for flow in flows} >= {"COMPLETED"}
    mlflow = f"{MLFLOW}/api/2.0/mlflow"
    experiments = ask(hosts, f"{mlflow}/experiments/search", max_results=10)["experiments"]
    ids = [experiment["experiment_id"] for experiment in experiments]
    runs = ask(hosts, f"{mlflow}/runs/search", experiment_ids=ids)["runs"]
    tags = [tag["value"] for run in runs for tag in run["data"]["tags"]]
    assert "s3://runs/undisturbed" in tags
    assert (undisturbed / "report.html").is_file()


def test_with_certificates(hosts: Deployment, undisturbed: Path, tmp_path: Path) -> None:
    made = make_certificates(tmp_path / "certificates", "scheduler", "worker", "client")
    services = hosts.services
    for host in (services.host, hosts.person, *(worker.host for worker in hosts.workers)):
        shutil.copytree(made, host.folder / "certificates")
    keys = {
        name: tuple(key_options(Path(OWN) / "certificates", name))
        for name in ("scheduler", "worker", "client")
    }
    with hosts.tls(keys["scheduler"], keys["worker"]):
        refused = hosts.audit("refused")
        assert refused.end() == 2
        assert "asks for a certificate: give --tls-ca-file" in refused.said
        audit = hosts.audit("tls", *keys["client"])
        assert audit.end() == 0, audit.said
    check_same_rows(hosts.get("tls"), undisturbed)
