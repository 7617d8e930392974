"""Flags: per image, does the prediction rest on the background? And the rule that decides it.

The threshold is not a matter of taste: it is what the same score exceeds on a stated share of the
images when they are put on their own backgrounds, moved (tasks/flags/background_score.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from tasks import schema
from tasks.flags.background_score import threshold_of
from tasks.flags.missing_scores import why_no_score
from tasks.flags.scored_predictions import ScoredPredictions, ScoredShards
from tasks.flags.settings import FlagSettings
from tasks.flags.sure_estimates import least_confidence_of
from tasks.intervals.flagged_excess import bootstrap_excess
from tasks.interventions.foreground_areas import LARGEST, SMALLEST
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run
from tasks.storage.parquet import open_writer

OTHER_OBJECT = "the foreground may be another object"
NOT_EXCHANGED = "it was put on no other background"
LITTLE_BACKGROUND = "around an estimate more is filled in, which may leave too little of its own"
LAST_COLUMNS = ("reliance_removal", "flips_own", "area", "share", "lift")


def write_flags(
    run_folder: RunFolder, settings: FlagSettings
) -> tuple[schema.FlagRule, tuple[float, float] | None]:
    """Write flags.parquet: one row per prediction, one row group per shard.

    Returns the rule and the 95% interval of the excess that it finds; None without a threshold.
    """
    run = open_run(run_folder.path)
    least_confidence = least_confidence_of(run)
    shards = ScoredShards(run, settings.method, least_confidence)
    pairs = [shard.calibration_pairs() for shard in shards]
    score_N, null_N = np.concatenate([*pairs, np.zeros((0, 2))]).T
    rule = _rule(run, settings, null_N, least_confidence)
    with open_writer(run_folder.flags, schema.FLAGS_TABLE) as write:
        for shard in shards:
            table = flag_rows(shard, rule)
            write(table, row_group_size=max(1, table.num_rows))
    if rule.threshold is None:
        return rule, None
    value = np.mean(score_N > rule.threshold) - np.mean(null_N > rule.threshold)
    change = bootstrap_excess(score_N, null_N, settings.false_alarm, float(value))
    return rule, (change.low, change.high)


def flag_rows(shard: ScoredPredictions, rule: schema.FlagRule) -> pa.Table:
    """The flags table of one shard."""
    scores, table = shard.scores, shard.table
    flags = list(_flags_of(shard, rule.threshold))
    columns = {
        "row_id": table["row_id"],
        "flag": [flag for flag, _ in flags],
        "reason": [reason for _, reason in flags],
        "method": [rule.method] * len(table),
        "foreground": table["foreground"],
        "score": _nullable(scores.score_B),
        "null_score": _nullable(scores.null_score_B),
        "kept": _nullable(scores.kept_B),
        **{name: table[name] for name in LAST_COLUMNS},
        "other_object": shard.other_objects(),
    }
    arrays = [
        pa.array(column, field.type) if isinstance(column, list) else column.cast(field.type)
        for column, field in zip(columns.values(), schema.FLAGS_TABLE, strict=True)
    ]
    return pa.table(arrays, schema=schema.FLAGS_TABLE)


def _flags_of(
    shard: ScoredPredictions, threshold: float | None
) -> Iterator[tuple[schema.Flag, str]]:
    """The flag of each image and its reason."""
    scores, unsure_B = shard.scores, shard.unsure_B
    poorly_B, score_B = scores.pasted_poorly_B, scores.score_B
    columns = [shard.table[name].to_pylist() for name in ("confidence", "area", "share")]
    other = shard.other_objects().to_pylist()
    for image, (confidence, area, share) in enumerate(zip(*columns, strict=True)):
        if unsure_B[image]:
            yield _flag_unsure(confidence, shard.least_confidence)
        elif poorly_B[image]:
            yield _flag_pasted_poorly(int(scores.own_changes_B[image]), int(scores.moves_B[image]))
        else:
            scored = float(score_B[image]), float(scores.kept_B[image])
            flag, reason = flag_of(area, share, scored, threshold)
            if reason == NOT_EXCHANGED and confidence is not None:
                reason = f"{reason}; {LITTLE_BACKGROUND}"
            doubtful = other[image] and flag == "rests_on_background"
            yield flag, f"{reason}; {OTHER_OBJECT}" if doubtful else reason


def flag_of(
    area: float | None, share: float | None, scored: tuple[float, float], threshold: float | None
) -> tuple[schema.Flag, str]:
    """The flag of one image and its reason; `scored` is its score and what is kept."""
    score, kept = scored
    missing = _why_undecided(area, share, score, threshold)
    if missing is not None or threshold is None:
        return "undecided", missing or ""
    fall = f"on other backgrounds its probability would be {kept:.0%}"
    digits = _digits_that_differ(score, threshold)
    shown, limit = f"{score:.{digits}f}", f"{threshold:.{digits}f}"
    if score > threshold:
        return "rests_on_background", f"score {shown} exceeds {limit}: {fall}"
    return "rests_on_object", f"score {shown} does not exceed {limit}: {fall}"


def _digits_that_differ(one: float, other: float, fewest: int = 2) -> int:
    """The fewest digits that show which is higher: of float32, up to 8."""
    digits = range(fewest, 9)
    return next((it for it in digits if f"{one:.{it}f}" != f"{other:.{it}f}"), fewest)


def _flag_unsure(confidence: float, least: float) -> tuple[schema.Flag, str]:
    digits = 2 if least > 1 else _digits_that_differ(confidence, least)
    needed = "and no confidence suffices" if least > 1 else f"at least {least:.{digits}f} is needed"
    return "undecided", f"the estimated foreground is unsure ({confidence:.{digits}f}, {needed})"


def _flag_pasted_poorly(changes: int, moves: int) -> tuple[schema.Flag, str]:
    reason = f"pasted back on its own background, moved, {changes} of {moves} predictions change"
    return "undecided", reason


def _why_undecided(
    area: float | None, share: float | None, score: float, threshold: float | None
) -> str | None:
    """Why an image cannot be decided; None when it can."""
    if area is None:
        return "there is no foreground or no map to compare"
    limit = SMALLEST if area < SMALLEST else LARGEST
    digits = _digits_that_differ(100 * area, 100 * limit, fewest=1)
    covers = f"the foreground covers {area:.{digits}%} of the picture"
    reasons = {
        f"{covers}, under {SMALLEST:.0%}": area < SMALLEST,
        f"{covers}, over {LARGEST:.0%}": area > LARGEST,
        "the map is zero everywhere": share is None,
        NOT_EXCHANGED: math.isnan(score),
        "no threshold could be calibrated, as the rule says": threshold is None,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _nullable(value_B: np.ndarray) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(value_B.astype(np.float32), mask=np.isnan(value_B))])


def _rule(
    run: Run, settings: FlagSettings, null_N: np.ndarray, least_confidence: float
) -> schema.FlagRule:
    """The rule as the report states it."""
    threshold = threshold_of(null_N, settings.false_alarm)
    count = len(null_N)
    sentence = "Nothing is flagged: the data has no foreground (masks), so nothing can be changed."
    if run.state.identity.has_foreground:
        sentence = _sentence(settings, threshold, count) + _sentence_of_estimates(least_confidence)
    if run.state.identity.has_foreground and not count:
        sentence = f"Nothing is flagged: {why_no_score(run, settings.method)}."
    return schema.FlagRule(
        version=schema.FLAG_RULE,
        method=settings.method,
        false_alarm=settings.false_alarm,
        threshold=threshold,
        calibrated_on=count,
        sentence=sentence,
    )


def _sentence_of_estimates(least: float) -> str:
    if not least:
        return ""
    if least > 1:
        return (
            " Estimated foregrounds decide nothing: however sure they are, too few of those of "
            "annotated images are right."
        )
    return f" Estimated foregrounds decide nothing where their confidence is below {least:.2f}."


def _sentence(settings: FlagSettings, threshold: float | None, count: int) -> str:
    least = math.ceil(1 / settings.false_alarm) - 1
    alarm = f"{100 * settings.false_alarm:g}%"
    if threshold is None:
        return (
            f"Nothing is flagged: only {count} images can calibrate the threshold, and a false "
            f"alarm rate of {alarm} needs at least {least}: give more images "
            "with a foreground, or a higher --false-alarm."
        )
    return (
        "An image is flagged rests_on_background when its score exceeds "
        f"{threshold:.3f}, which the same score exceeds on {alarm} of "
        f"{count:,} images when they are put on their own backgrounds, moved. The score is "
        "two thirds how far the predicted class is expected to fall short of certainty on "
        "other backgrounds, one sixth what removing the object leaves of it compared with "
        f"removing the background, and one sixth the share of the {settings.method} map outside "
        f"the foreground. It is undecided when the foreground covers less than {SMALLEST:.0%} or "
        f"more than {LARGEST:.0%}, when most of its own backgrounds, moved, change the "
        "prediction, or when the foreground, the map or the exchange is missing."
    )
