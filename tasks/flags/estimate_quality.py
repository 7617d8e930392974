"""How good estimated foregrounds are, measured on images that are annotated too."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks import schema
from tasks.flags.scored_predictions import ScoredShards
from tasks.flags.sure_estimates import Estimates
from tasks.intervals.bootstrap import bootstrap_means
from tasks.pictures.estimate_confidence import GOOD
from tasks.pictures.settings import ForegroundSettings
from tasks.runs.reader import Run


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
    with_masks = ScoredShards(run, rule.method, least)
    by_estimates = ScoredShards(run, rule.method, least, estimated=True)
    for one, other in zip(with_masks, by_estimates, strict=True):
        counts["estimated"] += pc.sum(pc.equal(one.table["foreground"], "estimated")).as_py() or 0
        counts["unsure"] += int(one.unsure_B.sum())
        both_B = one.decidable_B & other.decidable_B & (rule.threshold is not None)
        by_mask_B, by_estimate_B = (it.scores.score_B > threshold for it in (one, other))
        counts["both"] += int(both_B.sum())
        counts["by_mask"] += int((both_B & by_mask_B).sum())
        counts["by_estimate"] += int((both_B & by_estimate_B).sum())
        counts["same"] += int((both_B & (by_mask_B == by_estimate_B)).sum())
    return counts
