"""Whatever is killed, slowed down or away for a while: after the last rerun every row is there.

A schedule is a seed: some audits, during each of which something fails at a random moment, and
then undisturbed reruns. 5 schedules in `make test`, 200 in `make soak`.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from tests.support import audit_process
from tests.support.same_rows import check_same_rows
from tests.support.waiting import PATIENCE, wait_until

IMAGES = 400
FEW, MORE, MANY = range(1), range(1, 5), range(5, 205)

Failure = Callable[["Audit", random.Random], None]


class Audit:
    """One process that runs an audit, its workers, and its progress."""

    def __init__(self, world: World, run: Path) -> None:
        self.world, self.run = world, run
        command = [sys.executable, audit_process.__file__, *world.arguments, str(run)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    @property
    def parts(self) -> int:
        return len(list(self.run.glob("features/part-*")))

    @property
    def workers(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.process.pid).children(recursive=True)
            return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        return []

    def reach(self, parts: int) -> bool:
        """Wait until this many shards are done; False when the process ended before."""
        while self.parts < parts and self.process.poll() is None:
            time.sleep(0.02)
        return self.process.poll() is None

    def end(self) -> int:
        _, errors = self.process.communicate(timeout=PATIENCE)
        assert "Traceback" not in errors, errors
        return self.process.returncode


class World:
    """Pictures with masks, a model, and the rows of an undisturbed audit."""

    def __init__(self, folder: Path, benchmark: Path, bundle: Path) -> None:
        self.folder = folder
        self.images, self.masks = folder / "images", folder / "masks"
        self.images.mkdir()
        self.masks.mkdir()
        for index in range(IMAGES):
            source = f"test/{index % 64:05d}.png"
            os.link(benchmark / "images" / source, self.images / f"{index:05d}.png")
            os.link(benchmark / "masks" / source, self.masks / f"{index:05d}.png")
        self.arguments = [str(self.images), str(self.masks), str(bundle)]
        self.undisturbed = folder / "undisturbed"
        assert Audit(self, self.undisturbed).end() == 0


@pytest.fixture(scope="module")
def world(benchmark_folder: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"), benchmark_folder, bundle)


def kill_a_worker(audit: Audit, chance: random.Random) -> None:
    for worker in chance.sample(audit.workers, min(1, len(audit.workers))):
        with suppress(psutil.NoSuchProcess):
            worker.kill()


def kill_the_run(audit: Audit, _: random.Random) -> None:
    audit.process.kill()


def interrupt_the_run(audit: Audit, _: random.Random) -> None:
    audit.process.send_signal(2)


def slow_a_worker_down(audit: Audit, chance: random.Random) -> None:
    for worker in chance.sample(audit.workers, min(1, len(audit.workers))):
        with suppress(psutil.NoSuchProcess):
            worker.suspend()
            time.sleep(chance.uniform(0.2, 2.0))
            worker.resume()


def move_the_pictures_away(audit: Audit, chance: random.Random) -> None:
    away = audit.world.images.with_name("elsewhere")
    audit.world.images.rename(away)
    time.sleep(chance.uniform(0.1, 0.5))
    away.rename(audit.world.images)


def fill_the_disk(audit: Audit, chance: random.Random) -> None:
    """No worker can write more than a few bytes; the next run has a disk with space again."""
    most = chance.choice((0, 1000, 5000))
    for worker in audit.workers:
        with suppress(psutil.NoSuchProcess):
            worker.rlimit(resource.RLIMIT_FSIZE, (most, most))


FAILURES: tuple[Failure, ...] = (
    kill_a_worker,
    kill_the_run,
    interrupt_the_run,
    slow_a_worker_down,
    move_the_pictures_away,
    fill_the_disk,
)


@pytest.mark.timeout(1800)  # up to eight processes, one after the other
@pytest.mark.parametrize(
    "seed",
    [
        *FEW,
        *(pytest.param(seed, marks=pytest.mark.full) for seed in MORE),
        *(pytest.param(seed, marks=pytest.mark.soak) for seed in MANY),
    ],
)
def test_after_the_last_rerun_every_row_is_there(seed: int, world: World, tmp_path: Path) -> None:
    chance = random.Random(seed)
    run = tmp_path / "run"
    shards = -(-IMAGES // audit_process.SHARD)
    for _ in range(chance.choice((1, 1, 2))):
        audit = Audit(world, run)
        for fail in chance.choices(FAILURES, k=chance.choice((1, 1, 2))):
            if audit.reach(audit.parts + chance.randrange(shards // 2)):
                fail(audit, chance)
        audit.end()
    codes = []
    for _ in range(3):
        codes.append(Audit(world, run).end())
        if codes[-1] == 0 and not transient(run):
            break
    assert codes[-1] == 0, codes
    check_same_rows(run, world.undisturbed)
    hidden = [path for path in run.rglob("*") if path.name.startswith(".")]
    assert hidden == []
    assert not (run / "lock").exists()
    assert not (run / "notes").exists()
    assert not (run / "failures").exists() or not any((run / "failures").rglob("*.parquet"))
    assert no_process_remains(run)


def transient(run: Path) -> bool:
    return any(
        int(pq.read_metadata(path).metadata[b"sightline.transient"])
        for path in run.glob("predictions/*.parquet")
    )


def no_process_remains(run: Path) -> bool:
    """No process still works on this run: workers of killed runs end within seconds."""
    return wait_until(lambda: not any(str(run) in command for command in _commands()))


def _commands() -> list[str]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            found.append(" ".join(process.cmdline()))
    return found
