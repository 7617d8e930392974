"""The whole path for real: Prefect, Dask with two processes, Parquet, HTML, MLflow on SQLite."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from click.testing import CliRunner, Result
from distributed import LocalCluster
from mlflow.tracking import MlflowClient

from flows.cli import main
from flows.settings import AuditSettings
from tasks.reader import open_run

COMMAND = [str(Path(sys.executable).with_name("sightline"))]


@pytest.fixture
def tracking(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def options(benchmark_folder: Path, bundle: Path, tmp_path: Path, tracking: str) -> list[str]:
    return [
        *("audit", "--data", str(benchmark_folder), "--split", "test"),
        *("--model", str(bundle), "--out", str(tmp_path / "run"), "--mlflow", tracking),
    ]


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def stamps(run: Path) -> dict[str, int]:
    return {str(p.relative_to(run)): p.stat().st_mtime_ns for p in run.rglob("part-*.parquet")}


@pytest.mark.usefixtures("prefect_server")
def test_an_audit_runs_end_to_end_and_a_second_one_computes_nothing(
    options: list[str], tmp_path: Path, tracking: str
) -> None:
    options += ["--workers", "2", "--shard-size", "16", "--json"]
    first = invoke(*options)
    assert first.exit_code == 0, first.stderr
    summary = json.loads(first.stdout)
    assert summary["images"]["predicted"] == 64
    assert summary["cost"]["computed"] == 64
    assert summary["cost"]["workers"] == 2
    run = open_run(tmp_path / "run")
    assert run.state["state"] == "finished"
    page = run.folder.report.read_text()
    assert "rests" in page
    assert "data:image/png;base64," in page
    before = stamps(run.folder.path)
    assert len(before) == 4 * (2 + 2 * 4)

    second = invoke(*options)
    assert second.exit_code == 0, second.stderr
    cost = json.loads(second.stdout)["cost"]
    assert (cost["computed"], cost["reused"]) == (0, 64)
    assert stamps(run.folder.path) == before

    client = MlflowClient(tracking_uri=tracking)
    (logged,) = client.search_runs([client.get_experiment_by_name("sightline").experiment_id])
    assert logged.data.metrics["images"] == 64
    assert logged.data.tags["prefect.flow_run"] != "none"


@pytest.mark.usefixtures("prefect_server")
def test_an_existing_cluster_is_used(options: list[str]) -> None:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        done = invoke(*options, "--dask", cluster.scheduler_address, "--json")
        assert done.exit_code == 0, done.stderr
        assert json.loads(done.stdout)["cost"]["computed"] == 64


@pytest.mark.usefixtures("prefect_server")
def test_show_prints_what_audit_printed(options: list[str], tmp_path: Path) -> None:
    audited = invoke(*options, "--workers", "1")
    shown = invoke("show", str(tmp_path / "run"))
    assert shown.exit_code == 0
    assert shown.stdout == audited.stdout
    assert "rests on background" in shown.stdout
    assert json.loads(invoke("show", str(tmp_path / "run"), "--json").stdout)["schema_version"] == 1


@pytest.mark.usefixtures("prefect_server")
def test_mlflow_being_away_costs_no_result(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    options[options.index("--mlflow") + 1] = "http://127.0.0.1:9"
    done = invoke(*options, "--workers", "1")
    assert done.exit_code == 0
    assert open_run(tmp_path / "run").state["state"] == "finished"


def test_a_dry_run_estimates_and_writes_nothing(options: list[str], tmp_path: Path) -> None:
    done = invoke(*options, "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("64 images, ")
    assert " MB" in done.stdout
    assert not (tmp_path / "run").exists()


@pytest.fixture
def crowd(benchmark_folder: Path, tmp_path: Path) -> Path:
    """Many pictures, so that there is time to be interrupted."""
    pictures = sorted((benchmark_folder / "images/test").glob("*.png"))
    folder = tmp_path / "crowd"
    folder.mkdir()
    for index in range(4000):
        os.link(pictures[index % len(pictures)], folder / f"{index:05d}.png")
    return folder


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_finished_parts_and_nothing_else(
    crowd: Path, bundle: Path, tmp_path: Path, tracking: str, how: signal.Signals
) -> None:
    run = tmp_path / "run"
    arguments = [
        *("audit", "--data", str(crowd), "--model", str(bundle), "--out", str(run)),
        *("--shard-size", "50", "--workers", "2", "--mlflow", tracking),
    ]
    process = subprocess.Popen(
        COMMAND + arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    for _ in _until(lambda: len(list(run.glob("maps/*/part-*"))) > 8, seconds=120):
        assert process.poll() is None
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(how)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 3, told
    assert "stopped; what was computed is kept, and the same command continues" in told
    assert "Traceback" not in told
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    assert not list(run.rglob("*.tmp"))
    kept = len(list(run.glob("predictions/part-*")))
    assert 0 < kept < 80
    continued = subprocess.run(
        [*COMMAND, *arguments, "--json"], capture_output=True, text=True, check=True, timeout=200
    )
    cost = json.loads(continued.stdout)["cost"]
    assert cost["computed"] + cost["reused"] == 4000
    assert cost["reused"] >= 50 * (kept - 2)


def _until(condition: object, seconds: float) -> Iterator[None]:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        yield
        time.sleep(0.2)


def test_the_deployment_names_a_flow_and_settings_that_exist() -> None:
    deployments = yaml.safe_load(Path("prefect.yaml").read_text())["deployments"]
    for deployment in deployments:
        module, _, name = deployment["entrypoint"].partition(":")
        flow = getattr(__import__(module, fromlist=[name]), name)
        assert flow.name == deployment["name"] == "audit"
        AuditSettings.model_validate(deployment["parameters"])
        flow.validate_parameters(deployment["parameters"])
