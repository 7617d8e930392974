"""The score of one image, step by step with its own numbers: what is averaged and multiplied.

The formula is background_score.py's, which computes every number here too. Shapes: B images, one of
them or those of a shard; E exchanges.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks import schema
from tasks.attribution.donor_predictions import DonorPredictions, read_donor_predictions
from tasks.flags.background_score import WEIGHTS, Kept, Scores, score_images
from tasks.flags.exchanges import Exchanges
from tasks.flags.forecast import Trial
from tasks.flags.scored_predictions import class_index_of, classes_of, join_part
from tasks.runs.reader import join
from tasks.runs.rows import RunRows
from tasks.runs.stages import INTERVENTIONS, PREDICTIONS, SCORES
from tasks.schema.values import Value

ENOUGH = 1e-3  # of the squares that tell the trust: it is known to four digits from there on


class Step(Value):
    """One number on the way to the score."""

    words: str
    value: float | None  # null where the image lacks what it needs


@dataclass(frozen=True, eq=False)
class ScoreSteps:
    """How a finished run scored its images, to tell of one of them."""

    rows: RunRows
    rule: schema.FlagRule

    def of(self, row_id: str) -> tuple[Step, ...]:
        """Empty where the image has no interventions, or another version's rule scored it."""
        donors = self._donors
        table = self._image(row_id)
        if donors is None or table is None or self.rule.version != schema.FLAG_RULE:
            return ()
        class_B = classes_of(table, self._class_index)
        exchanges = Exchanges.of(table, class_B, donors)
        kept = Kept.of(table, class_B, donors, exchanges)
        scores = score_images(table, class_B, donors, self.trust)
        row = table.to_pylist()[0]
        return (
            *_steps_to_kept(kept, scores, exchanges, self.trust),
            Step(words="probability with the object removed", value=row["object_removed"]),
            Step(words="probability with the background removed", value=row["background_removed"]),
            _step(
                "removal: 1 plus the first of these, minus the second, divided by 2",
                scores.removal_B,
            ),
            Step(words=f"share of the {self.rule.method} map on the object", value=row["share"]),
            _step("attention: 1 minus this share", scores.attention_B),
            *_steps_to_score(scores),
            Step(words=f"threshold: {_meaning_of(self.rule)}", value=self.rule.threshold),
        )

    @cached_property
    def trust(self) -> float:
        """The weight of the forecast beside the mean: the same for all images of the run, so it
        follows from what was kept of any of them, without the exchanges of a million others."""
        trial = Trial()
        flags = self.rows.run.folder.open_flags()
        for group in range(flags.num_row_groups):
            trial += self._trust_behind(flags.read_row_group(group, ["row_id", "kept"]))
            if trial.spread > ENOUGH:
                break
        return trial.trust

    def _trust_behind(self, flags: pa.Table) -> Trial:
        """By the rows of the flags table of one shard."""
        if self._donors is None or not len(flags):
            return Trial()
        shard = self.rows.shard_of(self.rows.number(flags["row_id"][0].as_py()))
        predictions = self.rows.part(PREDICTIONS, shard).select(
            ["row_id", "content_id", "prediction"]
        )
        table = join(join(flags, predictions), self.rows.part(INTERVENTIONS, shard))
        table = table.filter(pc.and_(table["exchanged"].is_valid(), table["kept"].is_valid()))
        class_B = classes_of(table, self._class_index)
        exchanges = Exchanges.of(table, class_B, self._donors)
        kept_B = table["kept"].to_numpy().astype(np.float64)
        return Kept.of(table, class_B, self._donors, exchanges).trust_behind(kept_B)

    def _image(self, row_id: str) -> pa.Table | None:
        """What the score is computed from; None where the image was not changed."""
        predictions = self.rows.part_row(PREDICTIONS, row_id)
        interventions = self.rows.part_row(INTERVENTIONS, row_id)
        if predictions is None or interventions is None:
            return None
        table = predictions.select(["row_id", "content_id", "prediction"])
        scores = self.rows.part_row(SCORES.of(self.rule.method), row_id)
        return join_part(join(table, interventions), scores, schema.SCORES)

    @cached_property
    def _donors(self) -> DonorPredictions | None:
        donors = read_donor_predictions(self.rows.run.folder)
        return donors if donors is not None and len(donors.index) else None

    @cached_property
    def _class_index(self) -> dict[str, int]:
        return class_index_of(self.rows.run)


def _steps_to_kept(
    kept: Kept, scores: Scores, exchanges: Exchanges, trust: float
) -> tuple[Step, ...]:
    counted = int(kept.counted_B[0])
    probabilities = exchanges.probability_E[exchanges.other_E][:counted]
    numbers = ", ".join(f"{probability:.3f}" for probability in probabilities)
    backgrounds = f"{counted} other background{'' if counted == 1 else 's'}"
    measured = _step(
        f"mean probability of its class on {backgrounds} it was put on: {numbers}"
        if counted
        else "mean probability of its class on other backgrounds: it was put on none",
        kept.measured_B,
    )
    if np.isnan(kept.forecast_B[0]):
        return measured, _step("kept: this mean", scores.kept_B)
    return (
        measured,
        _step("the same, forecast for all backgrounds of the donor pool", kept.forecast_B),
        Step(words="weight of the forecast beside the mean, the same for all images", value=trust),
        _step(
            f"kept: {trust:.3f} times the forecast plus {1 - trust:.3f} times the mean",
            scores.kept_B,
        ),
    )


def _steps_to_score(scores: Scores) -> tuple[Step, ...]:
    parts = zip(WEIGHTS, ("(1 minus kept)", "removal", "attention"), strict=True)
    weighed = (name if weight == 1 else f"{weight:g} times {name}" for weight, name in parts)
    formula = f"{' plus '.join(weighed)}, all divided by {WEIGHTS.sum():g}"
    return (
        _step(f"score: {formula}", scores.score_B),
        _step(
            "null kept: mean probability of its class on its own background, moved",
            scores.null_kept_B,
        ),
        _step("null score: the same formula, with null kept in place of kept", scores.null_score_B),
    )


def _meaning_of(rule: schema.FlagRule) -> str:
    if rule.threshold is None:
        return "none could be calibrated"
    return (
        f"the null score exceeds it on {100 * rule.false_alarm:g}% of {rule.calibrated_on:,} "
        "images; a higher score is flagged"
    )


def _step(words: str, value_B: np.ndarray) -> Step:
    value = float(value_B[0])
    return Step(words=words, value=None if np.isnan(value) else value)
