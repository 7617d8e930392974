"""What a trial says of a candidate, and all of them together: which patterns are confirmed.

Shapes: M backgrounds, R images put on each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks import schema
from tasks.discover.candidates import Candidate
from tasks.discover.trial import CHECK, MAIN
from tasks.discover.trial_plan import FEWEST_BACKGROUNDS, FEWEST_RECIPIENTS
from tasks.intervals.change import Change
from tasks.intervals.many_comparisons import adjust_p_values
from tasks.intervals.permuted_backgrounds import bootstrap_difference, permutation_p
from tasks.schema.patterns import LEAST_EFFECT, LEVEL, PatternVerdict


@dataclass(frozen=True)
class Measured:
    """The pictures of one check of a trial."""

    log_odds_MR: np.ndarray
    predicted_MR: np.ndarray  # 1 where it is predicted as the class
    of_pattern_M: np.ndarray
    other_label_M: np.ndarray  # has the background's picture another label than the class?

    @classmethod
    def of(
        cls, made: pa.Table, check: str, class_name: str, labels: dict[str, str | None]
    ) -> Measured:
        rows = made.filter(pc.equal(made["check"], check))
        background, recipient = (
            rows[name].combine_chunks().dictionary_encode() for name in ("background", "recipient")
        )
        # The rows of the first recipients, on all backgrounds, precede those of the others.
        rows = rows.take(pa.array(np.lexsort((recipient.indices, background.indices))))
        shape = len(background.dictionary), len(recipient.dictionary)
        log_odds_MR = rows["log_odds"].to_numpy().astype(np.float64).reshape(shape)
        predicted = pc.equal(rows["prediction"], class_name).to_numpy(zero_copy_only=False)
        kind = rows["of_pattern"].to_numpy(zero_copy_only=False).reshape(shape)
        labels_M = [labels.get(it) for it in background.dictionary.to_pylist()]
        finite_R = np.isfinite(log_odds_MR).all(0)  # the user's network may raise for a picture
        return cls(
            log_odds_MR[:, finite_R],
            predicted.astype(np.float64).reshape(shape)[:, finite_R],
            kind[:, 0] if shape[1] else np.zeros(0, bool),
            np.array([it not in (None, class_name) for it in labels_M], bool),
        )

    @property
    def is_enough(self) -> bool:
        kind = int(self.of_pattern_M.sum())
        backgrounds = min(kind, len(self.of_pattern_M) - kind)
        return backgrounds >= FEWEST_BACKGROUNDS and self.recipients >= FEWEST_RECIPIENTS

    @property
    def recipients(self) -> int:
        return int(self.log_odds_MR.shape[1])

    @cached_property
    def p(self) -> float:
        return permutation_p(self.log_odds_MR, self.of_pattern_M)

    @cached_property
    def effect(self) -> Change:
        return bootstrap_difference(self.predicted_MR, self.of_pattern_M)

    def effect_over(self, rate: float) -> Change:
        """On the pattern, over how often the class is predicted otherwise."""
        of_pattern_mR = self.predicted_MR[self.of_pattern_M]
        otherwise_1R = np.full((1, self.recipients), rate)
        is_pattern = np.arange(len(of_pattern_mR) + 1) < len(of_pattern_mR)
        return bootstrap_difference(np.vstack([of_pattern_mR, otherwise_1R]), is_pattern)

    def rate(self, *, of_pattern: bool) -> schema.Rate:
        chosen = self.predicted_MR[self.of_pattern_M == of_pattern]
        return schema.wilson(int(chosen.sum()), chosen.size)

    def only_other_labels(self) -> Measured:
        """Without the members of the class itself, whose objects may have left something."""
        kept_M = ~self.of_pattern_M | self.other_label_M
        return Measured(
            self.log_odds_MR[kept_M],
            self.predicted_MR[kept_M],
            self.of_pattern_M[kept_M],
            self.other_label_M[kept_M],
        )


@dataclass(frozen=True)
class Judgement:
    """One candidate's verdict, and why."""

    verdict: PatternVerdict
    reason: str  # the end of its sentence
    measured: Measured | None  # None for too few images
    q: float


@dataclass(frozen=True)
class TrialResult:
    """Of the main check, and of the one with another fill."""

    main: Measured
    check: Measured | None  # None where nothing of the pictures is put into others


def judge(trials: Sequence[TrialResult | None]) -> list[Judgement]:
    """Verdicts from the result of each trial; None where there were too few images. q is corrected
    over all of them.

    One that cannot be confirmed whatever its p counts as 1: a rejection that is thrown away
    afterwards would make the others easier to confirm. So do the confounded for all but themselves.
    """
    p_values = [_p_of(trial) for trial in trials]
    doubts = [
        "" if trial is None or p == 1 else _why_confounded(trial)
        for trial, p in zip(trials, p_values, strict=True)
    ]
    of_effects = adjust_p_values(p_values)
    of_others = adjust_p_values(
        [1.0 if doubt else p for p, doubt in zip(p_values, doubts, strict=True)]
    )
    return [
        _judge(trial, effect if doubt else other, doubt)
        for trial, effect, other, doubt in zip(trials, of_effects, of_others, doubts, strict=True)
    ]


def _p_of(trial: TrialResult | None) -> float:
    """1 without an effect that is large enough."""
    if trial is None or not trial.main.is_enough or trial.main.effect.low < LEAST_EFFECT:
        return 1.0
    return trial.main.p


def _judge(trial: TrialResult | None, q: float, doubt: str) -> Judgement:
    """`doubt`: why the trial is confounded, else empty."""
    if trial is None or not trial.main.is_enough:
        reason = (
            f"at least {FEWEST_BACKGROUNDS} pictures with it, {FEWEST_BACKGROUNDS} without and "
            f"{FEWEST_RECIPIENTS} to put on them are needed"
        )
        return Judgement("too few", reason, None, q)
    main = trial.main
    if main.p <= LEVEL and main.effect.low < LEAST_EFFECT:
        reason = f"which may be less than {LEAST_EFFECT:.0%}"
        return Judgement("not confirmed", reason, main, q)
    if q > LEVEL:
        return Judgement("not confirmed", "which chance may explain", main, q)
    return Judgement("confounded" if doubt else "confirmed", doubt, main, q)


def _why_confounded(trial: TrialResult) -> str:
    """Empty where it cannot be the members' objects instead of what is beside them."""
    main, check = trial.main, trial.check
    if check is None:
        return ""
    if not check.is_enough or check.effect.value <= 0:
        return "but not once the objects' surroundings are cut away, too"
    others = main.only_other_labels()
    if int(others.of_pattern_M.sum()) < FEWEST_BACKGROUNDS:
        return (
            "but too few of its members are known to have another label, so what their objects "
            "leave behind cannot be told from the background"
        )
    if others.effect.value <= 0:
        return "but not members of other labels, so it may be what the objects leave behind"
    return ""


def read_trial(
    made: pa.Table, candidate: Candidate, class_name: str, labels: dict[str, str | None]
) -> TrialResult:
    """Of the table that a worker wrote."""
    main, check = (Measured.of(made, it, class_name, labels) for it in (MAIN, CHECK))
    return TrialResult(main, None if candidate.given is not None else check)
