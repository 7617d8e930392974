"""`make demo` as a person starts it; it trains for real, so it belongs to make test-full."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).with_name("sightline"))


@pytest.mark.full
@pytest.mark.timeout(900)
def test_the_demo_shows_a_shortcut_and_says_where_to_look(tmp_path: Path) -> None:
    folder = str(tmp_path / "demo")
    done = subprocess.run(
        [COMMAND, "demo", "--out", folder, "--json"], capture_output=True, text=True, check=True
    )
    summary = json.loads(done.stdout)
    assert summary["images"] == {
        "total": 1280,
        "predicted": 1280,
        "failed": 0,
        "labelled": 1280,
        "scored": 1280,
    }
    right, wrong = summary["flagged_correct"], summary["flagged_incorrect"]
    assert wrong["low"] > right["high"]  # the wrong predictions look at the background more often
    assert "prefect server start" in done.stderr
    assert "mlflow ui" in done.stderr
    assert (tmp_path / "demo/run/report.html").stat().st_size > 100_000

    again = subprocess.run(
        [COMMAND, "demo", "--out", folder, "--json"], capture_output=True, text=True, check=True
    )
    cost = json.loads(again.stdout)["cost"]
    assert (cost["computed"], cost["reused"]) == (0, 1280)
