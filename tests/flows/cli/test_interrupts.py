"""Ctrl-C in a terminal, and SIGTERM: a command ends within seconds, and says how to continue."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from tasks.runs import open_run
from tests.support.command_line import SIGHTLINE, link_images
from tests.support.terminal import Terminal, in_terminal, processes_with
from tests.support.waiting import PATIENCE, wait_until

LIMIT = 15.0  # seconds; 5 on a quiet machine
IMAGES, SHARD = 500, 25
PROGRAM = """
import sys, time
from flows.cli.one_line_errors import one_line_errors

sys.argv = ["/usr/bin/sightline", "audit", "--data", "my photos", "--out", "s3://me:secret@b/run"]
with one_line_errors():
    try:
        print("ready", flush=True)
        time.sleep(600)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        {then}
"""
STUBBORN = "time.sleep(600)"
STOPPED = "sightline: stopped; what was computed is kept, and the same command continues: "
LINE = f"{STOPPED}sightline audit --data 'my photos' --out s3://b/run"
SLOW_MODEL = """
import pathlib, time

def build():
    pathlib.Path({mark!r}).touch()
    time.sleep(600)
"""


def started(then: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM.format(then=then)]


def is_ready(terminal: Terminal) -> bool:
    return "ready" in terminal.text or terminal.has_ended()


def check_stopped(terminal: Terminal, line: str = LINE) -> None:
    assert terminal.code == 3, terminal.text
    assert terminal.last_line == line
    assert terminal.text.count("stopped;") == 1
    _, _, traceback = terminal.text.partition("Traceback")
    assert not traceback, traceback


def test_ctrl_c_ends_a_command_with_the_line_that_continues_it(tmp_path: Path) -> None:
    with in_terminal(started("raise"), tmp_path, os.environ) as terminal:
        assert wait_until(lambda: is_ready(terminal))
        terminal.press_ctrl_c()
        terminal.wait()
        check_stopped(terminal)


def test_a_second_ctrl_c_ends_at_once_what_does_not_end_by_itself(tmp_path: Path) -> None:
    with in_terminal(started(STUBBORN), tmp_path, os.environ) as terminal:
        assert wait_until(lambda: is_ready(terminal))
        terminal.press_ctrl_c()
        assert wait_until(lambda: "interrupted" in terminal.text)
        assert not terminal.has_ended()
        terminal.press_ctrl_c()
        terminal.wait()
        check_stopped(terminal)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_what_does_not_end_by_itself_is_ended(tmp_path: Path, how: signal.Signals) -> None:
    with in_terminal(started(STUBBORN), tmp_path, os.environ) as terminal:
        assert wait_until(lambda: is_ready(terminal))
        os.kill(terminal.pid, how)
        terminal.wait(LIMIT)
        check_stopped(terminal)


def test_ctrl_c_while_the_command_line_is_imported(tmp_path: Path) -> None:
    def imports(terminal: Terminal) -> bool:
        if terminal.has_ended():
            return True
        maps = psutil.Process(terminal.pid).memory_maps()
        return any("_pydantic_core" in region.path for region in maps)

    command = [SIGHTLINE, "audit", "--data", "photos", "--model", "model", "--out", "run"]
    with in_terminal(command, tmp_path, os.environ) as terminal:
        assert wait_until(lambda: imports(terminal))
        terminal.press_ctrl_c()
        terminal.wait(LIMIT)
        assert "Traceback" not in terminal.text
        assert terminal.code == 3
        # A busy machine may be past the imports before the key is pressed: then it says more.
        assert terminal.last_line.startswith("sightline: stopped")


class Audit:
    """An audit of many pictures, in a home of its own."""

    def __init__(self, images: Path, model: Path, folder: Path) -> None:
        self.folder, self.run = folder, folder / "run"
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PREFECT_", "MLFLOW_TRACKING"))
        } | {
            "SIGHTLINE_HOME": str(folder / "home"),
            "XDG_CACHE_HOME": str(folder / "cache"),  # databases are made, which takes longest
        }
        self.options = [
            *("audit", "--data", str(images), "--model", str(model), "--out", "run"),
            *("--shard-size", str(SHARD)),
        ]

    def start(self, *more: str) -> list[str]:
        return [SIGHTLINE, *self.options, *more]

    @property
    def parts(self) -> int:
        return len(list(self.run.glob("maps/*/part-*")))

    @property
    def processes(self) -> list[psutil.Process]:
        return processes_with("SIGHTLINE_HOME", self.environment["SIGHTLINE_HOME"])

    def prefect_states(self) -> list[str]:
        """What Prefect's list says of each flow run."""
        with closing(sqlite3.connect(self.folder / "home/prefect/prefect.db")) as database:
            return [state for (state,) in database.execute("SELECT state_type FROM flow_run")]

    def rows(self) -> tuple[pa.Table, ...]:
        reader = open_run(self.run)
        maps = [reader.part("maps/grad_cam_pp", shard) for shard in reader.shards]
        return reader.table(), pa.concat_tables(maps)


@pytest.fixture(scope="module")
def crowd(benchmark_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return link_images(benchmark_folder, tmp_path_factory.mktemp("many") / "crowd", IMAGES)


@pytest.fixture(scope="module")
def undisturbed(
    crowd: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[pa.Table, ...]:
    audit = Audit(crowd, bundle, tmp_path_factory.mktemp("undisturbed"))
    subprocess.run(audit.start(), cwd=audit.folder, env=audit.environment, check=True)
    return audit.rows()


@pytest.fixture
def audit(crowd: Path, bundle: Path, tmp_path: Path) -> Audit:
    return Audit(crowd, bundle, tmp_path)


def check_stop(
    audit: Audit, when: Callable[[], object], *more: str, how: int | None = None
) -> None:
    """Stop the command at this moment; it ends in time, alone, and says how to continue."""
    command = audit.start(*more)
    with in_terminal(command, audit.folder, audit.environment) as terminal:
        assert wait_until(lambda: when() or terminal.has_ended())
        assert not terminal.has_ended(), terminal.text
        if how is None:
            terminal.press_ctrl_c()
        else:
            os.kill(terminal.pid, how)
        seconds = terminal.wait(LIMIT)
        print(f"ended after {seconds:.1f} s")  # noqa: T201
        command = ["sightline", *command[1:]]
        check_stopped(terminal, f"{STOPPED}{' '.join(command)}")
    assert wait_until(lambda: not audit.processes, LIMIT), audit.processes


def starts_server(audit: Audit) -> bool:
    """Has the server been started, and not answered yet?"""
    return any(
        "serve_prefect" in " ".join(it.cmdline()) for it in audit.processes if it.is_running()
    )


@pytest.mark.full
def test_ctrl_c_while_the_model_loads(crowd: Path, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(SLOW_MODEL.format(mark=str(tmp_path / "loads")))
    audit = Audit(crowd, tmp_path / "net.py:build", tmp_path)
    check_stop(audit, (tmp_path / "loads").exists)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_ctrl_c_while_the_server_starts(audit: Audit, undisturbed: tuple[pa.Table, ...]) -> None:
    check_stop(audit, lambda: starts_server(audit))
    finish(audit, undisturbed)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", [None, signal.SIGTERM])
@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_run_that_is_stopped_while_it_computes_continues(
    audit: Audit, undisturbed: tuple[pa.Table, ...], workers: str, how: int | None
) -> None:
    check_stop(audit, lambda: audit.parts > 6, "--workers", workers, how=how)
    assert 0 < len(list(audit.run.glob("predictions/part-*"))) < IMAGES / SHARD
    assert audit.prefect_states() == ["CRASHED"]  # not "RUNNING" for ever
    finish(audit, undisturbed, "--workers", workers)


def finish(audit: Audit, undisturbed: tuple[pa.Table, ...], *more: str) -> None:
    """The same command ends well, with the same rows."""
    done = subprocess.run(
        audit.start(*more),
        cwd=audit.folder,
        env=audit.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    found = audit.rows()
    assert all(own.equals(theirs) for own, theirs in zip(found, undisturbed, strict=True))
    assert not list(audit.run.rglob("*.tmp"))
    assert not (audit.run / "notes").exists()
