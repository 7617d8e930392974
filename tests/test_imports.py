"""The walls of the house: who may import whom, and which names say nothing."""

from __future__ import annotations

import ast
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
FLOORS = {  # of each role, the ground floor first: a package imports from lower floors alone
    "models": (
        ("errors", "file_kinds", "function_network", "limits", "masks", "moves", "yaml_text"),
        ("time_limit",),
        ("user_calls",),
        ("addresses", "answering_servers", "arguments", "fills", "holes", "network", "user_code"),
        ("mlflow_failures",),
        ("classifier", "interventions", "methods"),
        ("map_quality",),
        ("objectives",),
    ),
    "tasks": (
        ("schema", "storage"),
        ("runs", "pictures", "intervals"),
        ("catalog", "interventions", "query", "tracking"),
        ("attribution", "finetune", "model_registry"),
        ("execution", "flags", "retention", "synthetic"),
        ("compare", "method_comparison"),
        ("scenarios",),
        ("summary", "gate"),
        ("discover", "export"),
        ("explorer",),
    ),
    "flows": (
        ("settings",),
        ("output_folders",),
        ("runtime", "compare_models"),
        ("audit", "compare_methods", "train_and_register"),
        ("discover", "retrain", "release"),
        ("demo", "explorer", "notebook"),
        ("cli",),
    ),
}
SETTINGS = ("tasks.flags.settings", "tasks.discover.settings")  # values that every floor reads
OURS = (*ALLOWED, "benchmarks", "tests")
MOST_STATEMENTS = 20  # of a flow: it reads as the list of its steps
NOT_NAMES = {"utils", "core", "common", "helpers", "manager", "base", "misc"}


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def package_of(path: Path) -> str:
    """`catalog` of tasks/catalog/coco.py, `errors` of models/errors.py."""
    return path.relative_to(ROOT).with_suffix("").parts[1]


@pytest.mark.parametrize("folder", ALLOWED)
def test_nobody_walks_through_a_wall(folder: str) -> None:
    for path in files(folder):
        for name in imported(path):
            if name.partition(".")[0] in OURS:
                allowed = ALLOWED[folder]
                assert any(f"{name}.".startswith(f"{room}.") for room in allowed), (path, name)


def test_the_front_door_imports_what_is_public_alone() -> None:
    ours = {name for name in imported(ROOT / "sightline.py") if name.startswith(tuple(ALLOWED))}
    when_asked = {name for name in ours if name.startswith("flows.notebook.")}
    assert ours - when_asked == {"models.errors.UserError", "tasks.runs.reader.Run"}


@pytest.mark.parametrize("role", FLOORS)
def test_a_package_imports_from_lower_floors_alone(role: str) -> None:
    floor = {name: number for number, names in enumerate(FLOORS[role]) for name in names}
    upwards = {
        f"{package_of(path)} imports {name} ({path.relative_to(ROOT)})"
        for path in files(role)
        if package_of(path) in floor
        for name in imported(path)
        if name.startswith(f"{role}.")
        and not name.startswith(SETTINGS)
        and (other := name.split(".")[1]) != package_of(path)
        and floor.get(other, len(floor)) >= floor[package_of(path)]
    }
    assert not upwards


@pytest.mark.parametrize("module", SETTINGS)
def test_settings_that_every_floor_reads_import_no_task(module: str) -> None:
    path = ROOT / f"{module.replace('.', '/')}.py"
    for file in (path, path.with_name("__init__.py")):
        assert not [name for name in imported(file) if name.startswith("tasks.")]


@pytest.mark.parametrize("role", FLOORS)
def test_every_package_has_its_floor(role: str) -> None:
    rooms = {package_of(path) for path in files(role)} - {"__init__"}
    assert rooms == {name for names in FLOORS[role] for name in names}


def test_a_flow_reads_as_the_list_of_its_steps() -> None:
    flows = {function.name: function for path in files("flows") for function in flows_in(path)}
    assert {"audit", "retrain", "release", "compare_methods", "demo"} <= flows.keys()
    for name, function in flows.items():
        statements = [node for node in ast.walk(function) if isinstance(node, ast.stmt)]
        assert len(statements) - 2 <= MOST_STATEMENTS, name  # without itself and its docstring


def flows_in(path: Path) -> Iterator[ast.FunctionDef]:
    """The functions that `@flow(...)` decorates."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "flow":
                    yield node


def test_names_say_what_is_inside() -> None:
    stems = {path.stem for folder in ALLOWED for path in files(folder)}
    assert not NOT_NAMES & stems


def test_only_the_settings_read_the_environment() -> None:
    readers = {
        ROOT / "flows/settings/environment.py",
        ROOT / "flows/cli/orphan_guard.py",  # marks what it guards
        ROOT / "tasks/execution/worker_environment.py",  # undoes what Dask writes
    }
    for folder in ALLOWED:
        for path in set(files(folder)) - readers:
            text = path.read_text(encoding="utf-8")
            assert "os.environ" not in text, path
            assert "getenv" not in text, path
