"""The flag follows its stated rule, and says why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import schema
from tasks.flag import FlagSettings, flag_of, flag_rows, rule_of


@pytest.mark.parametrize(
    ("area", "lift", "flag", "reason"),
    [
        (0.2, 0.7, "rests_on_background", "lift 0.70 is under 1"),
        (0.2, 1.0, "rests_on_object", "lift 1.00 is at least 1"),
        (0.005, 0.1, "undecided", "the foreground covers 0.5% of the picture, under 1%"),
        (0.97, 0.9, "undecided", "the foreground covers 97.0% of the picture, over 95%"),
        (0.2, None, "undecided", "the map is zero everywhere"),
        (None, None, "undecided", "no foreground and map to compare"),
    ],
)
def test_each_case_has_its_reason(
    area: float | None, lift: float | None, flag: str, reason: str
) -> None:
    assert flag_of(area, lift, threshold=1.0) == (flag, reason)


@given(area=st.floats(0.01, 0.95), lift=st.floats(0, 10), threshold=st.floats(0.1, 5))
def test_the_threshold_is_the_one_that_was_set(area: float, lift: float, threshold: float) -> None:
    flag, _ = flag_of(area, lift, threshold)
    assert (flag == "rests_on_background") == (lift < threshold)


def test_rows_without_a_score_are_undecided() -> None:
    scores: dict[str, dict[str, float | None]] = {"a": {"area": 0.2, "share": 0.1, "lift": 0.5}}
    table = flag_rows(["a", "b"], scores, FlagSettings())
    assert table.schema.equals(schema.FLAGS_TABLE)
    assert table["flag"].to_pylist() == ["rests_on_background", "undecided"]


def test_the_rule_is_told_with_its_numbers() -> None:
    settings = FlagSettings(method="layer_cam", threshold=0.8)
    assert "layer_cam map" in rule_of(settings, "annotated", "prediction").sentence
    assert "lift < 0.8" in rule_of(settings, "annotated", "prediction").sentence
    assert "no foreground" in rule_of(settings, "none", "prediction").sentence
