"""Workers that are killed at random moments cost time and nothing else (make soak)."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from tasks.runs import open_run
from tests.support.command_line import SIGHTLINE, link_images

IMAGES = 2000

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def crowd(benchmark_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return link_images(benchmark_folder, tmp_path_factory.mktemp("many") / "crowd", IMAGES)


def start(crowd: Path, bundle: Path, run: Path) -> subprocess.Popen[bytes]:
    where = ("--data", str(crowd), "--model", str(bundle), "--out", str(run))
    how = ("--shard-size", "25", "--workers", "2", "--mlflow", f"sqlite:///{run.parent}/mlflow.db")
    return subprocess.Popen([SIGHTLINE, "audit", *where, *how], stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def undisturbed(
    crowd: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, pa.Table]:
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    assert start(crowd, bundle, run).wait() == 0
    return rows_of(run)


def rows_of(run: Path) -> dict[str, pa.Table]:
    reader = open_run(run)
    maps = [reader.part("maps/grad_cam_pp", shard) for shard in reader.shards]
    return {"table": reader.table(), "maps": pa.concat_tables(maps)}


def kill_a_worker(process: psutil.Process, chance: random.Random) -> None:
    workers = [
        child
        for child in process.children(recursive=True)
        if any("spawn_main" in word for word in child.cmdline())
    ]
    if workers:
        chance.choice(workers).kill()


@pytest.mark.parametrize("seed", range(8))
def test_killed_workers_cost_time_and_nothing_else(
    seed: int, crowd: Path, bundle: Path, undisturbed: dict[str, pa.Table], tmp_path: Path
) -> None:
    chance = random.Random(seed)
    run = tmp_path / "run"
    process = start(crowd, bundle, run)
    after = sorted(chance.randrange(IMAGES // 25) for _ in range(2))  # parts at which to kill
    while after and process.poll() is None:
        if len(list(run.glob("predictions/part-*"))) >= after[0]:
            kill_a_worker(psutil.Process(process.pid), chance)
            after.pop(0)
        time.sleep(0.05)
    assert process.wait() == 0
    found = rows_of(run)
    assert found["table"].equals(undisturbed["table"])
    assert found["maps"].equals(undisturbed["maps"])
    assert not list(run.rglob("*.tmp"))
