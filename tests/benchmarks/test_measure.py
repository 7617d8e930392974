"""What benchmarks measure with: turns, ratios, medians with intervals, goals, and the table."""

from __future__ import annotations

from benchmarks.measure import (
    Figure,
    as_markdown,
    as_text,
    at_least,
    at_most,
    cpu_seconds_in_turns,
    median_with_interval,
    ratios,
)


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


def test_both_tables_say_what_does_not_hold() -> None:
    figures = [Figure("cost", 1.2, 1.1, 1.3, "at most 1.05", False), Figure("peak", 1234)]
    header, rule, cost, peak = as_markdown(figures).splitlines()
    assert header.count("|") == rule.count("|") == cost.count("|") == peak.count("|")
    assert cost.endswith("| cost | 1.2 | 1.1 to 1.3 | at most 1.05 | NO |")
    assert peak.endswith("| peak | 1.23e+03 | - | - | - |")
    lines = as_text(figures).splitlines()
    assert lines[1].split() == ["cost", "1.2", "1.1", "to", "1.3", "at", "most", "1.05", "NO"]
    assert lines[0].index("value") == lines[1].index("1.2") == lines[2].index("1.23e+03")
