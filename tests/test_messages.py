"""A message is ours: the text of an error that Python or a library raised stands in none."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.test_imports import ROOT, files

ERRORS = ROOT / "models/errors.py"
# What failed is the user's own code, or a service of theirs whose answer only they can judge.
THEIRS = {
    *("models/user_code.py", "models/classifier/segmenter.py", "models/methods/user_method.py"),
    *("models/methods/captum_methods.py", "models/classifier/classifier.py"),
    *("tasks/pictures/samples.py", "tasks/tracking/mlflow_client.py"),
    *("flows/runtime/prefect_server.py", "models/addresses.py", "models/classifier/weights.py"),
}


def our_errors() -> set[str]:
    tree = ast.parse(ERRORS.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


def pasted(path: Path, ours: set[str]) -> Iterator[int]:
    """Lines of f-strings that paste an error which is not of our classes."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler) and node.name and not _is_ours(node.type, ours):
            for inner in ast.walk(node):
                if isinstance(inner, ast.FormattedValue) and _pastes(inner.value, node.name):
                    yield inner.lineno


def _is_ours(kind: ast.expr | None, ours: set[str]) -> bool:
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return all(isinstance(each, ast.Name) and each.id in ours for each in kinds)


def _pastes(value: ast.expr, name: str) -> bool:
    """`{error}`, `{str(error)}` or `{describe_error(error)}`."""
    if isinstance(value, ast.Call) and ast.unparse(value.func) in ("str", "repr", "describe_error"):
        value = value.args[0]
    return isinstance(value, ast.Name) and value.id == name


def test_no_error_of_a_library_is_pasted_into_a_message() -> None:
    ours = our_errors()
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for folder in ("flows", "tasks", "models", "reports")
        for path in files(folder)
        if str(path.relative_to(ROOT)) not in THEIRS
        for line in pasted(path, ours)
    }
    assert not found


def test_a_pasted_error_is_found(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text('try:\n    f()\nexcept ValueError as error:\n    raise A(f"no ({error})")\n')
    assert list(pasted(file, our_errors())) == [4]
    file.write_text('try:\n    f()\nexcept UserError as error:\n    raise A(f"no ({error})")\n')
    assert not list(pasted(file, our_errors()))
