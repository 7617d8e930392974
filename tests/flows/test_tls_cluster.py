"""An audit on a scheduler and a worker that are processes of their own and speak TLS."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client

from models.errors import UserError
from tasks.execution.cluster import open_client
from tasks.execution.settings import ComputeSettings
from tests.support.command_line import SIGHTLINE, check_refused, invoke, mlflow_of
from tests.support.dask_cluster import Cluster, key_options, make_certificates, running_cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    certificates = make_certificates(folder / "own", "scheduler", "worker", "client")
    make_certificates(folder / "strangers", "client")
    with running_cluster(folder, certificates=certificates) as cluster:
        yield cluster


@pytest.fixture
def options(benchmark_folder: Path, bundle: Path, tmp_path: Path) -> list[str]:
    return [
        *("audit", "--data", str(benchmark_folder), "--split", "test", "--model", str(bundle)),
        *("--out", str(tmp_path / "run"), "--mlflow", mlflow_of(tmp_path), "--methods"),
        *("grad_cam_pp", "--interventions", "none", "--json"),
    ]


@pytest.mark.usefixtures("prefect_server")
def test_an_audit_runs_with_a_certificate(cluster: Cluster, options: list[str]) -> None:
    assert cluster.address.startswith("tls://127.0.0.1:")
    done = invoke(
        *options, "--dask", cluster.address, *key_options(cluster.folder / "own", "client")
    )
    assert done.exit_code == 0, done.stderr
    cost = json.loads(done.stdout)["cost"]
    assert (cost["computed"], cost["workers"]) == (64, 1)


@pytest.mark.usefixtures("prefect_server")
def test_without_a_certificate_it_is_refused(cluster: Cluster, options: list[str]) -> None:
    done = invoke(*options, "--dask", cluster.address)
    check_refused(done, 2, "asks for a certificate: give --tls-ca-file")


def files_of(folder: Path, authority: Path) -> dict[str, str]:
    return {
        "tls_ca_file": str(authority / "ca.pem"),
        "tls_cert": str(folder / "client.pem"),
        "tls_key": str(folder / "client-key.pem"),
    }


@pytest.mark.parametrize(
    ("own", "trusted", "words"),
    [
        ("strangers", "own", "refuses the certificate"),
        ("own", "strangers", "is not accepted"),
        ("strangers", "strangers", "is not accepted"),
    ],
)
def test_certificates_of_another_authority_are_refused(
    cluster: Cluster, own: str, trusted: str, words: str
) -> None:
    files = files_of(cluster.folder / own, cluster.folder / trusted)
    compute = ComputeSettings(dask=cluster.address, **files)
    with pytest.raises(UserError, match=words) as refused:
        open_client(compute, "unused").__enter__()
    assert "\n" not in str(refused.value)


def test_without_tls_nobody_is_let_in(cluster: Cluster) -> None:
    address = cluster.address.replace("tls://", "tcp://")
    with pytest.raises(UserError, match="no Dask scheduler answers at tcp://"):
        open_client(ComputeSettings(dask=address), "unused").__enter__()


def test_tls_to_a_scheduler_without_it_is_refused(
    cluster: Cluster, options: list[str], tmp_path: Path
) -> None:
    keys = key_options(cluster.folder / "own", "client")
    with running_cluster(tmp_path, workers=0) as open_to_all:
        address = open_to_all.address.replace("tcp://", "tls://")
        # As a process of its own: Tornado does not close the socket of a handshake that failed.
        command = [SIGHTLINE, *options, "--dask", address, *keys]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert "has no TLS: give tcp://" in done.stderr.splitlines()[-1]
        with Client(open_to_all.address, set_as_default=False) as anybody:  # what the pages warn of
            assert anybody.run_on_scheduler(lambda: 6 * 7) == 42
