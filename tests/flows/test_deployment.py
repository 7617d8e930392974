"""prefect.yaml against a real Prefect server on loopback: scheduled, run, killed and retried."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from mlflow.tracking import MlflowClient

from tasks.runs.series import TIME_FORMAT
from tests.support.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parent.parent.parent
PREFECT = str(Path(sys.executable).with_name("prefect"))
PAGES = ("README.md", "docs/schedule.md")
CROWD = 3008  # more pictures on the night that is killed
SHARDS = (64 + CROWD) // 256

SERVER = "prefect server start --host 127.0.0.1 --port 4200"
POOL = "prefect work-pool create sightline --type process"
DEPLOY = "prefect --no-prompt deploy --all"
BY_HAND = "prefect deployment run audit/nightly"
WORKER = "prefect worker start --pool sightline --limit 1"
ONCE = "prefect worker start --pool sightline --run-once"
RETRY = "prefect flow-run retry ID"
RETRAIN = "prefect deployment run retrain/weekly"
RELEASE = "prefect deployment run release/on-demand"

# Prefect holds a run's events back until it has seen the one before, if that is this young; and
# its scheduler sends none for the runs that it makes. Weeks are made days before they are due.
TIED = timedelta(minutes=5)

LENIENT = """
[[rule]]
figure = "accuracy"
at_least = 0.0
"""
STRICT = """
[[rule]]
figure = "accuracy"
change_at_least = 0.99
"""

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]


@dataclass
class Site:
    """A folder that was deployed from, and its server."""

    folder: Path
    environment: dict[str, str]
    api: httpx.Client

    @property
    def runs(self) -> Path:
        return self.folder / "runs/nightly"

    def prefect(self, command: str, *more: str) -> None:
        done = subprocess.run(
            [PREFECT, *command.split()[1:], *more],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)

    def start(self, command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [PREFECT, *command.split()[1:]],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, path: str, **question: Any) -> Any:
        answer = self.api.post(path, json=question)
        answer.raise_for_status()
        return answer.json()

    def nights(self, *, scheduled: bool = True) -> list[dict[str, Any]]:
        return self.waiting("nightly", scheduled=scheduled)

    def waiting(self, deployment: str, *, scheduled: bool = True) -> list[dict[str, Any]]:
        """Flow runs that wait for a worker, made by the schedule or by hand; soonest first."""
        found = self.ask(
            "/flow_runs/filter",
            deployments={"name": {"any_": [deployment]}},
            flow_runs={"state": {"type": {"any_": ["SCHEDULED"]}}},
        )
        made = [run for run in found if run["auto_scheduled"] == scheduled]
        return sorted(made, key=lambda run: str(run["expected_start_time"]))

    def state(self, run: dict[str, Any]) -> str:
        answer = self.api.get(f"/flow_runs/{run['id']}")
        return str(answer.json()["state_name"])

    def make_due(self, run: dict[str, Any]) -> Path:
        """Let the run be due; returns its folder, named by the time it was scheduled for."""
        now = datetime.now(UTC).isoformat()
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": now}}
        self.ask(f"/flow_runs/{run['id']}/set_state", state=state, force=True)
        time_of = datetime.fromisoformat(run["expected_start_time"])
        return self.runs / time_of.strftime(TIME_FORMAT)


@pytest.fixture(scope="module")
def site(
    benchmark_folder: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("site")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = home / "deployed"
    shutil.copytree(benchmark_folder, folder / "demo/benchmark")
    shutil.copytree(bundle, folder / "demo/model")
    shutil.copy(ROOT / "prefect.yaml", folder)
    environment = os.environ | {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "SIGHTLINE_HOME": str(home / "sightline"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    with httpx.Client(base_url=environment["PREFECT_API_URL"], timeout=30) as api:
        site = Site(folder, environment, api)
        server = site.start(SERVER.replace("4200", str(port)))
        try:
            assert wait_until(lambda: answers(api))
            site.prefect(POOL)
            site.prefect(DEPLOY)
            yield site
        finally:
            server.terminate()
            server.wait(30)


def answers(api: httpx.Client) -> bool:
    try:
        return api.get("/health").status_code == 200
    except httpx.HTTPError:
        return False


def summary_of(run: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return summary


def stamps(run: Path) -> dict[str, int]:
    """Times of every part of a shard; donors' predictions belong to no shard."""
    paths = [path for path in run.rglob("part-*.parquet") if path.parent.name != "votes"]
    return {str(path.relative_to(run)): path.stat().st_mtime_ns for path in paths}


def test_the_commands_of_the_pages_are_those_that_run_here() -> None:
    text = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL))
    documented = {line for line in blocks.splitlines() if line.startswith("prefect ")}
    assert documented == {SERVER, POOL, DEPLOY, BY_HAND, RETRAIN, RELEASE, WORKER, ONCE, RETRY}


def test_nights_are_scheduled(site: Site) -> None:
    """With SQLAlchemy 2.1 everything works except that no run is ever scheduled."""
    assert wait_until(lambda: len(site.nights()) > 1)
    times = [datetime.fromisoformat(run["expected_start_time"]) for run in site.nights()]
    assert {(time.hour, time.minute) for time in times} == {(2, 0)}
    assert times[1] - times[0] == timedelta(days=1)
    assert times[0] > datetime.now(UTC)


def test_a_night_is_compared_with_the_night_before(site: Site) -> None:
    assert wait_until(lambda: len(site.nights()) > 1)
    first, second = site.nights()[:2]
    folders = []
    for night in (first, second):
        folders.append(site.make_due(night))
        site.prefect(ONCE)
        assert site.state(night) == "Completed"
    assert sorted(site.runs.iterdir()) == folders
    summaries = [summary_of(folder) for folder in folders]
    assert [summary["images"]["predicted"] for summary in summaries] == [64, 64]
    assert summaries[0]["moved"] is None
    moved = summaries[1]["moved"]
    assert moved["before"] == str(folders[0])
    assert (moved["same"], moved["changed"], moved["added"], moved["removed"]) == (64, 0, 0, 0)
    assert summaries[1]["cost"]["computed"] == 0


def test_a_week_is_scheduled_and_its_candidate_becomes_the_champion(site: Site) -> None:
    assert wait_until(lambda: len(site.waiting("weekly")) > 1)
    weeks = site.waiting("weekly")
    times = [datetime.fromisoformat(run["expected_start_time"]) for run in weeks[:2]]
    assert [(time.weekday(), time.hour) for time in times] == [(6, 3)] * 2
    (site.folder / "flows").mkdir()
    (site.folder / "flows/policy.toml").write_text(LENIENT)
    assert wait_until(lambda: age_of(weeks[0]) > TIED, 2 * PATIENCE)
    moment = site.make_due(weeks[0]).name
    site.prefect(ONCE)
    assert site.state(weeks[0]) == "Completed"
    folder = site.folder / "retrainings/weekly" / moment
    assert (folder / "compare.html").is_file()
    client = MlflowClient(f"sqlite:///{site.folder.parent}/sightline/mlflow.db")
    version = client.get_model_version_by_alias("benchmark", "candidate")
    assert version.tags["sightline.folder"] == str(folder)
    release = released(site, "Completed")
    assert (release / "result.json").is_file()
    champion = client.get_model_version_by_alias("benchmark", "champion")
    assert champion.version == version.version
    assert champion.tags["sightline.release"] == "passed"


def test_a_retraining_by_hand_is_refused_by_the_policy(site: Site) -> None:
    client = MlflowClient(f"sqlite:///{site.folder.parent}/sightline/mlflow.db")
    before = client.get_model_version_by_alias("benchmark", "champion").version
    (site.folder / "flows/policy.toml").write_text(STRICT)
    site.prefect(RETRAIN, "--param", 'model={"address": "mlflow:models:/benchmark@champion"}')
    (retraining,) = site.waiting("weekly", scheduled=False)
    site.prefect(ONCE)
    assert site.state(retraining) == "Completed"
    release = released(site, "Failed")
    result = json.loads((release / "result.json").read_text())
    assert not result["passed"]
    assert (release / "champion/summary.json").is_file()
    assert client.get_model_version_by_alias("benchmark", "champion").version == before
    candidate = client.get_model_version_by_alias("benchmark", "candidate")
    assert candidate.version != before
    assert candidate.tags["sightline.release"] == "refused"


def test_the_refused_candidate_is_released_by_hand_under_another_policy(site: Site) -> None:
    client = MlflowClient(f"sqlite:///{site.folder.parent}/sightline/mlflow.db")
    candidate = client.get_model_version_by_alias("benchmark", "candidate").version
    (site.folder / "flows/policy.toml").write_text(LENIENT)
    site.prefect(RELEASE)
    assert (released(site, "Completed") / "compare.html").is_file()
    assert client.get_model_version_by_alias("benchmark", "champion").version == candidate


def age_of(run: dict[str, Any]) -> timedelta:
    return datetime.now(UTC) - datetime.fromisoformat(run["created"])


def released(site: Site, state: str) -> Path:
    """The folder of the release that the end of the retraining triggered."""
    assert wait_until(lambda: site.waiting("on-demand", scheduled=False))
    (release,) = site.waiting("on-demand", scheduled=False)
    site.prefect(ONCE)
    assert site.state(release) == state
    folders = sorted((site.folder / "releases/on-demand").iterdir())
    return folders[-1]


def test_a_killed_night_continues_in_its_folder_when_it_is_retried(site: Site) -> None:
    add_pictures(site.folder / "demo/benchmark", CROWD)
    assert wait_until(site.nights)
    night = site.nights()[0]
    folder = site.make_due(night)
    worker = site.start(ONCE)
    assert wait_until(lambda: len(list(folder.glob("predictions/part-*"))) > 2)
    flow_process_of(worker).send_signal(signal.SIGKILL)
    worker.wait(120)
    assert wait_until(lambda: site.state(night) == "Crashed")
    kept = whole_shards(stamps(folder))
    shards = {shard_of(name) for name in kept}
    assert 0 < len(shards) < SHARDS
    site.prefect(RETRY.replace("ID", night["id"]))
    site.prefect(ONCE)
    assert site.state(night) == "Completed"
    assert kept.items() <= stamps(folder).items()
    summary = summary_of(folder)
    assert summary["images"]["predicted"] == 64 + CROWD
    assert summary["cost"]["reused"] >= 256 * len(shards)
    assert summary["moved"]["added"] == CROWD


def whole_shards(parts: dict[str, int]) -> dict[str, int]:
    """The parts of complete shards, which have most; the first shards are."""
    count = Counter(map(shard_of, parts))
    most = max(count.values())
    return {name: at for name, at in parts.items() if count[shard_of(name)] == most}


def shard_of(part: str) -> str:
    return part.rpartition("/")[2]


def add_pictures(benchmark: Path, count: int) -> None:
    """Add rows whose pictures are hard links to existing ones."""
    lines = (benchmark / "metadata.csv").read_text().splitlines()
    header, rows = lines[0], [line for line in lines[1:] if "images/test/" in line]
    fields = header.split(",")
    for number in range(count):
        row = dict(zip(fields, rows[number % len(rows)].split(","), strict=True))
        name = f"images/test/more-{number:05d}.png"
        os.link(benchmark / row["file_name"], benchmark / name)
        lines.append(",".join(row[field] if field != "file_name" else name for field in fields))
    (benchmark / "metadata.csv").write_text("\n".join(lines) + "\n")


def flow_process_of(worker: subprocess.Popen[bytes]) -> psutil.Process:
    """The process that the worker runs the flow in, below one that watches it."""
    children = psutil.Process(worker.pid).children(recursive=True)
    return next(child for child in children if "prefect.engine" in child.cmdline())


def test_two_runs_at_once_run_one_after_the_other(site: Site) -> None:
    for _ in range(2):
        site.prefect(BY_HAND)
    nights = site.nights(scheduled=False)
    assert len(nights) == 2
    worker = site.start(WORKER)
    try:
        assert wait_until(lambda: all(site.state(night) == "Completed" for night in nights))
    finally:
        worker.kill()
        worker.wait(60)
    spans = sorted(
        (run["start_time"], run["end_time"])
        for run in (site.api.get(f"/flow_runs/{night['id']}").json() for night in nights)
    )
    assert spans[0][1] <= spans[1][0]
