"""How good estimated foregrounds are, measured on images that are annotated too.

Shapes: N annotated images.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks import schema
from tasks.flags.scored_predictions import scored_shards
from tasks.intervals.bootstrap import bootstrap_means
from tasks.pictures.estimate_confidence import FEWEST, GOOD, fit_confidence
from tasks.pictures.settings import ForegroundSettings
from tasks.runs.reader import Run
from tasks.runs.stages import FOREGROUNDS

GOOD_SHARE = 0.8  # of the estimates that are used, which should be right
ABOVE_ALL = 1 + 2**-20  # more than any confidence, which may be 1


@dataclass(frozen=True)
class Estimates:
    """What is known about a run's estimates before its flags are made."""

    pair_N2: np.ndarray  # confidence and IoU of each annotated image
    least_confidence: float  # that an estimate needs
    calibrated: bool  # on annotated images, not by default or by the user


def estimates_of(run: Run) -> Estimates | None:
    """None where nothing was estimated."""
    if run.state.identity.estimator is None:
        return None
    pair_N2 = np.concatenate([*_read_pairs(run), np.zeros((0, 2))])
    settings = run.state.section("foreground", ForegroundSettings)
    if settings.confidence is not None:
        return Estimates(pair_N2, settings.confidence, False)
    if len(pair_N2) < FEWEST:
        return Estimates(pair_N2, settings.default_confidence, False)
    calibration = fit_confidence([(confidence, iou) for confidence, iou in pair_N2])
    least = calibration.least_confidence(GOOD_SHARE)
    return Estimates(pair_N2, ABOVE_ALL if least is None else least, True)


def least_confidence_of(run: Run) -> float:
    """The confidence that a run's estimates need; 0 without estimates."""
    estimates = estimates_of(run)
    return 0.0 if estimates is None else estimates.least_confidence


def drop_unsure(table: pa.Table, estimates: pa.Table | None, least: float) -> pa.Table:
    """Rows of a shard without those of images whose estimated foreground is less sure than `least`,
    which decide nothing; `estimates` is the shard's part of FOREGROUNDS."""
    if estimates is None:
        return table
    is_less = pc.field("confidence") < pa.scalar(least, pa.float32())  # as stored
    unsure = estimates.filter(pc.field("iou").is_null() & is_less)
    return table.filter(pc.invert(pc.is_in(table["row_id"], unsure["row_id"].combine_chunks())))


def summarise_estimates(
    run: Run, estimates: Estimates, rule: schema.FlagRule
) -> schema.EstimateSummary:
    """Figures of the estimates, and how annotated images' flags would change if they were used;
    once the flags are written."""
    iou_N1 = estimates.pair_N2[:, 1:].astype(np.float32)
    (iou,) = bootstrap_means(iou_N1)
    counts = _count(run, estimates, rule)
    return schema.EstimateSummary(
        source=run.state.section("foreground", ForegroundSettings).source,
        digest=run.state.identity.estimator,
        annotated=len(iou_N1),
        least=estimates.least_confidence,
        calibrated=estimates.calibrated,
        iou=iou,
        good=schema.wilson(int((iou_N1 >= GOOD).sum()), len(iou_N1)),
        estimated=counts["estimated"],
        unsure=counts["unsure"],
        flagged_annotated=schema.wilson(counts["by_mask"], counts["both"]),
        flagged_estimated=schema.wilson(counts["by_estimate"], counts["both"]),
        agreement=schema.wilson(counts["same"], counts["both"]),
        other_object=_rate_other_objects(run),
    )


def _rate_other_objects(run: Run) -> schema.Rate:
    """Of the images flagged by an estimate, those whose object it may not be."""
    flags = run.folder.open_flags().read(["flag", "foreground", "other_object"])
    flagged = pc.equal(flags["flag"].cast(pa.string()), "rests_on_background")
    estimated = pc.equal(flags["foreground"].cast(pa.string()), "estimated")
    other = flags.filter(pc.and_(flagged, estimated))["other_object"]
    return schema.wilson(pc.sum(other).as_py() or 0, len(other))


def _count(run: Run, estimates: Estimates, rule: schema.FlagRule) -> Counter[str]:
    """How many images have estimates; of those with both, how mask and estimate would flag them."""
    counts: Counter[str] = Counter()
    least = estimates.least_confidence
    threshold = math.nan if rule.threshold is None else rule.threshold
    with_masks = scored_shards(run, rule.method)
    for one, other in zip(with_masks, scored_shards(run, rule.method, estimated=True), strict=True):
        counts["estimated"] += pc.sum(pc.equal(one.table["foreground"], "estimated")).as_py() or 0
        counts["unsure"] += int(one.unsure(least).sum())
        both_B = one.decidable(least) & other.decidable(least) & (rule.threshold is not None)
        by_mask_B, by_estimate_B = (it.scores.score_B > threshold for it in (one, other))
        counts["both"] += int(both_B.sum())
        counts["by_mask"] += int((both_B & by_mask_B).sum())
        counts["by_estimate"] += int((both_B & by_estimate_B).sum())
        counts["same"] += int((both_B & (by_mask_B == by_estimate_B)).sum())
    return counts


def _read_pairs(run: Run) -> Iterator[np.ndarray]:
    for shard in run.shards:
        part = run.part(FOREGROUNDS, shard)
        if part is not None:
            annotated = part.filter(part["iou"].is_valid())
            yield np.stack([annotated["confidence"].to_numpy(), annotated["iou"].to_numpy()], 1)
