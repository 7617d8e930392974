"""The gate: every rule of a policy against a candidate's figures, with a reason in words.

A limit is kept where the whole interval lies on its allowed side, the limit itself included; it is
broken where the whole interval lies beyond it; otherwise the rule is undecided. A figure that is
missing fails the rule, unless the policy says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from models.errors import list_names
from tasks.compare.figures import FigureQuery, FigureResult, FigureValue, compute_figure, widen
from tasks.compare.paired_images import PairedImages
from tasks.gate.pattern_counts import NO_PATTERNS, PatternEvidence, count_patterns
from tasks.gate.policy import Policy
from tasks.gate.policy_rule import Rule
from tasks.intervals.many_comparisons import simultaneous_confidence
from tasks.schema.gate import EFFECTS, Check, Effect, Ruling, Status

ORDER: tuple[Status, ...] = ("fail", "missing", "undecided", "pass")  # the worst first
NO_CHAMPION = "no champion to compare with: decided by absolute rules"
NO_GROUPS = "the audit has no groups of classes: name them with --class-groups FILE"
NAMED = 8  # checks of classes whose sentences a reason quotes


@dataclass(frozen=True)
class Evidence:
    """What the rules of a policy are applied to."""

    candidate: PairedImages
    pair: PairedImages | None  # champion and candidate; None without a champion
    classes: Sequence[str]  # of the model
    patterns: PatternEvidence = NO_PATTERNS
    scenarios: Mapping[str, pa.Array | str] = field(default_factory=dict)  # by name, the row ids
    # of its images, or why they cannot be chosen

    def images_of(self, rule: Rule) -> PairedImages | str | None:
        """The images that a rule is of, or why they cannot be chosen; None: no champion."""
        images = self.pair if rule.needs_champion else self.candidate
        if images is None or rule.scenario is None:
            return images
        row_ids = self.scenarios[rule.scenario]
        return row_ids if isinstance(row_ids, str) else images.choose(row_ids)


def apply_policy(policy: Policy, evidence: Evidence) -> tuple[Ruling, ...]:
    """The ruling on each rule of the policy, in its order."""
    return tuple(
        _ruling(rule, evidence, number + 1, line)
        for number, (rule, line) in enumerate(zip(policy.rules, policy.lines, strict=True))
    )


def passes(rulings: Sequence[Ruling]) -> bool:
    """Whether none refuses, and at least one that is judged could have."""
    return _is_judged(rulings) and all(ruling.effect != "fail" for ruling in rulings)


def _is_judged(rulings: Sequence[Ruling]) -> bool:
    return any(ruling.refuses and ruling.status != "skipped" for ruling in rulings)


def verdict_of(rulings: Sequence[Ruling]) -> str:
    """The verdict in one sentence."""
    effects = [ruling.effect for ruling in rulings if ruling.status != "skipped"]
    skipped = len(rulings) - len(effects)
    if not _is_judged(rulings):
        return (
            "Refused: every rule that could refuse is about a change, and there is no champion "
            "to compare with: add absolute rules."
        )
    failed, warned = effects.count("fail"), effects.count("warn")
    others = f", {warned} with a warning" if warned else ""
    others += f", {skipped} without a champion to compare with" if skipped else ""
    if failed:
        return f"Refused by {failed} of {len(rulings)} rules{others}."
    return f"Passed {effects.count('pass')} of {len(rulings)} rules{others}."


def status_of(rule: Rule, result: FigureResult) -> Status:
    """Where the interval lies relative to the limits."""
    if not isinstance(result, FigureValue) or not all(
        map(math.isfinite, (result.value, result.low, result.high))
    ):
        return "missing"
    if result.counted < rule.images:
        return "undecided"
    lowest = -math.inf if rule.lowest is None else rule.lowest
    highest = math.inf if rule.highest is None else rule.highest
    if result.high < lowest or result.low > highest:
        return "fail"
    return "pass" if lowest <= result.low and result.high <= highest else "undecided"


def _ruling(rule: Rule, evidence: Evidence, number: int, line: int | None) -> Ruling:
    images = evidence.images_of(rule)
    if images is None:
        checks: tuple[Check, ...] = ()
        status, effect, reason = "skipped", "pass", NO_CHAMPION
    else:
        if isinstance(images, str):
            checks = (_check_without_figure("missing", rule.effect_of("missing"), images),)
        elif rule.definition.kind == "pattern":
            checks = tuple(_checks_of_patterns(rule, images, evidence))
        else:
            checks = tuple(_checks(rule, images, evidence.classes))
        status = min((check.status for check in checks), key=ORDER.index)
        effect = max((check.effect for check in checks), key=EFFECTS.index)
        reason = _reason(rule, checks)
    return Ruling(
        number=number,
        line=line,
        rule=rule.words,
        refuses=not rule.warn,
        status=status,
        effect=effect,
        reason=reason,
        checks=checks,
    )


def _checks(rule: Rule, images: PairedImages, classes: Sequence[str]) -> Iterator[Check]:
    if rule.each is None:
        yield check_of(rule, None, _compute(rule, images))
        return
    counts = _count_parts(rule, images, classes)
    judged = [name for name, count in counts.items() if count >= rule.images]
    small = [name for name in counts if name not in judged]
    confidence = simultaneous_confidence(len(judged))
    for name in judged:
        yield check_of(rule, name, _compute(rule, images, name, confidence))
    if rule.each == "class_group" and images.class_groups is None:
        yield _check_without_figure("missing", rule.effect_of("missing"), NO_GROUPS)
    elif not judged:
        yield _none_judged(rule, max(counts.values(), default=0))
    elif small:
        yield _too_small(rule, small)


def _checks_of_patterns(rule: Rule, images: PairedImages, evidence: Evidence) -> Iterator[Check]:
    """Of all patterns, or of those that pull to each class or group of classes."""
    groups = images.class_groups
    if rule.each == "class_group" and groups is None:
        yield _check_without_figure("missing", rule.effect_of("missing"), NO_GROUPS)
        return
    parts: dict[str | None, set[str]] = {name: {name} for name in evidence.classes}
    if rule.each == "class_group" and groups is not None:
        parts = {
            name: {it for it, group in groups.group_of.items() if group == name}
            for name in groups.names
        }
    for name, classes in parts.items() if rule.each else ((None, None),):
        yield check_of(rule, name, count_patterns(rule.figure, evidence.patterns, classes))


def _count_parts(rule: Rule, images: PairedImages, classes: Sequence[str]) -> dict[str, int]:
    """How many images each class has, or each group of classes."""
    if rule.each == "class":
        known, words = set(classes), images.labels
    else:
        groups, words = images.class_groups, images.groups_of_labels
        known = set() if groups is None else set(groups.names)
    counts = words.counts
    return {name: counts.get(name, 0) for name in sorted(known | counts.keys())}


def _compute(
    rule: Rule, images: PairedImages, part: str | None = None, confidence: float = 0.95
) -> FigureResult:
    query = FigureQuery(
        *(rule.figure, rule.method),
        label=part if rule.each == "class" else None,
        class_group=part if rule.each == "class_group" else None,
        change=rule.is_change,
        images=rule.images,
        confidence=confidence,
    )
    result = compute_figure(images, query)
    return widen(result, query) if isinstance(result, FigureValue) else result


def check_of(rule: Rule, name: str | None, result: FigureResult) -> Check:
    """One figure against the rule's limits."""
    status = status_of(rule, result)
    check = _check_without_figure(
        status, rule.effect_of(status), _sentence(rule, name, result, status), name
    )
    if not isinstance(result, FigureValue) or status == "missing":
        return check
    numbers = {
        "value": result.value,
        "low": result.low,
        "high": result.high,
        "of": result.counted,
    }
    return check.model_copy(update=numbers)


def _sentence(rule: Rule, name: str | None, result: FigureResult, status: Status) -> str:
    subject = (rule.subject if name is None else f"{rule.subject} of {name}") + rule.within
    if not isinstance(result, FigureValue):
        return f"{subject} was not computed: {result.reason}"
    if status == "missing":
        return f"{subject} is not a number"
    images = "1 image" if result.counted == 1 else f"{result.counted:,} images"
    note = f", {result.note}" if result.note else ""
    value = rule.describe(result.value, result.low, result.high)
    return f"{subject} is {value} over {images}{note}: {_position(rule, result, status)}"


def _position(rule: Rule, result: FigureValue, status: Status) -> str:
    """Where the interval lies, in words."""
    if result.counted < rule.images:
        return f"too few images to decide, the rule needs {rule.images:,}"
    if rule.definition.interval == "none":
        return rule.limits if status == "pass" else f"not {rule.limits}"
    part = {"pass": "all", "fail": "none", "undecided": "part"}[status]
    return f"{part} of the interval is {rule.limits}"


def _none_judged(rule: Rule, most: int) -> Check:
    """The check of a rule for which no class, or no group of classes, has enough images."""
    status: Status = "undecided" if most else "missing"
    sentence = (
        f"no {rule.parts.one} has {rule.images:,} images for {rule.subject}{rule.within}, the "
        f"largest has {most:,}"
    )
    return _check_without_figure(status, rule.effect_of(status), sentence)


def _too_small(rule: Rule, names: Sequence[str]) -> Check:
    """Named without failing the rule: a policy that needs these classes sets a smaller `images`."""
    parts = f"{rule.parts.one} has" if len(names) == 1 else f"{rule.parts.many} have"
    sentence = (
        f"{len(names):,} {parts} fewer than {rule.images:,} images and cannot be judged: "
        f"{list_names(names, NAMED)}"
    )
    return _check_without_figure("pass", "pass", sentence)


def _check_without_figure(
    status: Status, effect: Effect, sentence: str, name: str | None = None
) -> Check:
    """A check without a figure."""
    return Check(
        name=name,
        status=status,
        effect=effect,
        value=None,
        low=None,
        high=None,
        of=0,
        sentence=sentence,
    )


def _reason(rule: Rule, checks: Sequence[Check]) -> str:
    """The deciding sentences: of the worst checks, and which classes could not be judged."""
    if len(checks) == 1:
        return checks[0].sentence
    judged = [check for check in checks if check.name is not None]
    bad = sorted(
        (check for check in judged if check.status != "pass"),
        key=lambda check: (
            -EFFECTS.index(check.effect),
            ORDER.index(check.status),
            _margin(rule, check),
        ),
    )
    reasons = [f"{len(judged) - len(bad)} of {len(judged)} {rule.parts.many} keep the rule"]
    reasons += [check.sentence for check in bad[:NAMED]]
    reasons += [f"and {len(bad) - NAMED} more {rule.parts.many}"] if len(bad) > NAMED else []
    reasons += [check.sentence for check in checks if check.name is None]
    return "; ".join(reasons)


def _margin(rule: Rule, check: Check) -> float:
    """How far the figure is inside its limits; below 0 outside, lowest where it is worst."""
    if check.value is None:
        return 0.0
    lowest = -math.inf if rule.lowest is None else rule.lowest
    highest = math.inf if rule.highest is None else rule.highest
    return min(check.value - lowest, highest - check.value)
