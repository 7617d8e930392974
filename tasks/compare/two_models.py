"""Two models on the same images: every figure before, after, and its change, image by image.

Champion and candidate, or before and after a retraining. Shapes: N images, n some of them, 2 is
before and after.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.errors import NotComparable
from tasks import schema
from tasks.compare.paired_images import LIFT, Pairs, check_pair, read_pairs, shared_methods
from tasks.compare.turns import changed_images, count_turns
from tasks.compare.verdicts import ORDER, Subject, sentence_of, weighed
from tasks.intervals.bootstrap import Floats, Indices, change_of_means
from tasks.intervals.flagged_excess import change_of_excess
from tasks.intervals.many_comparisons import simultaneous_confidence
from tasks.intervals.worst_group import change_of_worst
from tasks.runs.reader import Run

LEAST = 10  # labelled images of a group before it can be the worst
IN_CLASSES = ("accuracy", "flips", "flagged")
REASONS = {
    "accuracy": "no image has a label",
    "accuracy_exchanged": "no labelled image was put on backgrounds of other classes",
    "worst_group": f"no group has {LEAST} images with a label",
    "flips": "no image was put on other backgrounds in both audits",
    "flagged": "no image is decided in both audits",
    "excess": "no image is decided in both audits",
    "reliance_exchange": "no image was put on other backgrounds in both audits",
    "reliance_removal": "no object was removed in both audits",
    "lift": "no map was scored against a foreground in both audits",
}

Found = schema.PairedFigure | schema.MissingFigure


def pair_runs(before: Run, after: Run) -> schema.PairedSummary:
    """The later audit against the earlier one; refuses runs that differ in more than the model."""
    first, last = before.summary(), after.summary()
    pairs = read_pairs(before, after)
    answers = Answers.of(pairs, (first.rule, last.rule))
    found = [*_figures(answers), *_lifts(answers, shared_methods(before, after))]
    figures = [it for it in found if isinstance(it, schema.PairedFigure)]
    classes, confidence = _classes(answers)
    old, new = pairs.words("prediction")
    return schema.PairedSummary(
        before=audited_model(before, first),
        after=audited_model(after, last),
        data=last.data,
        foreground=last.foreground.source,
        method=last.rule.method,
        images=len(pairs),
        left_out=pairs.rows - len(pairs),
        predictions_changed=schema.wilson(int((old != new).sum()), len(pairs)),
        sentence=sentence_of(figures),
        figures=tuple(sorted(figures, key=lambda it: ORDER.index(it.verdict))),
        missing=tuple(it for it in found if isinstance(it, schema.MissingFigure)),
        classes=classes,
        confidence=confidence,
        smallest_class=schema.ENOUGH,
        turns=count_turns(answers.values["accuracy"], answers.values["flagged"]),
        changed=changed_images(pairs, answers.values["accuracy"], answers.values["flagged"]),
    )


def is_duel(before: Run, after: Run) -> bool:
    """Are they a pair, of two models?"""
    try:
        check_pair(before, after)
    except NotComparable:
        return False
    return before.state.identity.model != after.state.identity.model


@dataclass(frozen=True)
class Answers:
    """What the figures are made of."""

    pairs: Pairs
    rules: tuple[schema.FlagRule, schema.FlagRule]
    values: Mapping[str, Floats]  # (N, 2) by figure; NaN where one of the runs has none

    @classmethod
    def of(cls, pairs: Pairs, rules: tuple[schema.FlagRule, schema.FlagRule]) -> Answers:
        named = {
            "accuracy": "correct",
            "accuracy_exchanged": "kept_label",
            "flips": "flips",
            "reliance_exchange": "reliance_exchange",
            "reliance_removal": "reliance_removal",
        }
        values = {figure: _both(pairs.values(column)) for figure, column in named.items()}
        return cls(pairs, rules, values | {"flagged": _flagged(pairs, rules)})

    @property
    def same_rule(self) -> bool:
        return _same_rule(self.rules)

    @cached_property
    def excess_N2(self) -> Floats:
        """Flagged less flagged by the null: 1, 0, -1, or NaN where it is not decided."""
        thresholds = np.array([rule.threshold for rule in self.rules], float)
        excess_N2: Floats = self.values["flagged"] - (self.pairs.values("null_score") > thresholds)
        return excess_N2


@dataclass(frozen=True)
class Groups:
    """The labelled images of groups of enough of them."""

    right_n2: Floats
    group_n: Indices
    names: tuple[str, ...]
    small: tuple[str, ...]  # names of those that are left out

    @property
    def share_G2(self) -> Floats:
        groups = range(len(self.names))
        return np.stack([self.right_n2[self.group_n == group].mean(0) for group in groups])


def groups_of(answers: Answers, least: int, own_N: NDArray[np.bool_] | None = None) -> Groups:
    """By the table's column `group`, else by labels; of all images, or of some."""
    right_N2, name_N = answers.values["accuracy"], answers.pairs.group_N
    known_N = np.isfinite(right_N2).all(1) & (name_N != None)  # noqa: E711  # of each element
    known_N = known_N if own_N is None else known_N & own_N
    names, place_n, count_G = np.unique(
        name_N[known_N].astype(str), return_inverse=True, return_counts=True
    )
    enough_n = count_G[place_n] >= least
    kept, group_n = np.unique(names[place_n][enough_n], return_inverse=True)
    small = names[count_G < least]
    right_n2 = right_N2[known_N][enough_n]
    return Groups(right_n2, group_n, tuple(map(str, kept)), tuple(map(str, small)))


def _both(value_N2: Floats) -> Floats:
    """Images without a value on one side have none on the other."""
    known_N1 = np.isfinite(value_N2).all(1, keepdims=True)
    both_N2: Floats = np.where(known_N1, value_N2, np.nan)
    return both_N2


def _flagged(pairs: Pairs, rules: tuple[schema.FlagRule, schema.FlagRule]) -> Floats:
    """1, 0, or NaN where the two audits do not both decide, or by different rules."""
    flag_N2 = np.stack(pairs.words("flag"), 1)
    known_N2 = (flag_N2 != "undecided") & _same_rule(rules)
    return _both(np.where(known_N2, flag_N2 == "rests_on_background", np.nan))


def _same_rule(rules: tuple[schema.FlagRule, schema.FlagRule]) -> bool:
    """The thresholds are each model's own: they are what the same share of its null exceeds."""
    before, after = rules
    return (before.method, before.false_alarm) == (after.method, after.false_alarm)


def _figures(answers: Answers) -> Iterator[Found]:
    """All but the lifts, in the order of schema.PAIRED_FIGURES."""
    for figure in schema.PAIRED_FIGURES:
        if figure == "worst_group":
            yield _worst(answers)
        elif figure == "excess":
            yield _excess(answers)
        elif figure in answers.values:
            yield _mean(answers, Subject(figure), answers.values[figure])


def _mean(answers: Answers, subject: Subject, value_N2: Floats) -> Found:
    value_n2 = value_N2[np.isfinite(value_N2).all(1)]
    if not len(value_n2):
        return _missing(answers, subject)
    change = change_of_means(value_n2, subject.confidence)
    return weighed(subject, value_n2, _ends(value_n2), change)


def _worst(answers: Answers) -> Found:
    """The lowest accuracy over values of the table's column `group`, else over labels."""
    groups = groups_of(answers, LEAST)
    if not groups.names:
        return _missing(answers, Subject("worst_group"))
    share_G2, group_n = groups.share_G2, groups.group_n
    first, last = (int(place) for place in share_G2.argmin(0))
    worst_n2 = groups.right_n2[(group_n == first) | (group_n == last)]
    ends = (float(share_G2[first, 0]), float(share_G2[last, 1]))
    change = change_of_worst(groups.right_n2, group_n)
    note = _note(groups.names[first], groups.names[last], len(groups.names), answers)
    return weighed(Subject("worst_group", note=note), worst_n2, ends, change)


def _note(first: str, last: str, groups: int, answers: Answers) -> str:
    kind = "values of the column group" if answers.pairs.has_groups else "labels"
    of = f"the lowest of {groups} {kind}"
    return f"{first}, {of}" if first == last else f"{first} before, {last} after, {of}"


def _excess(answers: Answers) -> Found:
    excess_N2 = answers.excess_N2
    known_N = np.isfinite(excess_N2).all(1)
    if not known_N.any():
        return _missing(answers, Subject("excess"))
    score_n2, null_n2 = (answers.pairs.values(name)[known_N] for name in ("score", "null_score"))
    before, after = _ends(excess_N2[known_N])
    alarm = answers.rules[1].false_alarm
    change = change_of_excess(score_n2, null_n2, alarm, after - before)
    return weighed(Subject("excess"), excess_N2[known_N], (before, after), change)


def _lifts(answers: Answers, methods: Sequence[str]) -> Iterator[Found]:
    for method in methods:
        value_N2 = answers.pairs.values(f"{LIFT}{method}")
        yield _mean(answers, Subject("lift", method), value_N2)
    if not methods:
        reason = "the two audits have no method in common"
        yield schema.MissingFigure(figure="lift", name=None, reason=reason)


def _classes(answers: Answers) -> tuple[tuple[schema.PairedFigure, ...], float]:
    """Figures of each label with enough images, and the confidence of each one's interval."""
    label_N = answers.pairs.label_N
    wanted = [
        (figure, name, value_N2[own_N])
        for name in sorted({label for label in label_N if label is not None})
        for own_N in [label_N == name]
        for figure in IN_CLASSES
        for value_N2 in [answers.values[figure]]
        if np.isfinite(value_N2[own_N]).all(1).sum() >= schema.ENOUGH
    ]
    confidence = simultaneous_confidence(len(wanted))
    found = [
        _mean(answers, Subject(figure, name, confidence), value_n2)
        for figure, name, value_n2 in wanted
    ]
    figures = [it for it in found if isinstance(it, schema.PairedFigure)]
    figures.sort(key=lambda it: (ORDER.index(it.verdict), -abs(it.change)))
    return tuple(figures), confidence


def _missing(answers: Answers, subject: Subject) -> schema.MissingFigure:
    reason = REASONS[subject.figure]
    if not len(answers.pairs):
        reason = "no image was predicted in both audits"
    elif subject.figure in ("flagged", "excess") and not answers.same_rule:
        before, after = (f"{rule.method} at {rule.false_alarm:g}" for rule in answers.rules)
        reason = f"the two audits flag by different rules: {before}, and {after}"
    return schema.MissingFigure(figure=subject.figure, name=subject.name, reason=reason)


def _ends(value_n2: Floats) -> tuple[float, float]:
    before, after = value_n2.mean(0)
    return float(before), float(after)


def audited_model(run: Run, summary: schema.Summary) -> schema.AuditedModel:
    """Which model a run audited, when, and where the run lies."""
    address = run.state.model_origin.get("address", summary.model.address)
    return schema.AuditedModel(
        run=str(run.folder.path),
        created=summary.created,
        address=address,
        digest=run.state.identity.model,
    )
