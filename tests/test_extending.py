"""docs/extending.md is carried out: each recipe, step by step, in a copy of the code."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT = ("flows", "tasks", "models", "reports")
COPIED = (*PRODUCT, "benchmarks", "docs", "tests", "pyproject.toml")
PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
STEP = re.compile(r"^`(?P<path>[^`\n]+)`\n\n```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
COMMAND = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Step:
    """A new file, or a change of one."""

    path: str
    kind: str
    text: str

    def carry_out(self, folder: Path) -> None:
        file = folder / self.path
        if self.kind != "diff":
            assert not file.exists()
            file.write_text(self.text, encoding="utf-8")
            return
        lines = self.text.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] in " -")
        after = "".join(line[1:] for line in lines if line[0] in " +")
        text = file.read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{self.path} has these lines {text.count(before)} times"
        file.write_text(text.replace(before, after), encoding="utf-8")


def recipes() -> dict[str, str]:
    """The sections of the page, by heading."""
    _, *sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    return {heading: text for heading, _, text in (part.partition("\n") for part in sections)}


def steps_of(recipe: str) -> list[Step]:
    return [Step(**found.groupdict()) for found in STEP.finditer(recipe)]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The code, as it would be after a clone."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def check_command(command: str, folder: Path) -> None:
    program, *arguments = shlex.split(command)
    assert program == "python"
    environment = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", recipes())
def test_the_recipe_works(name: str, copied: Path) -> None:
    recipe = recipes()[name]
    for step in steps_of(recipe):
        step.carry_out(copied)
    (commands,) = COMMAND.findall(recipe)
    for command in commands.splitlines():
        check_command(command, copied)


@pytest.mark.parametrize("name", recipes())
def test_the_recipe_touches_two_files_and_a_test(name: str) -> None:
    paths = {step.path for step in steps_of(recipes()[name])}
    product = {path for path in paths if path.startswith(PRODUCT)}
    (test,) = paths - product
    assert len(product) <= 2
    assert test.startswith("tests/")
    assert f"python -m pytest -q {test}" in recipes()[name]


def test_every_block_is_a_step_or_a_command() -> None:
    assert PAGE.count("```") == 2 * (len(steps_of(PAGE)) + len(COMMAND.findall(PAGE)))
