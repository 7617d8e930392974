"""Settings and options are read and checked without what takes seconds to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.runs.folder import RunFolder

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "torchvision", "prefect", "mlflow", "distributed", "dask", "pyarrow"}
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for folder in ("models", "tasks", "flows")
    for pattern in ("settings.py", "settings/*.py")
    for path in (ROOT / folder).rglob(pattern)
)
COMPOSE = """
from flows.settings.command_settings import AuditSettings
from flows.settings.compose import compose
settings = compose(AuditSettings, None, {
    "data.path": "pictures", "model.address": "torchvision:resnet18", "output.run": "run",
    "attribution.methods": ["rise:masks=20", "grad_cam_pp"],
})
assert settings.attribution.methods == ("rise:masks=20", "grad_cam_pp")
"""


COMMAND = """
from click.testing import CliRunner
from flows.cli.commands import main
done = CliRunner().invoke(main, {words!r})
assert done.exit_code == 0, done.stderr
"""


def heavy_after(program: str) -> set[str]:
    """The heavy packages that a fresh interpreter has imported after these lines."""
    program += f"\nimport sys\nprint(*({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("module", MODULES)
def test_a_file_of_settings_is_light(module: str) -> None:
    assert heavy_after(f"import {module}") == set()


def test_a_run_is_read_without_torch(finished_run: RunFolder) -> None:
    read = f"open_run({str(finished_run.path)!r}).table('grad_cam_pp')"
    assert heavy_after(f"from tasks.runs import open_run\n{read}") == {"pyarrow"}


def test_two_runs_are_compared_and_a_policy_is_applied_without_torch() -> None:
    """At a million images torch would take as much memory as they do."""
    assert heavy_after("import tasks.compare.two_models, tasks.gate.decide") == {"pyarrow"}


def test_a_table_is_exported_without_torch(finished_run: RunFolder, tmp_path: Path) -> None:
    words = ["export", str(finished_run.path), "--to", "csv", "--out", str(tmp_path / "table")]
    assert "torch" not in heavy_after(COMMAND.format(words=[*words, "--quiet"]))


def test_the_front_door_is_light() -> None:
    assert heavy_after("import sightline") == {"pyarrow"}


def test_settings_are_checked_without_torch() -> None:
    assert heavy_after(COMPOSE) == set()


def test_the_command_line_is_light_until_something_is_to_be_done() -> None:
    assert heavy_after("import flows.cli") == set()


@pytest.mark.parametrize(
    "words",
    [
        *(["--help"], ["--version"], ["status"], ["policy", "--help"]),
        *([name, "--help"] for name in ("audit", "retrain", "release", "compare-methods", "init")),
    ],
    ids=" ".join,
)
def test_help_needs_nothing(words: list[str]) -> None:
    assert heavy_after(COMMAND.format(words=words)) == set()


@pytest.mark.parametrize("command", ["show", "show --scenarios", "runs", "policy check"])
def test_runs_and_policies_are_shown_without_torch(command: str, finished_run: RunFolder) -> None:
    shown = "flows/policy.toml" if command == "policy check" else str(finished_run.path)
    words = [*command.split(), shown]
    assert heavy_after(COMMAND.format(words=words)) <= {"pyarrow"}


def test_an_explorer_answers_without_torch() -> None:
    """It takes seconds to import, which only the first picture waits for."""
    assert heavy_after("import flows.explorer.opened, flows.explorer.serve") == {"pyarrow"}


def test_shell_completion_needs_nothing() -> None:
    program = """
import os
from flows.cli.commands import main
os.environ |= {"_SIGHTLINE_COMPLETE": "bash_complete", "COMP_WORDS": "sightline au"}
os.environ |= {"COMP_CWORD": "1"}
try:
    main(prog_name="sightline", complete_var="_SIGHTLINE_COMPLETE")
except SystemExit:
    pass
"""
    assert heavy_after(program) == {"plain,audit"}  # the one completion
