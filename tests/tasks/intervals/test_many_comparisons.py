"""Corrections for many comparisons, against their papers' words and scipy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from tasks.intervals.many_comparisons import adjust_p_values, simultaneous_confidence

P_VALUES = st.lists(st.floats(0, 1), max_size=30)


@given(P_VALUES)
def test_the_correction_is_benjaminis_and_hochbergs(p_values: list[float]) -> None:
    known = false_discovery_control(p_values) if p_values else []
    assert adjust_p_values(p_values) == pytest.approx(list(known))


@given(P_VALUES, st.floats(0.001, 0.999))
def test_what_it_calls_is_what_the_paper_rejects(p_values: list[float], level: float) -> None:
    """Benjamini and Hochberg 1995: the largest k with p(k) <= k/m q, and all p up to it."""
    p_sorted, m = sorted(p_values), len(p_values)
    if any(p * m / (k + 1) == pytest.approx(level) for k, p in enumerate(p_sorted)):
        return
    k = max((k for k in range(1, m + 1) if p_sorted[k - 1] <= k / m * level), default=0)
    assert sum(q <= level for q in adjust_p_values(p_values)) == sum(
        p <= p_sorted[k - 1] for p in p_values if k
    )


def test_many_intervals_share_what_one_may_miss() -> None:
    assert simultaneous_confidence(1) == simultaneous_confidence(0) == 0.95
    assert simultaneous_confidence(10) == pytest.approx(0.995)
    assert simultaneous_confidence(4, 0.8) == pytest.approx(0.95)
