"""The figures that a policy's rules ask for: of one audit, or as a change against another.

A share of one audit has Wilson's interval, with as many trials as images. All else has a
bootstrap interval (tasks/intervals/bootstrap.py) that is made no narrower than so many images
allow which all agree: where hardly any image says otherwise, draws from them know nothing of
those that would. How low the lowest group lies has intervals of its own
(tasks/intervals/worst_group.py). Shapes: N images, n some of them, G groups, 2 is champion and
candidate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import list_names
from tasks import schema
from tasks.compare.paired_images import LIFT
from tasks.compare.two_models import Answers, groups_of
from tasks.intervals.bootstrap import Floats, bootstrap_mean, change_of_means
from tasks.intervals.change import Change
from tasks.intervals.flagged_excess import bootstrap_excess, change_of_excess
from tasks.intervals.worst_group import change_of_worst, interval_of_worst

NAMED = 8  # groups that a note names
SHARES = frozenset({"accuracy", "accuracy_exchanged", "flips", "flagged"})
NOTHING = {  # why a figure was not computed
    "accuracy": "no image has a label",
    "accuracy_exchanged": "no labelled image was put on backgrounds of other classes",
    "gap": "no labelled image was put on backgrounds of other classes",
    "flips": "no image was put on other backgrounds",
    "flagged": "no image is decided",
    "excess": "no image is decided",
    "reliance_exchange": "no image was put on other backgrounds",
    "reliance_removal": "no object was removed",
}


@dataclass(frozen=True)
class Sought:
    """Which figure, of which images, and how sure its interval must be."""

    figure: str
    method: str | None  # of lift
    label: str | None  # of one class; None: of all images
    change: bool
    images: int  # that a group needs to be the worst
    confidence: float = 0.95


@dataclass(frozen=True)
class Gauged:
    """A figure with its interval."""

    value: float
    low: float
    high: float
    of: int  # images
    note: str = ""


@dataclass(frozen=True)
class NotGauged:
    """A figure that was not computed."""

    reason: str


def count(answers: Answers, sought: Sought) -> int:
    """Images that the figure would stand on; of groups, those of all, however small."""
    if sought.figure == "worst_group":
        own_N = _own(answers, sought)
        return len(groups_of(answers, 1, own_N).group_n)
    return int((_own(answers, sought) & np.isfinite(_values(answers, sought)).all(1)).sum())


def gauge(answers: Answers, sought: Sought) -> Gauged | NotGauged:
    """The figure of the later side, or its change."""
    if not count(answers, sought):
        return NotGauged(_reason(answers, sought))
    if sought.figure == "worst_group":
        return _worst(answers, sought)
    if sought.figure == "excess" and sought.label is None:
        return _excess(answers, sought)
    value_N2 = _values(answers, sought)
    value_n2 = value_N2[_own(answers, sought) & np.isfinite(value_N2).all(1)]
    if sought.change:
        return _told(sought, change_of_means(value_n2, sought.confidence), len(value_n2))
    if sought.figure in SHARES:
        return share(float(value_n2[:, 1].sum()), len(value_n2), sought.confidence)
    return _told(sought, bootstrap_mean(value_n2[:, 1], sought.confidence), len(value_n2))


def share(total: float, of: int, confidence: float) -> Gauged:
    """With Wilson's interval; what is no whole number of images is rounded to the wider one."""
    low = schema.wilson(math.floor(total), of, confidence).low
    high = schema.wilson(math.ceil(total), of, confidence).high
    assert low is not None
    assert high is not None
    return Gauged(total / of, low, high, of)


def leeway(of: int, confidence: float) -> float:
    """How many of all images may say otherwise although these all agree: the exact interval's
    end."""
    return float(1 - ((1 - confidence) / 2) ** (1 / of))


def _values(answers: Answers, sought: Sought) -> Floats:
    """(N, 2); NaN where an image has no such figure on either side."""
    column = f"{LIFT}{sought.method}"
    if sought.figure == "lift" and column not in answers.pairs.after.column_names:
        return np.full((len(answers.pairs), 2), np.nan)
    if sought.figure == "lift":
        return answers.pairs.values(column)
    if sought.figure == "excess":
        return answers.excess_N2
    if sought.figure == "gap":
        return answers.values["accuracy"] - answers.values["accuracy_exchanged"]
    return answers.values[sought.figure]


def _own(answers: Answers, sought: Sought) -> NDArray[np.bool_]:
    if sought.label is None:
        return np.ones(len(answers.pairs), bool)
    own_N: NDArray[np.bool_] = answers.pairs.label_N == sought.label
    return own_N


def _told(sought: Sought, change: Change, of: int, note: str = "") -> Gauged:
    """A bootstrap of few images that say otherwise is lopsided: half of the leeway is added to its
    ends. A lift has no bounds, and so no leeway."""
    least = 0.0 if sought.figure == "lift" else leeway(of, sought.confidence)
    low = min(change.low - least / 2, change.value - least)
    high = max(change.high + least / 2, change.value + least)
    return Gauged(change.value, low, high, of, note)


def _worst(answers: Answers, sought: Sought) -> Gauged:
    """Of groups of enough images; where there is none, of all: too few to decide, as `of` says."""
    groups = groups_of(answers, sought.images, _own(answers, sought))
    if not groups.names:
        groups = groups_of(answers, 1, _own(answers, sought))
    right_n2, group_n = groups.right_n2, groups.group_n
    count_G = np.bincount(group_n)
    first, last = (int(place) for place in groups.share_G2.argmin(0))
    kind = "values of the column group" if answers.pairs.has_groups else "labels"
    note = f"{groups.names[last]}, the lowest of {len(count_G)} {kind}"
    if groups.small:
        noun = "smaller one is" if len(groups.small) == 1 else "smaller ones are"
        note += f"; {len(groups.small)} {noun} not judged: {list_names(groups.small, NAMED)}"
    if sought.change:
        change = change_of_worst(right_n2, group_n, sought.confidence)
        of = int(min(count_G[first], count_G[last]))
        return Gauged(change.value, change.low, change.high, of, note)
    low, high = interval_of_worst(right_n2[:, 1], group_n, sought.confidence)
    return Gauged(float(groups.share_G2[last, 1]), low, high, int(count_G[last]), note)


def _excess(answers: Answers, sought: Sought) -> Gauged:
    """Of all images: thresholds are as uncertain as rates. A class takes them as given."""
    excess_N2 = answers.excess_N2
    known_N = np.isfinite(excess_N2).all(1)
    score_n2, null_n2 = (answers.pairs.values(name)[known_N] for name in ("score", "null_score"))
    before, after = excess_N2[known_N].mean(0).tolist()
    alarm = answers.rules[1].false_alarm
    if sought.change:
        change = change_of_excess(score_n2, null_n2, alarm, after - before)
    else:
        change = bootstrap_excess(score_n2[:, 1], null_n2[:, 1], alarm, after)
    return _told(sought, change, int(known_N.sum()))


def _reason(answers: Answers, sought: Sought) -> str:
    if not len(answers.pairs):
        return "no image was predicted"
    if sought.figure in ("flagged", "excess") and not answers.same_rule:
        before, after = (f"{rule.method} at {rule.false_alarm:g}" for rule in answers.rules)
        return f"the two audits flag by different rules: {before}, and {after}"
    if sought.label is not None and not _own(answers, sought).any():
        return "no image has this label"
    both = " in both audits" if sought.change else ""
    if sought.figure == "worst_group":
        return f"no image of a group has a label{both}"
    if sought.figure == "lift":
        return f"no map of {sought.method} was scored against a foreground{both}"
    return f"{NOTHING[sought.figure]}{both}"
