"""The files of examples/ work as they stand, and the pages quote them as they stand."""

from __future__ import annotations

import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from flows.cli.commands import main
from tasks.runs import open_run
from tests.support.audits import BENCHMARK

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if path.is_file())


@pytest.fixture
def project(benchmark_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the examples and all that their README says they need."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "examples", "examples", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(benchmark_folder, "demo/benchmark")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = runpy.run_path("examples/own_model.py")["build"]()
    save_file(network.state_dict(), "own_model.safetensors")
    Path("classes.txt").write_text("\n".join(BENCHMARK.classes))
    return tmp_path


@pytest.mark.usefixtures("prefect_server", "project")
def test_an_audit_of_ones_own_model_by_ones_own_method_is_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = CliRunner().invoke(main, ["audit", "--config", "examples/audit.toml", "--workers", "1"])
    assert done.exit_code == 0, done.stderr
    assert open_run("runs/own").methods == ["grad_cam_pp", "own_method.py:occlusion"]
    runpy.run_path("examples/read_a_run.py")
    printed = capsys.readouterr().out
    assert printed.startswith("64 images, accuracy ")
    assert "(64, 64)" in printed


@pytest.mark.usefixtures("project")
def test_the_policy_is_understood() -> None:
    done = CliRunner().invoke(main, ["policy", "check", "examples/policy.toml"])
    assert done.exit_code == 0, done.stderr
    assert "the change of worst_group is at least" in done.stdout


def test_every_example_is_listed() -> None:
    page = (ROOT / "examples/README.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| \[(\S+)\]\(\1\) \|", page, flags=re.MULTILINE)
    assert sorted([*named, "README.md"]) == [path.name for path in EXAMPLES]


def test_the_page_of_methods_quotes_the_example() -> None:
    page = (ROOT / "docs/methods.md").read_text(encoding="utf-8")
    (quoted,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert quoted in (ROOT / "examples/own_method.py").read_text(encoding="utf-8")


def test_the_examples_import_nothing_that_is_not_public() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in EXAMPLES if path.suffix == ".py")
    imported = set(re.findall(r"^(?:from|import) (\w+)", sources, flags=re.MULTILINE))
    assert imported - sys.stdlib_module_names == {"torch", "duckdb", "sightline"}
