"""docs/notebook.md is carried out, cell by cell, and its tables are the code's."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.runs.folder import RunFolder
from tests.support.column_tables import KINDS, TABLE, with_tables

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/notebook.md").read_text(encoding="utf-8")


def run_cells() -> Iterator[Any]:
    """The value at the end of each cell, as a notebook shows it."""
    names: dict[str, Any] = {}
    for cell in re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE):
        *statements, last = ast.parse(cell).body
        exec(compile(ast.Module(statements, []), "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            yield eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        else:
            assert isinstance(last, ast.Assign)
            exec(compile(ast.Module([last], []), "cell", "exec"), names)
            yield names[ast.unparse(last.targets[0])]


def test_the_page_is_carried_out(
    finished_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished_run.path, tmp_path / "runs/look")
    monkeypatch.chdir(tmp_path)
    shown = list(run_cells())
    assert len(shown) == 7
    assert all(len(value._repr_html_()) > 100 for value in shown)
    assert "Sightline run" in shown[0]._repr_html_()


def test_its_tables_are_the_code_s() -> None:
    written = "write them again: python -m tests.support.column_tables"
    assert with_tables(PAGE) == PAGE, written
    assert {found[1] for found in TABLE.finditer(PAGE)} == KINDS.keys()
