"""The wheel holds everything, works in an environment of its own, and docs/install.md says how."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
FOLDERS = ("flows", "models", "reports", "tasks")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
INTERNAL = {"test", "check"}
PAGE = (ROOT / "docs/install.md").read_text(encoding="utf-8")


def run(*command: str | Path, folder: Path) -> str:
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # as a user's
    done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, since building leaves folders behind."""
    source = tmp_path_factory.mktemp("source")
    for name in (*FOLDERS, "examples"):
        caches = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(ROOT / name, source / name, ignore=caches)
    for name in ("pyproject.toml", "README.md", "LICENSE", "sightline.py"):
        shutil.copy(ROOT / name, source)
    build = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "dist")
    run(*build, ".", folder=source)
    (built,) = (source / "dist").glob("sightline-*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with the wheel alone; the packages that it needs, several GB, are read
    from the environment of the tests."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder, folder=folder)
    run(folder / "bin/pip", "install", "--quiet", "--no-deps", wheel, folder=folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib"))
    return folder


@pytest.mark.full
def test_the_wheel_holds_every_file(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    expected = {"sightline.py"} | {
        str(path.relative_to(ROOT))
        for name in FOLDERS
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected - inside == set()
    shared = {name.partition("/data/share/sightline/")[2] for name in inside} - {""}
    assert shared == {
        str(path.relative_to(ROOT))
        for path in (ROOT / "examples").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.full
def test_it_works_in_an_environment_of_its_own(environment: Path, tmp_path: Path) -> None:
    sightline = environment / "bin/sightline"
    assert "audit" in run(sightline, "--help", folder=tmp_path)
    examples = environment / "share/sightline/examples"
    told = run(sightline, "policy", "check", examples / "policy.toml", folder=tmp_path)
    assert "the change of worst_group is at least" in told
    found = run(
        *(environment / "bin/python", "-c"),
        "import flows.demo, reports.rendering as pages, sightline\n"
        "print(flows.demo.__file__, flows.demo.POLICY.is_file(), pages.TEMPLATES.is_dir())",
        folder=tmp_path,
    )
    assert found.startswith(str(environment))
    assert found.endswith(" True True\n")


@pytest.mark.full
def test_it_is_imported_in_a_project_that_has_our_names(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("OWN = True")
    lines = "import sightline, tasks; print(tasks.OWN, sightline.Run.__module__)"
    printed = run(environment / "bin/python", "-c", lines, folder=tmp_path)
    assert printed == "True sightline\n"


def test_what_is_imported_is_declared() -> None:
    distributions = packages_distributions()
    extras = [texts for name, texts in EXTRAS.items() if name not in INTERNAL]
    texts = sum(extras, PROJECT["dependencies"])
    declared = {canonicalize_name(Requirement(text).name) for text in texts}
    undeclared = {
        f"{name} ({path.relative_to(ROOT)})"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        for name in imported_packages(path) - sys.stdlib_module_names - set(FOLDERS)
        if not {canonicalize_name(it) for it in distributions.get(name, [name])} & declared
    }
    assert not undeclared


def imported_packages(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.add(node.module.partition(".")[0])
    return names


def test_every_extra_is_on_the_page() -> None:
    assert EXTRAS.keys() - INTERNAL <= set(re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("words", "index"),
    [((), False), (("TORCH=cpu",), True)],
    ids=["the registry's torch", "torch without CUDA"],
)
def test_one_variable_chooses_torch(words: tuple[str, ...], index: bool) -> None:
    for target in ("demo", "test", "test-oldest"):
        told = run("make", "--dry-run", "--always-make", target, *words, folder=ROOT)
        assert ("--extra-index-url https://download.pytorch.org/whl/cpu" in told) == index
    assert "make demo TORCH=cpu" in PAGE
