"""Every benchmark runs in its quick form and tells valid rows; no time is asserted."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import EXPERIMENTS, as_rows
from benchmarks.measure import Figure
from benchmarks.rounds import at_least, at_most, cpu_seconds_in_turns, median_with_interval, ratios

ROOT = Path(__file__).parents[2]


SLOWER = (
    *(("orchestration", 3), ("cams", 5), ("fused", 6), ("interventions", 1), ("foregrounds", 26)),
    *(("throughput", 4), ("memory", 5), ("reuse", 1), ("curves", 6), ("pace", 6)),
    ("steps", 9),
)


@pytest.mark.parametrize(
    ("name", "count"),
    [pytest.param(*row, marks=pytest.mark.full) for row in SLOWER],
)
def test_quick_benchmark_tells_rows(name: str, count: int) -> None:
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


def test_interval_holds_the_median_and_is_the_same_each_time() -> None:
    values = [1.0, 5.0, 2.0, 4.0, 3.0]
    value, low, high = median_with_interval(values)
    assert value == 3.0
    assert 1.0 <= low <= value <= high <= 5.0
    assert median_with_interval(values) == (value, low, high)


def test_ratios_are_taken_round_by_round() -> None:
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]


def test_a_goal_is_judged_by_the_median() -> None:
    assert at_most(2, "x", [1.0, 2.0, 9.0]).holds is True
    assert at_least(3, "x", [1.0, 2.0, 9.0]).holds is False
    assert at_least(None, "x", [1.0, 2.0, 9.0]) == Figure("x", 2.0, 1.0, 9.0, "", None)


def test_ways_take_turns_and_the_first_round_warms_up() -> None:
    calls: list[str] = []
    ways = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    seconds = cpu_seconds_in_turns(ways, 2)
    assert "".join(calls) == "baabba"
    assert [len(spent) for spent in seconds.values()] == [2, 2]


def test_rows_for_the_readme_say_what_does_not_hold() -> None:
    row = as_rows([Figure("cost", 1.2, 1.1, 1.3, "at most 1.05", False)])
    assert row.endswith("| cost | 1.2 | 1.1 to 1.3 | at most 1.05 | NO |")
