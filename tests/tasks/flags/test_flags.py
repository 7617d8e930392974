"""The flag follows its stated rule, and says why."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import schema
from tasks.flags import background_score, scored_predictions, sure_estimates
from tasks.flags.flags import _flag_unsure, _sentence, flag_of, flag_rows
from tasks.flags.scored_predictions import ScoredShards
from tasks.flags.settings import FlagSettings
from tasks.interventions.foreground_areas import LARGEST, SMALLEST
from tasks.pictures.settings import BY_GRAPH_CUTS, DEFAULT_CONFIDENCE
from tasks.runs import open_run
from tasks.runs.folder import RunFolder

AT_LEAST = float(np.float32(0.01))  # as an area of 1% is stored: a little less
NEXT = float(np.nextafter(np.float32(0.5), np.float32(1)))  # the smallest stored score above 0.5


@pytest.mark.parametrize(
    ("area", "share", "score", "flag", "reason"),
    [
        (0.2, 0.3, 0.7, "rests_on_background", "score 0.70 exceeds 0.50: on other"),
        (0.2, 0.3, 0.5004, "rests_on_background", "score 0.5004 exceeds 0.5000: on other"),
        (0.2, 0.3, NEXT, "rests_on_background", "score 0.5000001 exceeds 0.5000000: on other"),
        (0.2, 0.3, 0.5, "rests_on_object", "score 0.50 does not exceed 0.50: on other"),
        (0.005, 0.3, 0.7, "undecided", "the foreground covers 0.5% of the picture, under 1%"),
        (0.00996, 0.3, 0.7, "undecided", "the foreground covers 0.996% of the picture, under 1%"),
        (AT_LEAST, 0.3, 0.7, "rests_on_background", "score 0.70 exceeds 0.50: on other"),
        (0.97, 0.3, 0.7, "undecided", "the foreground covers 97.0% of the picture, over 95%"),
        (0.95003, 0.3, 0.7, "undecided", "the foreground covers 95.003% of the picture, over 95%"),
        (0.2, None, 0.7, "undecided", "the map is zero everywhere"),
        (0.2, 0.3, math.nan, "undecided", "it was put on no other background"),
        (None, None, math.nan, "undecided", "there is no foreground or no map to compare"),
    ],
)
def test_each_case_has_its_reason(
    area: float | None, share: float | None, score: float, flag: str, reason: str
) -> None:
    found = flag_of(area, share, (score, 0.25), threshold=0.5)
    assert found[0] == flag
    assert found[1].startswith(reason)


@pytest.mark.parametrize(
    ("confidence", "numbers"), [(0.5, "0.50, at least 0.80"), (0.7996, "0.7996, at least 0.8000")]
)
def test_an_unsure_estimate_is_less_sure_than_is_needed(confidence: float, numbers: str) -> None:
    _, reason = _flag_unsure(confidence, 0.8)
    assert reason == f"the estimated foreground is unsure ({numbers} is needed)"


def test_the_reason_says_what_is_left() -> None:
    _, reason = flag_of(0.2, 0.3, (0.7, 0.12), 0.5)
    assert reason.endswith("on other backgrounds its probability would be 12%")


def test_an_image_that_pasting_itself_changes_is_undecided(finished_run: RunFolder) -> None:
    """By what was measured on its own background, moved."""
    run = open_run(finished_run.path)
    shard = next(iter(ScoredShards(run, run.summary().rule.method, 0.0)))
    changes_B = np.arange(len(shard.table)) % 3
    poor = replace(shard.scores, own_changes_B=changes_B.astype(float))
    rows = flag_rows(replace(shard, scores=poor), run.summary().rule).to_pylist()
    for row, changes in zip(rows, changes_B, strict=True):
        assert (row["flag"] == "undecided") == (changes == 2)
        if changes == 2:
            assert row["reason"] == (
                "pasted back on its own background, moved, 2 of 2 predictions change"
            )
    calibrated = replace(shard, scores=poor).calibration_pairs()
    assert len(calibrated) == (changes_B < 2).sum()


def test_without_a_threshold_nothing_is_decided() -> None:
    assert flag_of(0.2, 0.3, (0.7, 0.5), None) == (
        "undecided",
        "no threshold could be calibrated, as the rule says",
    )


@given(area=st.floats(SMALLEST, LARGEST), score=st.floats(0, 1), threshold=st.floats(0, 1))
def test_the_threshold_divides(area: float, score: float, threshold: float) -> None:
    flag, _ = flag_of(area, 0.5, (score, 0.5), threshold)
    assert (flag == "rests_on_background") == (score > threshold)


def test_flags_and_rule_of_a_run(finished_run: RunFolder) -> None:
    flags = pq.read_table(finished_run.flags)
    rule = open_run(finished_run.path).summary().rule
    assert flags.schema.equals(schema.FLAGS_TABLE)
    assert rule.threshold is not None
    assert rule.calibrated_on > 20
    for row in flags.to_pylist():
        assert row["foreground"] == "annotated"
        if row["flag"] != "undecided":
            assert (row["flag"] == "rests_on_background") == (row["score"] > rule.threshold)
    decided = flags.filter(pc.not_equal(flags["flag"].cast("string"), "undecided"))
    null = decided["null_score"].to_pylist()
    assert len(null) == rule.calibrated_on
    assert sum(score > rule.threshold for score in null) <= 0.05 * len(null)
    assert f"exceeds {rule.threshold:.3f}" in rule.sentence


def test_the_rule_names_any_false_alarm_rate_as_it_is() -> None:
    for alarm, words in ((0.05, "on 5% of 60 images"), (0.125, "on 12.5% of 60 images")):
        assert words in _sentence(FlagSettings(false_alarm=alarm), 0.5, 60)
    few = _sentence(FlagSettings(false_alarm=0.002), None, 60)
    assert "a false alarm rate of 0.2% needs at least 499" in few


def test_what_decides_flags_besides_parts_and_settings_has_a_version() -> None:
    """Who changes one of them raises schema.FLAG_RULE, with CHANGELOG: finished runs are flagged
    again then, and not compared with older ones."""
    decisive = (
        *(background_score.VERSION, background_score.MOST_OWN_CHANGES),
        *(DEFAULT_CONFIDENCE, BY_GRAPH_CUTS),
        *(sure_estimates.GOOD_SHARE, scored_predictions.SURVIVES),
    )
    assert (schema.FLAG_RULE, decisive) == (3, (5, 0.5, 0.6, 0.8, 0.8, 0.9))


@pytest.mark.parametrize(
    ("source", "kept", "lift", "said"),
    [
        ("estimated", 0.91, 0.9, True),
        ("estimated", 0.89, 0.9, False),  # the prediction needs what was estimated
        ("estimated", 0.91, 1.1, False),  # the map lies in it
        ("annotated", 0.91, 0.9, False),  # a mask is taken as it is
    ],
)
def test_an_estimate_without_which_nothing_changes_may_be_another_object(
    finished_run: RunFolder, source: str, kept: float, lift: float, said: bool
) -> None:
    """The flag stays: a model that ignores the right object does the same."""
    run = open_run(finished_run.path)
    rule = run.summary().rule
    shard = next(iter(ScoredShards(run, rule.method, 0.0)))
    before = flag_rows(shard, rule)
    table = shard.table
    changes = {
        "foreground": pa.array([source] * len(table)),
        "object_removed": pc.multiply(table["probability"], kept),
        "lift": pa.array([lift] * len(table), pa.float32()),
    }
    for name, column in changes.items():
        table = table.set_column(table.column_names.index(name), name, column)
    after = flag_rows(replace(shard, table=table), rule)
    assert after["flag"].to_pylist() == before["flag"].to_pylist()
    assert set(after["other_object"].to_pylist()) == {said if source == "estimated" else None}
    flagged = 0
    for old, new in zip(before.to_pylist(), after.to_pylist(), strict=True):
        is_flagged = old["flag"] == "rests_on_background"
        words = "; the foreground may be another object" if said and is_flagged else ""
        assert new["reason"] == old["reason"] + words
        flagged += is_flagged
    assert flagged


def test_without_a_map_or_interventions_no_object_is_doubted(finished_run: RunFolder) -> None:
    run = open_run(finished_run.path)
    shard = next(iter(ScoredShards(run, run.summary().rule.method, 0.0)))
    table = shard.table
    nothing = pa.nulls(len(table), pa.float32())
    for name, column in (("foreground", pa.array(["estimated"] * len(table))), ("lift", nothing)):
        table = table.set_column(table.column_names.index(name), name, column)
    assert set(replace(shard, table=table).other_objects().to_pylist()) == {False}
