"""Which estimated foregrounds are sure enough to decide anything.

Shapes: N annotated images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.pictures.estimate_confidence import FEWEST, fit_confidence
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


def sure_rows(
    run: Run, shard: int, table: pa.Table, least: float, *, everywhere: bool = False
) -> pa.Table:
    """Rows of a shard of images that decide something; without estimates, all, and nothing is
    read."""
    if not least:
        return table
    return drop_unsure(table, run.part(FOREGROUNDS, shard), least, everywhere=everywhere)


def drop_unsure(
    table: pa.Table, estimates: pa.Table | None, least: float, *, everywhere: bool = False
) -> pa.Table:
    """Rows of a shard without those of images whose estimated foreground is less sure than `least`,
    which decide nothing; `estimates` is the shard's part of FOREGROUNDS. `everywhere`: annotated
    images too, whose estimate is compared with their mask."""
    if estimates is None:
        return table
    is_less = pc.field("confidence") < pa.scalar(least, pa.float32())  # as stored
    unsure = estimates.filter(is_less if everywhere else pc.field("iou").is_null() & is_less)
    return table.filter(pc.invert(pc.is_in(table["row_id"], unsure["row_id"].combine_chunks())))


def _read_pairs(run: Run) -> Iterator[np.ndarray]:
    for shard in run.shards:
        part = run.part(FOREGROUNDS, shard)
        if part is not None:
            annotated = part.filter(part["iou"].is_valid())
            yield np.stack([annotated["confidence"].to_numpy(), annotated["iou"].to_numpy()], 1)
