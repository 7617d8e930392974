"""The walls of the house: who may import whom, and no name for two rooms."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "models": {"models"},
    "tasks": {"tasks", "models"},
    "reports": {"reports", "tasks.schema"},
    "flows": {"flows", "tasks", "models", "reports"},
}
OURS = (*ALLOWED, "benchmarks", "tests")
NOT_NAMES = {"utils", "core", "common", "helpers", "manager", "base", "misc"}


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("folder", ALLOWED)
def test_nobody_walks_through_a_wall(folder: str) -> None:
    for path in files(folder):
        for name in imported(path):
            if name.partition(".")[0] in OURS:
                allowed = ALLOWED[folder]
                assert any(f"{name}.".startswith(f"{room}.") for room in allowed), (path, name)


def test_the_schema_is_a_leaf() -> None:
    names = {name for path in files("tasks/schema") for name in imported(path)}
    ours = {name for name in names if name.partition(".")[0] in OURS}
    assert not [name for name in ours if not name.startswith("tasks.schema.")]


def test_no_two_rooms_have_one_name() -> None:
    stems = [path.stem for folder in ALLOWED for path in files(folder) if path.stem != "__init__"]
    assert [name for name, count in Counter(stems).items() if count > 1] == []
    assert not NOT_NAMES & set(stems)


def test_flows_stay_short() -> None:
    for name in ("audit", "compare_methods", "retrain", "release", "demo"):
        text = (ROOT / "flows" / f"{name}.py").read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 80


def test_only_the_settings_read_the_environment() -> None:
    for folder in ALLOWED:
        for path in files(folder):
            if path.name not in ("settings.py", "warden.py"):  # a warden marks what it guards
                text = path.read_text(encoding="utf-8")
                assert "os.environ" not in text, path
                assert "getenv" not in text, path
