"""Every benchmark runs in its quick form and prints valid rows; no time is asserted."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import EXPERIMENTS

ROOT = Path(__file__).parents[2]


SLOWER = (
    *(("orchestration", 3), ("cams", 5), ("fused", 6), ("interventions", 1), ("foregrounds", 26)),
    *(("throughput", 4), ("memory", 5), ("reuse", 1), ("curves", 6), ("pace", 6)),
    *(("steps", 9), ("many-classes", 10), ("explorer", 24), ("large-runs", 110), ("scaling", 34)),
)


@pytest.mark.timeout(1200)  # under a minute each, and twenty times that on a busy machine
@pytest.mark.parametrize(
    ("name", "count"),
    [pytest.param(*row, marks=pytest.mark.full) for row in SLOWER],
)
def test_a_quick_benchmark_prints_rows(name: str, count: int) -> None:
    command = [sys.executable, "-m", f"benchmarks.{EXPERIMENTS[name]}", "--quick", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(rows) == count
    for row in rows:
        assert set(row) == {"name", "value", "low", "high", "goal", "holds"}
        assert math.isfinite(row["value"]) and row["value"] > 0
        if row["low"] is not None:  # what is measured once has no interval
            assert row["low"] <= row["value"] <= row["high"]
        assert bool(row["goal"]) == (row["holds"] is not None)
    assert len({row["name"] for row in rows}) == count
