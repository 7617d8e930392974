"""Figures of audits of photographs: decided, flagged, changed, right, and alike between two.

Shapes: N photographs, E exchanges, R bootstrap draws.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.audit.auroc import auroc, auroc_intervals, auroc_within
from benchmarks.audit.photograph_figures import AREAS, share
from benchmarks.audit.photograph_scores import TRUTH, thirds
from benchmarks.measure import Figure
from tasks.intervals.bootstrap import Draws, percentile_interval
from tasks.schema import wilson

UNSURE = "the estimated foreground is unsure"


@dataclass(frozen=True, eq=False)
class Audit:
    """What one run says of N photographs, in the order of the table."""

    class_index: np.ndarray
    masked: np.ndarray  # has it a mask?
    correct: np.ndarray
    flag: np.ndarray
    reason: np.ndarray
    score: np.ndarray
    null_score: np.ndarray
    threshold: np.ndarray  # a single number
    area: np.ndarray  # of the foreground
    flips_own: np.ndarray
    donors: np.ndarray  # (N, E), empty where there are fewer
    changed: np.ndarray  # (N, E): does that donor change the prediction? NaN without a donor

    @property
    def decided(self) -> np.ndarray:
        decided_N: np.ndarray = self.flag != "undecided"
        return decided_N

    @property
    def flagged(self) -> np.ndarray:
        flagged_N: np.ndarray = self.flag == "rests_on_background"
        return flagged_N

    def chosen(self, kept_N: np.ndarray) -> Audit:
        columns = {name: column[kept_N] for name, column in vars(self).items() if column.ndim}
        return replace(self, **columns)


def audit_figures(name: str, audit: Audit) -> Iterator[Figure]:
    """What one audit decides and flags, and what changes its predictions."""
    decided_N, of = audit.decided, len(audit.flag)
    yield rate(f"{name}: predicted right", audit.correct.sum(), of)
    yield rate(f"{name}: undecided", (~decided_N).sum(), of)
    reasons = (re.sub(r" \(.*|, \d of \d.*", "", it) for it in audit.reason[~decided_N])
    for reason, count in Counter(reasons).most_common():
        yield rate(f"{name}: undecided, {reason}", count, of)
    yield rate(f"{name}: flagged", (decided_N & audit.flagged).sum(), decided_N.sum())
    by_null_N = decided_N & (audit.null_score > audit.threshold)
    yield rate(f"{name}: by the null", by_null_N.sum(), decided_N.sum())
    yield from _changes(name, audit)


def _changes(name: str, audit: Audit) -> Iterator[Figure]:
    """On own backgrounds moved and on others, also by thirds of the area, of those changed;
    without unsure estimates."""
    sure_N = ~np.char.startswith(audit.reason, UNSURE)
    own = audit.chosen(sure_N & np.isfinite(audit.flips_own) & np.isfinite(audit.changed).any(1))
    third_N = thirds(own.area)
    others_N = np.nanmean(own.changed, 1)
    for words, changed_N in (("own, moved", own.flips_own), ("others", others_N)):
        yield share(f"{name}: changed on {words} ({len(changed_N)})", changed_N)
        for third, area in enumerate(AREAS):
            yield share(f"{name}: the same, {area} objects", changed_N[third_N == third])


def fresh_truth(audit: Audit, truth: Audit) -> np.ndarray:
    """(N,): share of twelve donors that the audit did not use which change the prediction."""
    share_N = np.full(len(audit.flag), np.nan)
    for image, donor_E in enumerate(truth.donors):
        fresh_E = (donor_E != "") & ~np.isin(donor_E, audit.donors[image])
        if fresh_E.any():
            share_N[image] = truth.changed[image][fresh_E][:TRUTH].mean()
    return share_N


def score_figures(name: str, audit: Audit, truth: Audit) -> Iterator[Figure]:
    """Of decided photographs: does the score rank what most fresh donors change?"""
    share_N = fresh_truth(audit, truth)
    known_N = audit.decided & np.isfinite(share_N)
    score_N, truth_N = audit.score[known_N], share_N[known_N] > 0.5
    third_N = thirds(audit.area[known_N])
    yield rate(f"{name}: most of 12 fresh donors change it", truth_N.sum(), len(truth_N))
    ends = auroc_intervals(score_N, truth_N, third_N)
    yield Figure(
        f"{name}: AUROC of the score", auroc(score_N, truth_N), ends.get("low"), ends.get("high")
    )
    yield Figure(
        f"{name}: AUROC within thirds of the area",
        auroc_within(score_N, truth_N, third_N),
        ends.get("within low"),
        ends.get("within high"),
    )


def agreement_figures(name: str, first: Audit, second: Audit) -> Iterator[Figure]:
    """Do two audits flag the same of the photographs that both decide?"""
    both_N = first.decided & second.decided
    flagged_2N = np.stack([first.flagged, second.flagged])[:, both_N]
    by_n = flagged_2N.sum(0)
    yield rate(f"{name}: both decide", len(by_n), len(both_N))
    yield rate(f"{name}: flags agree", (by_n != 1).sum(), len(by_n))
    drawn_R = np.array([kappa(flagged_2N[:, n]) for n in Draws.of(len(by_n)).images()])
    value = kappa(flagged_2N)
    yield Figure(f"{name}: kappa", value, *percentile_interval(value, drawn_R))
    yield rate(f"{name}: of those that either flags, both do", (by_n == 2).sum(), (by_n > 0).sum())


def kappa(flagged_2N: np.ndarray) -> float:
    """Cohen's: 0 where agreement is that of chance, 1 where all agree; NaN of one kind alone."""
    alike = float((flagged_2N[0] == flagged_2N[1]).mean())
    first, second = flagged_2N.mean(1)
    by_chance = float(first * second + (1 - first) * (1 - second))
    return (alike - by_chance) / (1 - by_chance) if by_chance < 1 else float("nan")


def rate(name: str, count: int, of: int) -> Figure:
    """A share with Wilson's interval; its counts are in its name."""
    found = wilson(int(count), int(of))
    value = float("nan") if found.value is None else found.value
    return Figure(f"{name} ({int(count)} of {int(of)})", value, found.low, found.high)
