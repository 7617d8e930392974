"""Two commands that start at once in one new home, and without a home of their user's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.command_line import SIGHTLINE


@pytest.mark.full
@pytest.mark.timeout(900)
def test_two_commands_at_once_in_one_home(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    """One without HOME, the other with one that nobody can write."""
    options = ("--data", str(benchmark_folder), "--split", "test", "--model", str(bundle))
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    for name in ("PREFECT_HOME", "MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        environment.pop(name, None)
    environment["SIGHTLINE_HOME"] = str(tmp_path / "home")
    started = [
        subprocess.Popen(
            [SIGHTLINE, "audit", *options, "--workers", "1", "--out", str(tmp_path / name)],
            env=environment | home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, home in (("one", {}), ("other", {"HOME": "/proc"}))
    ]
    for process in started:
        printed, said = process.communicate()
        assert process.returncode == 0, said
        assert "64 predicted, 0 failed" in printed
        assert "not published" not in said
        assert "Traceback" not in said
