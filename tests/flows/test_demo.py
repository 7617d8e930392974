"""`make demo` as a user runs it; it trains for real, so it belongs to make test-full."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from tests.support.command_line import SIGHTLINE


def run_demo(folder: Path) -> tuple[list[dict[str, Any]], str]:
    done = subprocess.run(
        [SIGHTLINE, "demo", "--out", str(folder), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout), done.stderr


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_the_demo_refuses_the_shortcut_and_lets_the_mended_model_through(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    (refused, paired, released), log = run_demo(folder)
    assert not refused["passed"]
    assert not refused["promoted"]
    broken = {it["rule"] for it in refused["rulings"] if it["status"] == "fail"}
    assert any("accuracy" in rule for rule in broken)
    assert any("flips" in rule for rule in broken)
    figures = {(it["figure"], it["name"]): it for it in paired["figures"]}
    for name in ("accuracy", "flips", "worst_group"):
        assert figures[name, None]["verdict"] == "better"
    assert released["passed"]
    assert released["promoted"]
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    assert client.get_registered_model("demo").aliases == {"candidate": 2, "champion": 2}
    assert client.get_model_version("demo", "1").tags["sightline.release"] == "refused"
    assert (folder / "retrained/compare.html").stat().st_size > 100_000
    assert "sightline up" in log
    assert "mlflow ui" in log

    again, _ = run_demo(folder)
    assert [it["created"] for it in (again[0], again[2])] == [
        refused["created"],
        released["created"],
    ]
