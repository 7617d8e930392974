"""Only results are on stdout, whoever prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli.results_output import printing_to_stderr
from tests.support import unusual_models

LOAD = """
import os, sys
from flows.cli.results_output import printing_to_stderr
from models.classifier.classifier import load_classifier
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
with printing_to_stderr():
    settings = ModelSettings(address=sys.argv[1], preprocessing=Preprocessing(crop=(16, 16)))
    classes = load_classifier(settings).classes
print(*classes)
"""


def test_what_python_c_and_children_print_goes_to_stderr(
    capfd: pytest.CaptureFixture[str],
) -> None:
    print("before")  # noqa: T201
    with printing_to_stderr():
        print("in Python")  # noqa: T201
        os.write(1, b"in C\n")
        subprocess.run(["echo", "in a child"], check=True)
    print("after")  # noqa: T201
    out, err = capfd.readouterr()
    assert out == "before\nafter\n"
    assert sorted(err.splitlines()) == ["in C", "in Python", "in a child"]


def test_stdout_is_given_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), printing_to_stderr():
        raise KeyError
    print("after")  # noqa: T201
    assert capfd.readouterr().out == "after\n"


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[3]
    command = [program, *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)


def test_a_model_that_prints_adds_nothing_to_the_result() -> None:
    done = run(sys.executable, "-c", LOAD, f"{unusual_models.__file__}:prints")
    assert done.stdout == "0 1 2\n"
    assert "building in C" in done.stderr
    assert "predicting" in done.stderr


def test_a_closed_stdout_stays_closed() -> None:
    block = "with printing_to_stderr(): os.system('echo seen')"
    program = f"import os\nfrom flows.cli.results_output import printing_to_stderr\n{block}"
    done = run("sh", "-c", 'exec "$0" "$@" >&-', sys.executable, "-c", program)
    assert done.stdout == ""
