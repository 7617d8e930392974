"""The whole path for real: Prefect, Dask with two processes, Parquet, HTML, MLflow on SQLite."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
import torch
import yaml
from distributed import LocalCluster
from mlflow.tracking import MlflowClient
from PIL import Image
from prefect.client.orchestration import get_client
from safetensors.torch import save_file

from flows.settings.command_settings import (
    AuditSettings,
    ReleaseSettings,
    RetrainSettings,
    RunSettings,
)
from models.user_code import build_from_file
from tasks.runs import open_run
from tests.support.command_line import SIGHTLINE, invoke, link_images
from tests.support.prefect_artifacts import check_artifacts
from tests.support.waiting import PATIENCE, wait_until


@pytest.fixture
def tracking(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def options(benchmark_folder: Path, bundle: Path, tmp_path: Path, tracking: str) -> list[str]:
    return [
        *("audit", "--data", str(benchmark_folder), "--split", "test"),
        *("--model", str(bundle), "--out", str(tmp_path / "run"), "--mlflow", tracking),
    ]


def stamps(run: Path) -> dict[str, int]:
    return {str(p.relative_to(run)): p.stat().st_mtime_ns for p in run.rglob("part-*.parquet")}


@pytest.mark.usefixtures("prefect_server")
def test_an_audit_runs_end_to_end_and_a_second_one_computes_nothing(
    options: list[str], bundle: Path, tmp_path: Path, tracking: str
) -> None:
    options += ["--workers", "2", "--shard-size", "16", "--json"]
    first = invoke(*options)
    assert first.exit_code == 0, first.stderr
    summary = json.loads(first.stdout)
    assert summary["images"]["predicted"] == 64
    assert summary["cost"]["computed"] == 64
    assert summary["cost"]["workers"] == 2
    run = open_run(tmp_path / "run")
    assert run.state.state == "finished"
    page = run.folder.report.read_text()
    assert "rests" in page
    assert "data:image/png;base64," in page
    before = stamps(run.folder.path)
    assert len(before) == 4 * (5 + 2 * 4) + 1  # donors' predictions are written once

    second = invoke(*options)
    assert second.exit_code == 0, second.stderr
    assert second.stdout == first.stdout
    assert "nothing is left to compute" in second.stderr
    assert stamps(run.folder.path) == before

    run.folder.report.unlink()
    third = invoke(*options)
    assert third.exit_code == 0, third.stderr
    cost = json.loads(third.stdout)["cost"]
    assert (cost["computed"], cost["reused"]) == (0, 64)
    assert stamps(run.folder.path) == before

    client = MlflowClient(tracking_uri=tracking)
    (logged,) = client.search_runs([client.get_experiment_by_name("sightline").experiment_id])
    assert logged.data.metrics["images"] == 64
    assert logged.info.run_name == f"benchmark · {bundle.name} · run"
    flow_run = check_artifacts(tmp_path / "run/report.html", "| Accuracy | ")
    assert logged.data.tags["prefect.flow_run"] == flow_run


@pytest.mark.full
@pytest.mark.usefixtures("prefect_server")
def test_prefect_has_a_progress_artifact_that_reached_the_end(options: list[str]) -> None:
    assert invoke(*options, "--workers", "1").exit_code == 0
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts()
    own = [artifact for artifact in artifacts if artifact.description == "maps of run: images done"]
    newest = max(own, key=lambda artifact: str(artifact.created))  # others were cut off
    assert (newest.type, newest.data) == ("progress", 100.0)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's project with packages called models and tasks, as many have."""
    files = {
        "train.py": "from models.net import Net\n\ndef build():\n    return Net(4)\n",
        "models/__init__.py": "",
        "models/net.py": (
            "from torch import nn\nfrom tasks import WIDTH\n\n"
            "class Net(nn.Sequential):\n"
            "    classes = ('fish', 'mushroom', 'balloon', 'cactus')\n"
            "    preprocessing = {'crop': (64, 64)}\n"
            "    def __init__(self, count):\n"
            "        super().__init__(nn.Conv2d(3, WIDTH, 3, 2), nn.ReLU(),\n"
            "            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, count))\n"
        ),
        "tasks/__init__.py": "WIDTH = 12\n",
    }
    for name, text in files.items():
        (tmp_path / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "project" / name).write_text(text)
    return tmp_path / "project"


@pytest.mark.full
@pytest.mark.usefixtures("prefect_server")
def test_a_users_project_with_our_package_names_is_audited(
    options: list[str], project: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network, _ = build_from_file(f"{project}/train.py:build")
    save_file(network.state_dict(), tmp_path / "net.safetensors")
    options[options.index("--model") + 1] = f"{project}/train.py:build"
    done = invoke(*options, "--weights", str(tmp_path / "net.safetensors"), "--json")
    assert done.exit_code == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["images"]["predicted"] == 64
    assert summary["model"]["layer"] == "0"


@pytest.mark.usefixtures("prefect_server")
def test_broken_files_are_reported_and_the_rest_is_audited(
    options: list[str], benchmark_folder: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(benchmark_folder, tmp_path / "data")
    Image.open(data / "images/test/00000.png").save(tmp_path / "whole.jpg")
    truncated = (tmp_path / "whole.jpg").read_bytes()[:700]
    (data / "images/test/00000.png").write_bytes(truncated)
    Image.new("L", (64, 32), 255).save(data / "masks/test/00001.png")
    options[options.index("--data") + 1] = str(data)
    done = invoke(*options, "--workers", "1")
    assert done.exit_code == 0, done.stderr
    printed = " ".join(done.stdout.split())
    assert "63 predicted, 1 failed" in printed
    assert "1 x read (permanent): image" in printed
    assert "00000.png cannot be decoded" in printed
    assert "00001.png is 64x32, image" in printed
    assert "is 64x64; export it again or drop the row" in printed
    assert "1 of 64 checked images will fail" in done.stderr


@pytest.mark.full
@pytest.mark.usefixtures("prefect_server")
def test_an_existing_cluster_is_used(options: list[str]) -> None:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        done = invoke(*options, "--dask", cluster.scheduler_address, "--json")
        assert done.exit_code == 0, done.stderr
        assert json.loads(done.stdout)["cost"]["computed"] == 64


@pytest.mark.full
@pytest.mark.usefixtures("prefect_server")
def test_without_masks_the_log_says_how_many_estimates_decide(
    options: list[str], benchmark_folder: Path, tmp_path: Path
) -> None:
    pictures = sorted((benchmark_folder / "images/test").iterdir())[:4]
    (tmp_path / "table.csv").write_text("\n".join(["file_name", *map(str, pictures)]) + "\n")
    options[options.index("--data") + 1] = str(tmp_path / "table.csv")
    where = options.index("--split")
    del options[where : where + 2]
    estimating = ("--foreground", "estimate", "--workers", "0", "--pool", "4")
    done = invoke(*options, *estimating, "--foreground-confidence", "1")
    assert done.exit_code == 0, done.stderr
    log = " ".join(done.stderr.split())
    assert "4 images have a foreground estimated by graph cuts (estimate); 0 of them" in log
    assert "--foreground network (pip install 'sightline[photos]'), onnx:FILE or rembg:NAME" in log


@pytest.mark.usefixtures("prefect_server")
def test_show_prints_what_audit_printed(options: list[str], tmp_path: Path) -> None:
    audited = invoke(*options, "--workers", "1")
    shown = invoke("show", str(tmp_path / "run"))
    assert shown.exit_code == 0
    assert shown.stdout == audited.stdout
    assert "rests on background" in shown.stdout
    assert json.loads(invoke("show", str(tmp_path / "run"), "--json").stdout)["schema_version"] == 1


@pytest.mark.full
@pytest.mark.usefixtures("prefect_server")
def test_mlflow_being_away_costs_no_result(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr("flows.audit.publish.retry_delay_seconds", 0)
    options[options.index("--mlflow") + 1] = "http://127.0.0.1:9"
    done = invoke(*options, "--workers", "1")
    assert done.exit_code == 0
    assert open_run(tmp_path / "run").state.state == "finished"


def test_a_dry_run_estimates_and_writes_nothing(options: list[str], tmp_path: Path) -> None:
    done = invoke(*options, "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("64 images, ")
    assert " MB" in done.stdout
    assert not (tmp_path / "run").exists()


@pytest.fixture
def crowd(benchmark_folder: Path, tmp_path: Path) -> Path:
    """Many pictures, so that there is time to be interrupted."""
    return link_images(benchmark_folder, tmp_path / "crowd", 2000)


@pytest.mark.full  # 50 seconds; test_random_failures.py stops runs in make test
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_finished_parts_and_nothing_else(
    crowd: Path, bundle: Path, tmp_path: Path, tracking: str, how: signal.Signals
) -> None:
    run = tmp_path / "run"
    arguments = [
        *("audit", "--data", str(crowd), "--model", str(bundle), "--out", str(run)),
        *("--shard-size", "25", "--workers", "2", "--mlflow", tracking),
    ]
    process = subprocess.Popen(
        [SIGHTLINE, *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert wait_until(
        lambda: len(list(run.glob("maps/*/part-*"))) > 8 or process.poll() is not None
    )
    assert process.poll() is None
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(how)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3, errors
    assert "stopped; what was computed is kept, and the same command continues" in errors
    assert "Traceback" not in errors
    _, alive = psutil.wait_procs(children, timeout=PATIENCE)
    assert not alive
    assert not list(run.rglob("*.tmp"))
    kept = len(list(run.glob("predictions/part-*")))
    assert 0 < kept < 80
    continued = subprocess.run(
        [SIGHTLINE, *arguments, "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    cost = json.loads(continued.stdout)["cost"]
    assert cost["computed"] + cost["reused"] == 2000
    assert cost["reused"] >= 25 * (kept - 2)


SETTINGS: dict[str, type[RunSettings]] = {
    "audit": AuditSettings,
    "retrain": RetrainSettings,
    "release": ReleaseSettings,
}


def test_the_deployment_names_a_flow_and_settings_that_exist() -> None:
    deployments = yaml.safe_load(Path("prefect.yaml").read_text())["deployments"]
    for deployment in deployments:
        module, _, name = deployment["entrypoint"].partition(":")
        flow = getattr(__import__(module, fromlist=[name]), name)
        assert flow.name == module.rpartition(".")[2]
        SETTINGS[flow.name].model_validate(deployment["parameters"])
        environment = deployment["work_pool"]["job_variables"]["env"]
        assert {name: os.environ[name] for name in environment} == environment  # as the command
        flow.validate_parameters(deployment["parameters"])
