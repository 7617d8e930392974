"""Each figure over images, computed once: of one audit, or as a change against another.

A share of one audit has Wilson's interval, with as many trials as images. Everything
else has a bootstrap interval (tasks/intervals/bootstrap.py), except the worst group, whose interval
is in tasks/intervals/worst_group.py. Shapes: N images, n some of them, G groups, 2 is before
and after.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.errors import list_names
from tasks import schema
from tasks.compare.paired_images import Floats, PairedImages
from tasks.compare.words import NONE
from tasks.intervals.bootstrap import Indices, bootstrap_mean, change_of_means
from tasks.intervals.change import Change
from tasks.intervals.flagged_excess import bootstrap_excess, change_of_excess
from tasks.intervals.worst_group import change_of_worst, interval_of_worst

NAMED = 8  # groups that a note names


@dataclass(frozen=True)
class FigureQuery:
    """Which figure, of which images, and the confidence of its interval."""

    figure: str
    method: str | None = None  # where there is a figure per method
    label: str | None = None  # of one class only; None: all images
    change: bool = False
    images: int = schema.ENOUGH  # that a group needs to be the worst
    confidence: float = 0.95
    class_group: str | None = None  # of one group of classes only

    @property
    def definition(self) -> schema.Figure:
        return schema.FIGURES[self.figure]

    @property
    def name(self) -> str | None:
        """Of the method, the class or the group of classes; None: of all images."""
        names = (self.method, self.label, self.class_group)
        return next((name for name in names if name is not None), None)

    @property
    def is_whole(self) -> bool:
        """Whether it is of all images."""
        return self.label is None and self.class_group is None

    @property
    def column(self) -> str:
        """The column of each image whose mean the figure is."""
        column = self.definition.column
        assert column is not None, f"{self.figure} is not a mean over images"
        return f"{column}:{self.method}" if self.definition.by_method else column


@dataclass(frozen=True)
class FigureValue(Change):
    """A figure or its change, with its interval and the images it is based on."""

    of: int  # images
    before: float = math.nan  # the figure on either side
    after: float = math.nan
    differ: int = 0  # images whose two values differ
    smallest: int | None = None  # images of the smaller one of two worst groups
    note: str = ""

    @property
    def counted(self) -> int:
        """The number of images that has to be large enough."""
        return self.of if self.smallest is None else self.smallest


FigureResult = FigureValue | schema.MissingFigure


def compute_figure(images: PairedImages, query: FigureQuery) -> FigureResult:
    """The figure of the later side, or its change."""
    if query.definition.interval == "groups":
        return _worst_group(images, query)
    value_n2 = known_values(images, query)
    if not len(value_n2):
        return _missing_figure(images, query)
    is_whole = query.is_whole and not images.is_part
    if query.definition.interval == "thresholds" and is_whole:
        interval = _interval_of_excess(images, query)
    else:
        interval = _interval(query, value_n2)
    return _value(interval, value_n2)


def widen(value: FigureValue, query: FigureQuery) -> FigureValue:
    """An interval no narrower than that of as many images which all agree: where hardly any image
    disagrees, resampling cannot show those that would.

    A bootstrap over few images that disagree is lopsided, so half of the leeway is added to its
    ends. Unbounded figures have no leeway; Wilson's intervals and those of groups need none.
    """
    figure = query.definition
    is_share = figure.interval == "Wilson" and not query.change
    if is_share or figure.interval == "groups" or not figure.unit.is_bounded:
        return value
    least = leeway(value.of, query.confidence)
    low = min(value.low - least / 2, value.value - least)
    return replace(value, low=low, high=max(value.high + least / 2, value.value + least))


def leeway(of: int, confidence: float) -> float:
    """The share of all images that may disagree although all of these agree: the end of the exact
    interval."""
    return float(1 - ((1 - confidence) / 2) ** (1 / of))


def known_values(images: PairedImages, query: FigureQuery) -> Floats:
    """(n, 2): those that a figure is computed from."""
    value_n2 = images.values(query.column)[select_images(images, query)]
    return value_n2[np.isfinite(value_n2).all(1)]


def select_images(images: PairedImages, query: FigureQuery) -> NDArray[np.int32] | slice:
    """The images that a figure is of."""
    if query.label is not None:
        return images.labels.images(query.label)
    if query.class_group is not None:
        return images.groups_of_labels.images(query.class_group)
    return slice(None)


def _value(interval: Change, value_n2: Floats) -> FigureValue:
    before, after = value_n2.mean(0).tolist()
    differ = int((value_n2[:, 0] != value_n2[:, 1]).sum())
    ends = interval.value, interval.low, interval.high
    return FigureValue(*ends, len(value_n2), before, after, differ)


def _interval(query: FigureQuery, value_n2: Floats) -> Change:
    if query.change:
        return change_of_means(value_n2, query.confidence)
    return interval_of_mean(query.definition, value_n2[:, 1], query.confidence)


def interval_of_mean(figure: schema.Figure, value_n: Floats, confidence: float = 0.95) -> Change:
    """A figure of one audit, from the numbers of its images."""
    if figure.interval == "Wilson":
        return _interval_of_share(value_n, confidence)
    return bootstrap_mean(value_n, confidence)


def _interval_of_share(value_n: Floats, confidence: float) -> Change:
    """Wilson's interval; a fractional number of images is rounded outwards."""
    of, total = len(value_n), float(value_n.sum())
    low = schema.wilson(math.floor(total), of, confidence).low
    high = schema.wilson(math.ceil(total), of, confidence).high
    assert low is not None
    assert high is not None
    return Change(total / of, low, high)


def _interval_of_excess(images: PairedImages, query: FigureQuery) -> Change:
    """Over all images, where the thresholds are as uncertain as the rates; a part of them, such as
    a class, takes them as given."""
    excess_N2 = images.values("excess")
    known_N = np.isfinite(excess_N2).all(1)
    before, after = excess_N2[known_N].mean(0).tolist()
    score_n2, null_n2 = (images.values(name)[known_N] for name in ("score", "null_score"))
    alarm = images.rules[1].false_alarm
    if query.change:
        return change_of_excess(score_n2, null_n2, alarm, after - before)
    return bootstrap_excess(score_n2[:, 1], null_n2[:, 1], alarm, after)


@dataclass(frozen=True)
class _Groups:
    """The labelled images in groups of enough images."""

    right_n2: Floats
    group_n: Indices
    names: tuple[str, ...]
    small: tuple[str, ...]  # names of the groups that are left out

    @property
    def share_G2(self) -> Floats:
        count_G = np.bincount(self.group_n)
        right_2G = [np.bincount(self.group_n, right_n) for right_n in self.right_n2.T]
        return np.stack(right_2G, 1) / count_G[:, None]

    def note(self, first: int, last: int, kind: str) -> str:
        """Which group is the worst, and which are too small to be judged."""
        names, of = self.names, f"the lowest of {len(self.names)} {kind}"
        worst = names[last] if first == last else f"{names[first]} before, {names[last]} after"
        if not self.small:
            return f"{worst}, {of}"
        noun = "smaller one is" if len(self.small) == 1 else "smaller ones are"
        left_out = f"{len(self.small)} {noun} not judged: {list_names(self.small, NAMED)}"
        return f"{worst}, {of}; {left_out}"


def _worst_group(images: PairedImages, query: FigureQuery) -> FigureResult:
    """Over groups of enough images; without any, over all groups, whose `smallest` is too small."""
    groups = _groups_of(images, query, query.images)
    if not groups.names:
        groups = _groups_of(images, query, 1)
    if not groups.names:
        return _missing_figure(images, query)
    right_n2, group_n = groups.right_n2, groups.group_n
    first, last = (int(group) for group in groups.share_G2.argmin(0))
    if query.change:
        interval = change_of_worst(right_n2, group_n, query.confidence)
    else:
        first = last
        ends = interval_of_worst(right_n2[:, 1], group_n, query.confidence)
        interval = Change(float(groups.share_G2[last, 1]), *ends)
    count_G = np.bincount(group_n)
    return replace(
        _value(interval, right_n2[(group_n == first) | (group_n == last)]),
        before=float(groups.share_G2[first, 0]),
        after=float(groups.share_G2[last, 1]),
        smallest=int(min(count_G[first], count_G[last])),
        note=groups.note(first, last, images.kind_of_groups),
    )


def _groups_of(images: PairedImages, query: FigureQuery, least: int) -> _Groups:
    """Groups by the group column of the table, else of classes, else by label."""
    selected, groups = select_images(images, query), images.groups
    right_n2, number_n = images.values("correct")[selected], groups.number_N[selected]
    known_n = np.isfinite(right_n2).all(1) & (number_n != NONE)
    right_n2, number_n = right_n2[known_n], number_n[known_n]
    count_W = np.bincount(number_n, minlength=len(groups.names))
    enough_W = count_W >= least
    names = np.array(groups.names, object)
    kept, small = names[enough_W].tolist(), names[(count_W > 0) & ~enough_W].tolist()
    enough_n = enough_W[number_n]
    group_n = (np.cumsum(enough_W) - 1)[number_n[enough_n]]
    return _Groups(right_n2[enough_n], group_n, tuple(kept), tuple(small))


def _missing_figure(images: PairedImages, query: FigureQuery) -> schema.MissingFigure:
    reason = _why_missing(images, query)
    return schema.MissingFigure(figure=query.figure, name=query.name, reason=reason)


def _why_missing(images: PairedImages, query: FigureQuery) -> str:
    both = " in both audits" if query.change else ""
    if not len(images):
        predicted = "chosen image was predicted" if images.is_part else "image was predicted"
        return f"no {predicted}{both}"
    if query.definition.column in ("flagged", "excess") and not images.same_rule:
        before, after = (rule.describe() for rule in images.rules)
        return f"the two audits flag by different rules: {before}, and {after}"
    selected = select_images(images, query)
    if isinstance(selected, np.ndarray) and not len(selected):
        part = "a label of this group" if query.label is None else "this label"
        return f"no image has {part}"
    remedy = f": {query.definition.remedy}" if query.definition.remedy else ""
    return f"{query.definition.missing}{both}{remedy}"
