"""A pipe or a device in place of any file is one line, and nobody waits for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.command_line import check_refused, invoke

OPTIONS = (
    *("--annotations", "--masks", "--mask-values", "--labels"),
    *("--weights", "--classes", "--config", "--model"),
)
COMMANDS = (
    ("policy", "check"),
    *(("show",), ("runs",), ("remove",), ("publish",), ("init",)),
)

pytestmark = pytest.mark.timeout(30)


@pytest.fixture(params=["pipe", "/dev/zero"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param != "pipe":
        return str(request.param)
    os.mkfifo(tmp_path / "pipe")
    return str(tmp_path / "pipe")


@pytest.mark.parametrize("option", OPTIONS)
def test_it_is_refused_as_an_option(
    option: str, file: str, benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    options = {"--data": str(benchmark_folder), "--split": "test", "--model": str(bundle)}
    options |= {"--out": str(tmp_path / "run"), option: file}
    words = [word for pair in options.items() for word in pair]
    check_refused(invoke("audit", "--dry-run", *words), 2, file)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_it_is_refused_as_an_argument(command: tuple[str, ...], file: str) -> None:
    check_refused(invoke(*command, file), 2, file)
