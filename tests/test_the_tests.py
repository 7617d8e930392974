"""Every test asserts something, and stands in the folder of the package that it tests.

A test that asserts nothing passes whatever the code does. An assertion is `assert`, `pytest.raises`
or `pytest.warns`, a comparison of numpy, torch or pandas, or a checker that a test module or
tests/support names `check_...` and that asserts itself.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FILES = sorted(TESTS.rglob("test_*.py"))
ASSERTING = {"raises", "warns", "fail"}  # of pytest


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def called_name(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call):
        return None
    called = node.func
    return getattr(called, "id", None) or getattr(called, "attr", None)


def asserts(function: ast.FunctionDef, checkers: set[str]) -> bool:
    """Does its own body assert something, or call one of these?"""
    names = {called_name(node) for node in ast.walk(function)}
    by_library = any(name and name.startswith("assert_") for name in names)
    own = any(isinstance(node, ast.Assert) for node in ast.walk(function))
    return own or by_library or bool(names & (ASSERTING | checkers))


def asserting_checkers() -> set[str]:
    """The functions called `check_...` of all tests that assert something."""
    found = [
        function
        for path in TESTS.rglob("*.py")
        for function in functions(ast.parse(path.read_text(encoding="utf-8")))
        if function.name.startswith("check_")
    ]
    return {function.name for function in found if asserts(function, set())}


CHECKERS = asserting_checkers()


def test_folders_mirror_the_packages() -> None:
    folders = {path.parent.relative_to(TESTS) for path in FILES}
    assert [folder for folder in folders if not (TESTS.parent / folder).is_dir()] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_every_test_asserts_something(path: Path) -> None:
    tests = [
        function
        for function in functions(ast.parse(path.read_text(encoding="utf-8")))
        if function.name.startswith("test_")
    ]
    assert tests
    assert [test.name for test in tests if not asserts(test, CHECKERS)] == []


@pytest.mark.parametrize(
    ("body", "is_enough"),
    [
        ("assert True", True),
        ("with pytest.raises(ValueError): f()", True),
        ("torch.testing.assert_close(a, b)", True),
        ("check_page(page)", True),
        ("check_nothing(page)", False),
        ("run(page)", False),
        ("'assert'", False),
    ],
)
def test_what_an_assertion_is(body: str, is_enough: bool) -> None:
    (function,) = functions(ast.parse(f"def test_it():\n    {body}"))
    assert asserts(function, {"check_page"}) == is_enough
