"""Why no image of an audit with foregrounds has a score, and what would give it one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from models.addresses import is_file
from tasks.flags.scored_predictions import ScoredShards
from tasks.flags.sure_estimates import least_confidence_of
from tasks.interventions.foreground_areas import LARGEST, LARGEST_DONOR_FOREGROUND, SMALLEST
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.settings import ForegroundSettings
from tasks.runs.reader import Run
from tasks.runs.stages import INTERVENTIONS


@dataclass
class _Counts:
    """How far the images of a run came on the way to a score."""

    predicted: int = 0
    changed: int = 0
    exchanged: int = 0
    held: int = 0  # and keep their prediction on most of their own backgrounds, moved
    mapped: int = 0  # and have a map to compare, too

    @classmethod
    def of(cls, run: Run, method: str) -> _Counts:
        counts = cls()
        for shard in run.shards:
            part = run.part(INTERVENTIONS, shard, ["donors"])
            if part is not None:
                counts.changed += len(part)
                counts.exchanged += (
                    pc.sum(pc.greater(pc.list_value_length(part["donors"]), 0)).as_py() or 0
                )
        for scored in ScoredShards(run, method, least_confidence_of(run)):
            scores = scored.scores
            held_B = np.isfinite(scores.kept_B) & ~scores.pasted_poorly_B
            counts.predicted += len(held_B)
            counts.held += int(held_B.sum())
            counts.mapped += int((held_B & np.isfinite(scores.attention_B)).sum())
        return counts


def why_no_score(run: Run, method: str) -> str:
    """In words that lead on; for a run in which no image can be decided."""
    if not is_file(run.folder.donors):
        return "no picture was changed, as --interventions none asks: leave it out"
    counts = _Counts.of(run, method)
    if not counts.exchanged:
        return _why_not_exchanged(run, counts)
    exchanged = f"{counts.exchanged:,} of {counts.predicted:,} images were put on other backgrounds"
    return f"{exchanged}, but {_why_not_scored(run, counts, method)}"


def _why_not_exchanged(run: Run, counts: _Counts) -> str:
    if not counts.predicted:
        return "no image was predicted: the failures say why"
    if not counts.changed:
        return (
            f"none of {counts.predicted:,} pictures could be changed, since no foreground that "
            f"could be read covers between {SMALLEST:.0%} and {LARGEST:.0%} of its picture: look "
            "at the masks"
        )
    sure = ""
    if run.state.identity.estimator is not None:
        settings = run.state.section("foreground", ForegroundSettings)
        sure = f", an estimated one with a confidence of at least {settings.donor_confidence:.2f}"
    return (
        f"{counts.changed:,} pictures were changed, but none was put on another background, since "
        "no other picture could be a donor (its foreground covers at most "
        f"{LARGEST_DONOR_FOREGROUND:.0%}{sure}) or --others and --same are 0: give more pictures"
    )


def _why_not_scored(run: Run, counts: _Counts, method: str) -> str:
    if not run.state.section("interventions", InterventionSettings).moves:
        return "not on their own, moved, as --moves 0 asks: leave it out"
    if not counts.held:
        return (
            "pasted back on their own, moved, most of their predictions change, so pasting itself "
            "is at fault: look at the masks"
        )
    if not counts.mapped:
        return f"their {method} maps are missing or zero: the failures say why"
    return (
        "every estimated foreground is too unsure: annotate some images, or lower "
        "--foreground-confidence"
    )
