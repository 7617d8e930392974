"""Lines of other libraries stay out of a command's stderr unless --verbose asks for them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flows.settings.environment import prepare_environment, show_third_parties

ROOT = Path(__file__).parent.parent.parent.parent
COMMAND = """
import logging, warnings
import click
from flows.cli.commands import main
from flows.cli.log_lines import quiet_option, verbose_option
from flows.settings.environment import prepare_environment

@main.command()
@quiet_option
@verbose_option
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
