"""A worker with another version is refused before it is sent anything of ours."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.version import Version

from models.errors import UserError
from tasks.execution.cluster import open_client
from tasks.execution.settings import ComputeSettings
from tasks.execution.worker_versions import check_version, refuse
from tests.support.dask_cluster import ROOT, running_cluster
from tests.support.other_version import pretend_version
from tests.support.waiting import wait_until


@pytest.mark.parametrize("package", ["sightline", "torch"])
def test_it_is_refused_with_both_versions(package: str, tmp_path: Path) -> None:
    pretend_version(tmp_path / "other", package, "0.0.9")
    with running_cluster(tmp_path, workers=0) as cluster:
        cluster.add_worker(PYTHONPATH=f"{tmp_path / 'other'}:{ROOT}")
        ours = Version(version(package)).public
        words = rf"worker tcp://127.0.0.1:\d+ has {package} 0.0.9, .* has {package} {ours}"
        with pytest.raises(UserError, match=words) as refused:
            open_client(ComputeSettings(dask=cluster.address), "unused").__enter__()
    assert "\n" not in str(refused.value)


def test_the_same_versions_are_let_in(tmp_path: Path) -> None:
    with (
        running_cluster(tmp_path) as cluster,
        open_client(ComputeSettings(dask=cluster.address), "unused") as client,
    ):
        assert wait_until(lambda: len(client.scheduler_info()["workers"]) == 1)


def test_builds_of_one_version_belong_together() -> None:
    check_version("w", "torch", "2.14.1+cpu", "2.14.1+cu126")
    with pytest.raises(
        UserError, match=r"torch 2\.14\.1\+cpu, and this command has torch 2\.14\.0"
    ):
        check_version("w", "torch", "2.14.1+cpu", "2.14.0+cpu")


def test_a_worker_without_the_package_is_told() -> None:
    with pytest.raises(UserError, match="worker w has no sightline, and this command has"):
        refuse("w", "no sightline", "sightline 0.1.0")
