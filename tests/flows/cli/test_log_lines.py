"""Lines of other libraries stay out of a command's stderr unless --verbose asks for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.settings.environment import prepare_environment, show_third_parties
from tests.support.command_line import SIGHTLINE, invoke

ROOT = Path(__file__).parent.parent.parent.parent
COMMAND = """
import logging, warnings
import click
from flows.cli.commands import main
from flows.cli.log_lines import quiet_option, log_options
from flows.settings.environment import prepare_environment

@main.command()
@quiet_option
@log_options
def work(quiet):
    prepare_environment()
    if WITH_PREFECT:
        import prefect
    warnings.warn("warning of Python")
    logging.getLogger("other").warning("line of a library")
    logging.getLogger("sightline").info("what is done")
    logging.getLogger("sightline").warning("what is wrong")
    click.echo(f"quiet: {quiet}")

main()
"""


def stderr_of(home: Path, *options: str, with_prefect: bool = False) -> str:
    kept = {name: value for name, value in os.environ.items() if "LOGGING" not in name}
    done = subprocess.run(
        [sys.executable, "-c", f"WITH_PREFECT = {with_prefect}\n{COMMAND}", "work", *options],
        cwd=ROOT,
        env={**kept, "SIGHTLINE_HOME": str(home), "PREFECT_HOME": str(home)}
        | {"PYTHONWARNINGS": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"quiet: {'--quiet' in options}\n"
    return done.stderr


def test_only_our_own_lines_are_shown(tmp_path: Path) -> None:
    assert stderr_of(tmp_path) == "what is done\nwhat is wrong\n"
    assert stderr_of(tmp_path, "--quiet") == "what is wrong\n"


def test_verbose_shows_those_of_others(tmp_path: Path) -> None:
    shown = stderr_of(tmp_path, "--verbose")
    for words in ("warning of Python", "line of a library", "what is done", "what is wrong"):
        assert words in shown


@pytest.mark.full
def test_prefect_changes_none_of_it(tmp_path: Path) -> None:
    assert stderr_of(tmp_path, with_prefect=True) == "what is done\nwhat is wrong\n"
    shown = stderr_of(tmp_path, "--verbose", with_prefect=True)
    assert "warning of Python" in shown
    assert "line of a library" in shown


def lines_of(stderr: str) -> list[dict[str, Any]]:
    """Each line is one object."""
    return [json.loads(line) for line in stderr.splitlines()]


def test_json_is_one_object_a_line(tmp_path: Path) -> None:
    lines = lines_of(stderr_of(tmp_path, "--log-format", "json"))
    assert [(it["level"], it["logger"], it["message"]) for it in lines] == [
        ("INFO", "sightline", "what is done"),
        ("WARNING", "sightline", "what is wrong"),
    ]
    for line in lines:
        assert datetime.fromisoformat(line["time"]).tzinfo == UTC
    (line,) = lines_of(stderr_of(tmp_path, "--log-format", "json", "--quiet"))
    assert line["message"] == "what is wrong"


def test_verbose_json_has_the_lines_of_others_once(tmp_path: Path) -> None:
    for order in (("--log-format", "json", "--verbose"), ("--verbose", "--log-format", "json")):
        loggers = [it["logger"] for it in lines_of(stderr_of(tmp_path, *order))]
        assert loggers == ["py.warnings", "other", "sightline", "sightline"]


def test_a_mistake_is_the_last_object() -> None:
    words = ("audit", "--data", "nowhere", "--model", "x", "--out", "y")
    done = invoke(*words, "--log-format", "json")
    assert (done.exit_code, done.stdout) == (2, "")
    *_, last = lines_of(done.stderr)
    assert (last["level"], last["exit_code"]) == ("ERROR", 2)
    assert not last["message"].startswith("sightline: ")
    assert "Traceback" not in done.stderr
    again = invoke(*words)
    assert again.stderr.splitlines()[-1] == f"sightline: {last['message']}"


@pytest.mark.full
@pytest.mark.timeout(600)
def test_the_log_of_an_audit_is_json(benchmark_folder: Path, bundle: Path, tmp_path: Path) -> None:
    """With Prefect's lines, the run and the stage; stdout has the results alone."""
    what = ("--data", str(benchmark_folder), "--split", "test", "--model", str(bundle))
    names = [it for it in os.environ if not ("LOGGING" in it or it.startswith("PREFECT"))]
    done = subprocess.run(
        [
            *(SIGHTLINE, "audit", *what, "--out", "run", "--workers", "1", "--json"),
            *("--log-format", "json"),
        ],
        cwd=tmp_path,
        env={name: os.environ[name] for name in names} | {"SIGHTLINE_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"]["total"] == 64
    lines = lines_of(done.stderr)
    (progress,) = [it for it in lines if it.get("images") == 64]
    assert progress["run"] == str(tmp_path / "run")
    assert (progress["stage"], progress["total"]) == ("attribute", 64)
    assert float(progress["seconds"]) > 0
    assert any(it["logger"].startswith("prefect") for it in lines)


def test_deployments_are_as_quiet_as_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """What prefect.yaml sets for a worker is what a command sets for itself."""
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    given = deployments[0]["work_pool"]["job_variables"]["env"]
    for name in given:
        monkeypatch.delenv(name, raising=False)
    prepare_environment()
    assert given.items() <= os.environ.items() | {("PREFECT_LOGGING_ROOT_LEVEL", "CRITICAL")}


def test_verbose_wins_over_our_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("PYTHONWARNINGS", "MLFLOW_LOGGING_LEVEL", "DASK_LOGGING__DISTRIBUTED")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    show_third_parties()
    prepare_environment()
    assert [os.environ[name] for name in names] == ["default", "INFO", "warning"]
