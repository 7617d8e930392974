"""The gate: every kind of rule on figures that a loop tells, and files that others read."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import junitparser
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import binom, binomtest

from models.errors import UserError
from reports.junit import as_junit
from reports.markdown import gate_as_markdown
from tasks.compare.figures import FigureQuery, FigureValue, compute_figure, leeway, widen
from tasks.compare.paired_images import PairedImages, read_alone, read_pair
from tasks.compare.two_models import compare_models
from tasks.gate.policy import Policy
from tasks.gate.policy_rule import Rule
from tasks.gate.rules import (
    NAMED,
    NO_CHAMPION,
    NO_GROUPS,
    Evidence,
    apply_policy,
    check_of,
    passes,
    status_of,
    verdict_of,
)
from tasks.intervals.bootstrap import DRAWS, SEED
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.schema import (
    AuditedModel,
    ClassGroups,
    FlagRule,
    MissingFigure,
    PairedFigure,
    figures_of_images,
    wilson,
)
from tasks.schema.gate import Effect, GateResult, Status
from tests.support.recount import image_values

CLASSES = ("bird", "boat", "car")
IMAGES = 240
FLAGGING = FlagRule(
    method="grad_cam", false_alarm=0.05, threshold=0.6, calibrated_on=IMAGES, sentence=""
)
COLUMNS = ("correct", "flips", "kept_label", "reliance_exchange", "reliance_removal", "lift")


def table(seed: int, right: float = 0.8) -> pd.DataFrame:
    """What one audit says of its images, at random."""
    random = np.random.default_rng(seed)
    score, null = random.random(IMAGES), random.random(IMAGES) * 0.7
    return pd.DataFrame(
        {
            "row_id": [f"{index:03d}" for index in range(IMAGES)],
            "label": [CLASSES[index % 3] for index in range(IMAGES)],
            "group": [("sea", "land")[index % 2] for index in range(IMAGES)],
            "correct": (random.random(IMAGES) < right).astype(float),
            "kept_label": random.integers(4, size=IMAGES) / 3,
            "flips": random.integers(4, size=IMAGES) / 3,
            "reliance_exchange": random.normal(0.1, 0.2, IMAGES),
            "reliance_removal": random.normal(-0.1, 0.2, IMAGES),
            "flips_own": random.integers(3, size=IMAGES) / 2,
            "reliance_own": random.normal(0.02, 0.1, IMAGES),
            "score": score,
            "null_score": null,
            "flag": np.where(score > 0.6, "rests_on_background", "rests_on_object"),
            "lift:grad_cam": random.gamma(2.0, 0.7, IMAGES),
        }
    )


def answers(before: pd.DataFrame, after: pd.DataFrame) -> PairedImages:
    tables = [pa.Table.from_pandas(side, preserve_index=False) for side in (before, after)]
    return PairedImages(
        tables[0], tables[1], (FLAGGING, FLAGGING), len(after), group_column="group"
    )


CHAMPION, CANDIDATE = table(1), table(2)
EVIDENCE = Evidence(answers(CANDIDATE, CANDIDATE), answers(CHAMPION, CANDIDATE), CLASSES)


def rule(figure: str = "accuracy", **limits: Any) -> Rule:
    method = {"method": "grad_cam"} if figure == "lift" else {}
    return Rule.model_validate({"figure": figure, **method, **limits})


def policy(*rules: Rule) -> Policy:
    return Policy("policy.toml", rules, tuple(range(1, len(rules) + 1)), "0123456789abcdef")


def values(side: pd.DataFrame, figure: str) -> np.ndarray:
    """By image, as its definition says."""
    rows = side.rename(columns={"lift:grad_cam": "lift"}).assign(area=0.2)
    return np.asarray(image_values(rows, figure, FLAGGING.threshold), float)


def found(figure: str, *, change: bool = False, label: str | None = None) -> FigureValue:
    given = EVIDENCE.pair if change else EVIDENCE.candidate
    assert given is not None
    return widened(given, figure, change=change, label=label)


def widened(
    images: PairedImages, figure: str, *, change: bool = False, label: str | None = None
) -> FigureValue:
    """As a rule finds it."""
    method = "grad_cam" if figure == "lift" else None
    query = FigureQuery(figure, method, label, change)
    value = compute_figure(images, query)
    assert isinstance(value, FigureValue)
    return widen(value, query)


FIGURES = figures_of_images()
SHARES = [name for name, figure in FIGURES.items() if figure.interval == "Wilson"]
MEANS = [name for name in FIGURES if name != "worst_group"]


@pytest.mark.parametrize("label", [None, "boat"])
@pytest.mark.parametrize("figure", MEANS)
def test_figures_are_means_of_what_images_say(figure: str, label: str | None) -> None:
    own = np.array([label in (None, name) for name in CANDIDATE["label"]])
    before, after = (values(side, figure)[own] for side in (CHAMPION, CANDIDATE))
    alone, change = found(figure, label=label), found(figure, label=label, change=True)
    assert alone.value == pytest.approx(after.mean())
    assert change.value == pytest.approx(after.mean() - before.mean())
    assert (alone.of, change.of) == (own.sum(), own.sum())
    for measured in (alone, change):
        assert measured.low < measured.value < measured.high


@pytest.mark.parametrize("figure", SHARES)
def test_a_share_has_wilsons_interval(figure: str) -> None:
    total = values(CANDIDATE, figure).sum()
    measured = found(figure)
    assert measured.low == wilson(int(np.floor(total + 1e-9)), IMAGES).low
    assert measured.high == wilson(int(np.ceil(total - 1e-9)), IMAGES).high


def test_other_intervals_are_those_of_a_slow_bootstrap() -> None:
    drawn = list(np.random.default_rng(SEED).integers(IMAGES, size=(DRAWS, IMAGES)))
    gap = values(CANDIDATE, "exchange_gap")
    ends = np.quantile([gap[draw].mean() for draw in drawn], [0.025, 0.975])
    measured, least = found("exchange_gap"), leeway(IMAGES, 0.95)
    assert measured.low == pytest.approx(min(ends[0] - least / 2, measured.value - least))
    assert measured.high == pytest.approx(max(ends[1] + least / 2, measured.value + least))
    score, null = CANDIDATE["score"].to_numpy(), CANDIDATE["null_score"].to_numpy()
    excess = []
    for draw in drawn:
        threshold = np.sort(null[draw])[int(np.ceil((IMAGES + 1) * 0.95)) - 1]
        excess.append((score[draw] > threshold).mean() - (null[draw] > threshold).mean())
    ends = np.quantile(excess, [0.025, 0.975])
    measured = found("excess")
    assert measured.low == pytest.approx(min(ends[0] - least / 2, measured.value - least))
    assert measured.high == pytest.approx(max(ends[1] + least / 2, measured.value + least))


@pytest.mark.parametrize(
    ("images", "limit"), [(400, -0.02), (200, -0.05), (400, -0.05), (1000, -0.02)]
)
def test_who_lies_exactly_at_a_limit_keeps_it_once_in_forty(images: int, limit: float) -> None:
    """Few answers that were right are wrong now: draws alone would let 1 in 10 pass."""
    chance = 0.0
    for lost in range(images):
        after = np.where(np.arange(images) < lost, 0.0, 1.0)
        sides = (pd.DataFrame({"correct": side}) for side in (np.ones(images), after))
        measured = widened(paired_right(*sides), "accuracy", change=True)
        if measured.low < limit:
            break
        chance += float(binom.pmf(lost, images, -limit))
    assert chance < 0.03


def paired_right(before: pd.DataFrame, after: pd.DataFrame) -> PairedImages:
    """With nothing but what is right."""
    bare = without(CANDIDATE, *COLUMNS[1:-1], "lift:grad_cam").iloc[:1]
    sides = [
        pd.concat([bare] * len(side), ignore_index=True).assign(correct=side["correct"])
        for side in (before, after)
    ]
    return answers(*sides)


def test_the_worst_group_is_as_low_as_the_intervals_of_all_groups_say() -> None:
    measured = found("worst_group")
    shares = {name: side["correct"] for name, side in CANDIDATE.groupby("group")}
    ends = [
        binomtest(int(it.sum()), len(it)).proportion_ci(0.975, method="exact")
        for it in shares.values()
    ]
    lowest = min(shares, key=lambda name: float(shares[name].mean()))
    assert measured.value == shares[lowest].mean()
    assert measured.low == pytest.approx(min(end.low for end in ends))
    assert measured.high == pytest.approx(min(end.high for end in ends))
    assert measured.note == f"{lowest}, the lowest of 2 values of the column group"
    change = found("worst_group", change=True)
    before = min(side["correct"].mean() for _, side in CHAMPION.groupby("group"))
    assert change.value == pytest.approx(measured.value - before)


def decides(checked: Rule, evidence: Evidence = EVIDENCE) -> Status:
    (ruling,) = apply_policy(policy(checked), evidence)
    return ruling.status


@pytest.mark.parametrize("change", [False, True], ids=["absolute", "change"])
@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_passes_fails_or_is_undecided_by_its_interval(
    figure: str, change: bool
) -> None:
    measured = found(figure, change=change)
    at_least, at_most = (f"{'change_' * change}at_{end}" for end in ("least", "most"))
    assert decides(rule(figure, **{at_least: measured.low})) == "pass"  # the limit is allowed
    assert decides(rule(figure, **{at_most: measured.high})) == "pass"
    assert decides(rule(figure, **{at_least: measured.low, at_most: measured.high})) == "pass"
    assert decides(rule(figure, **{at_least: measured.value})) == "undecided"
    assert decides(rule(figure, **{at_most: measured.value})) == "undecided"
    assert decides(rule(figure, **{at_least: measured.high})) == "undecided"  # so is its own edge
    assert decides(rule(figure, **{at_least: measured.high + 1e-9})) == "fail"
    assert decides(rule(figure, **{at_most: measured.low - 1e-9})) == "fail"
    assert (
        decides(rule(figure, **{at_least: measured.value, at_most: measured.high})) == "undecided"
    )


@pytest.mark.parametrize(
    ("value", "status"), [(0.5, "pass"), (0.5 - 1e-12, "fail"), (0.5 + 1e-12, "pass")]
)
def test_a_figure_without_width_is_on_one_side_and_the_limit_is_allowed(
    value: float, status: Status
) -> None:
    measured = FigureValue(value, value, value, 100)
    assert status_of(rule(at_least=0.5), measured) == status
    assert status_of(rule(at_least=0.5, at_most=0.5), FigureValue(0.5, 0.5, 0.5, 100)) == "pass"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["value", "low", "high"])
def test_what_is_no_number_is_missing_and_never_passes(bad: float, part: str) -> None:
    ends = {"value": 0.9, "low": 0.8, "high": 1.0} | {part: bad}
    measured = FigureValue(ends["value"], ends["low"], ends["high"], 100)
    check = check_of(rule(at_least=0.5), None, measured)
    assert (check.status, check.effect, check.value) == ("missing", "fail", None)
    assert check.sentence == "accuracy is not a number"


def test_two_models_that_answer_alike_are_not_known_to_be_alike_by_few_images() -> None:
    """Draws from images that all say the same know nothing of those that would not."""
    for images, status in ((30, "undecided"), (IMAGES, "pass")):
        same = answers(CANDIDATE[:images], CANDIDATE[:images])
        evidence = Evidence(same, same, CLASSES)
        assert decides(rule(change_at_least=-0.02, images=20), evidence) == status
    assert leeway(IMAGES, 0.95) < 0.02 < leeway(30, 0.95)


@pytest.mark.parametrize(
    ("checked", "words"),
    [
        (rule(at_least=0.5), "accuracy is 62.50% (50.00 to 75.00) over 64 images: all of"),
        (
            rule("exchange_gap", at_most=0.7),
            "exchange_gap is +62.50 points (+50.00 to +75.00) over 64 images: part",
        ),
        (
            rule(change_at_least=-0.015),
            "the change of accuracy is +62.50 points (+50.00 to +75.00) over 64 images: all of the "
            "interval is at least −1.5 points",
        ),
        (
            rule("lift", at_least=0.9),
            "lift of grad_cam is 0.62 (0.50 to 0.75) over 64 images: none",
        ),
    ],
)
def test_a_reason_names_figure_interval_images_and_limit(checked: Rule, words: str) -> None:
    check = check_of(checked, None, FigureValue(0.625, 0.5, 0.75, 64))
    assert check.sentence.startswith(words)


def test_a_class_of_no_image_is_no_group_of_classes() -> None:
    """Not even where its name is empty."""
    for name in ("nobody", ""):
        missing = compute_figure(EVIDENCE.candidate, FigureQuery("accuracy", label=name))
        assert isinstance(missing, MissingFigure)
        assert missing.reason == "no image has this label"
    missing = compute_figure(EVIDENCE.candidate, FigureQuery("accuracy", class_group="pets"))
    assert isinstance(missing, MissingFigure)
    assert missing.reason == "no image has a label of this group"


def test_too_few_images_decide_nothing() -> None:
    (ruling,) = apply_policy(policy(rule(at_least=0.0, images=IMAGES + 1)), EVIDENCE)
    assert (ruling.status, ruling.effect) == ("undecided", "fail")
    assert ruling.reason.endswith("too few images to decide, the rule needs 241")
    one = check_of(rule(at_least=0.0), None, FigureValue(0.0, 0.0, 0.79, 1))
    assert "over 1 image: too few images to decide, the rule needs 20" in one.sentence
    assert decides(rule(at_least=0.0, images=IMAGES)) == "pass"


def without(side: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return side.assign(**dict.fromkeys(columns, np.nan))


MISSING = {
    "accuracy": ("correct", "no image has a label"),
    "accuracy_exchanged": (
        "kept_label",
        "no image with a label was put on the background of another class",
    ),
    "exchange_gap": (
        "kept_label",
        "no image with a label was put on the background of another class",
    ),
    "worst_group": ("correct", "no image of a group has a label"),
    "flips": ("flips", "no image was put on the background of another class"),
    "reliance_exchange": (
        "reliance_exchange",
        "no image was put on the background of another class",
    ),
    "reliance_removal": ("reliance_removal", "no object was removed"),
    "lift": ("lift:grad_cam", "no map was scored against a foreground"),
}


@pytest.mark.parametrize("figure", MISSING)
def test_a_figure_that_was_not_computed_fails_and_says_why(figure: str) -> None:
    column, why = MISSING[figure]
    lacking = without(CANDIDATE, column)
    evidence = Evidence(answers(lacking, lacking), answers(CHAMPION, lacking), CLASSES)
    for checked in (rule(figure, at_least=0.0), rule(figure, change_at_least=-1.0)):
        (ruling,) = apply_policy(policy(checked), evidence)
        assert (ruling.status, ruling.effect) == ("missing", "fail")
        assert f"{checked.subject} was not computed: {why}" in ruling.reason
        assert ruling.reason.endswith(f": {FIGURES[figure].remedy}")
        assert ("in both audits" in ruling.reason) == checked.is_change
        (check,) = ruling.checks
        assert (check.value, check.low, check.high) == (None, None, None)


def test_undecided_images_have_no_flags() -> None:
    lacking = CANDIDATE.assign(flag="undecided")
    evidence = Evidence(answers(lacking, lacking), answers(CHAMPION, lacking), CLASSES)
    for figure in ("flagged", "excess"):
        for checked in (rule(figure, at_most=1.0), rule(figure, change_at_most=1.0)):
            (ruling,) = apply_policy(policy(checked), evidence)
            assert "was not computed: no image is decided" in ruling.reason


def test_audits_that_flag_by_other_rules_have_no_change_of_flags() -> None:
    assert EVIDENCE.pair is not None
    rules = (FLAGGING, FLAGGING.model_copy(update={"false_alarm": 0.1}))
    evidence = replace(EVIDENCE, pair=replace(EVIDENCE.pair, rules=rules))
    (ruling,) = apply_policy(policy(rule("excess", change_at_most=1.0)), evidence)
    assert ruling.status == "missing"
    assert "flag by different rules: grad_cam at 0.05, version 0, and grad_cam at" in ruling.reason


def test_a_method_that_the_audit_lacks_is_missing() -> None:
    checked = Rule(figure="lift", method="layer_cam", at_least=1.0)
    (ruling,) = apply_policy(policy(checked), EVIDENCE)
    assert ruling.status == "missing"


def test_no_image_at_all_is_missing() -> None:
    nothing = answers(CANDIDATE[:0], CANDIDATE[:0])
    for figure in FIGURES:
        (ruling,) = apply_policy(
            policy(rule(figure, at_most=1.0)), Evidence(nothing, nothing, CLASSES)
        )
        assert ruling.reason.endswith("no image was predicted")
    (ruling,) = apply_policy(
        policy(rule(at_most=1.0, each="class")), Evidence(nothing, nothing, CLASSES)
    )
    assert (ruling.status, ruling.effect) == ("missing", "fail")


@pytest.mark.parametrize("effect", ["pass", "warn", "fail"])
def test_the_policy_says_what_undecided_and_missing_do(effect: Effect) -> None:
    undecided = rule(at_least=found("accuracy").value, on_undecided=effect)
    missing = Rule(figure="lift", method="rise", at_least=1.0, on_missing=effect)
    for checked in (undecided, missing):
        (ruling,) = rulings = apply_policy(policy(checked), EVIDENCE)
        assert ruling.effect == effect
        assert passes(rulings) == (effect != "fail")


def test_a_warning_refuses_nobody() -> None:
    rulings = apply_policy(policy(rule(at_least=1.0, warn=True), rule(at_least=0.5)), EVIDENCE)
    assert [(it.status, it.effect) for it in rulings] == [("fail", "warn"), ("pass", "pass")]
    assert passes(rulings)
    assert verdict_of(rulings) == "Passed 1 of 2 rules, 1 with a warning."
    refused = apply_policy(policy(rule(at_least=1.0), rule(at_least=0.5)), EVIDENCE)
    assert not passes(refused)
    assert verdict_of(refused) == "Refused by 1 of 2 rules."


def test_without_a_champion_absolute_rules_decide() -> None:
    first = replace(EVIDENCE, pair=None)
    rulings = apply_policy(policy(rule(change_at_least=1.0), rule(at_least=0.5)), first)
    assert [it.status for it in rulings] == ["skipped", "pass"]
    assert rulings[0].reason == NO_CHAMPION
    assert passes(rulings)
    assert verdict_of(rulings) == "Passed 1 of 2 rules, 1 without a champion to compare with."
    nothing = apply_policy(policy(rule(change_at_least=-1.0)), first)
    assert not passes(nothing)
    assert "add absolute rules" in verdict_of(nothing)


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_is_told_by_class_too(figure: str) -> None:
    for checked in (
        rule(figure, at_least=0.0, each="class"),
        rule(figure, change_at_most=1.0, each="class"),
    ):
        (ruling,) = apply_policy(policy(checked), EVIDENCE)
        assert [check.name for check in ruling.checks] == list(CLASSES)
        measured = found(figure, change=checked.is_change, label="boat")
        check = ruling.checks[1]
        assert check.value == pytest.approx(measured.value)
        assert check.low is not None
        assert check.high is not None
        assert check.low <= measured.low  # three intervals that hold together
        assert check.high >= measured.high


def test_one_class_breaks_the_rule_and_is_named() -> None:
    worse = CANDIDATE.assign(correct=np.where(CANDIDATE["label"] == "boat", 0.0, 1.0))
    given = answers(worse, worse)
    checked = rule(at_least=0.5, each="class", images=50)
    (ruling,) = apply_policy(policy(checked), Evidence(given, None, CLASSES))
    assert (ruling.status, ruling.effect) == ("fail", "fail")
    assert ruling.reason.startswith(
        "2 of 3 classes keep the rule; accuracy of boat is 0.00% (0.00 to "
    )
    assert ruling.reason.endswith("over 80 images: none of the interval is at least 50%")


def test_classes_with_few_or_no_images_are_named_and_not_judged() -> None:
    kept = CANDIDATE[(CANDIDATE["label"] != "boat") | (CANDIDATE.index < 30)]
    given = Evidence(answers(kept, kept), None, (*CLASSES, "dog"))
    (ruling,) = apply_policy(policy(rule(at_least=0.0, each="class")), given)
    assert ruling.status == "pass"
    assert ruling.reason == (
        "2 of 2 classes keep the rule; 2 classes have fewer than 20 images and cannot be judged: "
        "'boat', 'dog'"
    )
    (ruling,) = apply_policy(policy(rule(at_least=0.0, each="class", images=200)), given)
    assert (ruling.status, ruling.effect) == ("undecided", "fail")
    assert ruling.reason == "no class has 200 images for accuracy, the largest has 80"


GROUPS = ClassGroups(group_of={"bird": "animal", "boat": "vehicle", "car": "vehicle"})
GROUPED = Evidence(
    replace(answers(CANDIDATE, CANDIDATE), class_groups=GROUPS),
    replace(answers(CHAMPION, CANDIDATE), class_groups=GROUPS),
    CLASSES,
)


@pytest.mark.parametrize("figure", MEANS)
def test_each_group_of_classes_is_judged_by_the_images_of_its_labels(figure: str) -> None:
    checked = rule(figure, change_at_most=1.0, each="class_group", images=50)
    (ruling,) = apply_policy(policy(checked), GROUPED)
    assert [check.name for check in ruling.checks] == ["animal", "vehicle"]
    for check, labels in zip(ruling.checks, (["bird"], ["boat", "car"]), strict=True):
        own = CANDIDATE["label"].isin(labels).to_numpy()
        changes = values(CANDIDATE, figure)[own] - values(CHAMPION, figure)[own]
        assert check.value == pytest.approx(changes.mean())
        assert check.of == own.sum()
        assert check.low is not None
        assert check.low < changes.mean()
    assert ruling.reason == "2 of 2 groups of classes keep the rule"
    assert " of each group of classes is at most +1" in ruling.rule


def test_small_groups_of_classes_and_none_at_all_say_so() -> None:
    limits = rule(at_least=0.0, each="class_group", images=100)
    (ruling,) = apply_policy(policy(limits), GROUPED)
    assert "1 group of classes has fewer than 100 images" in ruling.reason
    (ruling,) = apply_policy(policy(limits), EVIDENCE)
    assert (ruling.status, ruling.effect) == ("missing", "fail")
    assert ruling.reason == NO_GROUPS
    with pytest.raises(UserError, match=r"rule 1 .* has no groups: name them with --class-groups"):
        policy(limits).check_class_groups(has_groups=False)
    policy(limits).check_class_groups(has_groups=True)
    policy(rule(at_least=0.0, each="class")).check_class_groups(has_groups=False)


def test_of_many_classes_the_worst_are_named_first() -> None:
    labels = [f"species {at % 24:02}" for at in range(IMAGES)]
    right = [float(at % 24 >= 12 or at // 24 > at % 24 / 2) for at in range(IMAGES)]
    many = CANDIDATE.assign(label=labels, correct=right)
    given = Evidence(answers(many, many), None, tuple(sorted({*labels})))
    (ruling,) = apply_policy(policy(rule(at_least=0.99, each="class", images=10)), given)
    named = re.findall(r"accuracy of species (\d+) is ([\d.]+)%", ruling.reason)
    assert len(named) == NAMED
    broken = [float(value) for _, value in named]
    assert broken == sorted(broken)


def test_small_groups_are_never_the_worst() -> None:
    odd = CANDIDATE.assign(group=np.where(CANDIDATE.index < 15, "ice", CANDIDATE["group"]))
    odd.loc[:14, "correct"] = 0.0
    given = Evidence(answers(odd, odd), None, CLASSES)
    (large,) = apply_policy(policy(rule("worst_group", at_least=0.3)), given)
    (small,) = apply_policy(policy(rule("worst_group", at_least=0.3, images=10)), given)
    assert (large.status, small.status) == ("pass", "fail")
    assert "the lowest of 2 values of the column group; 1 smaller one is not judged: 'ice'" in (
        large.reason
    )
    assert "ice, the lowest of 3 values of the column group" in small.reason
    (none,) = apply_policy(policy(rule("worst_group", at_least=0.3, images=200)), given)
    assert (none.status, none.effect) == ("undecided", "fail")
    assert "too few images to decide, the rule needs 200" in none.reason


def test_a_class_whose_figure_was_not_computed_is_missing_and_not_small() -> None:
    lacking = CANDIDATE.assign(
        flips=np.where(CANDIDATE["label"] == "boat", np.nan, 0.0), kept_label=1.0
    )
    given = Evidence(answers(lacking, lacking), None, CLASSES)
    (ruling,) = apply_policy(policy(rule("flips", at_most=0.2, each="class")), given)
    assert (ruling.status, ruling.effect) == ("missing", "fail")
    assert "flips of boat was not computed: no image was put on the background of" in ruling.reason


def test_warnings_alone_let_nobody_through() -> None:
    """Without a champion the one rule that could refuse is not judged."""
    first = replace(EVIDENCE, pair=None)
    rulings = apply_policy(policy(rule(change_at_least=0.0), rule(at_least=0.1, warn=True)), first)
    assert [it.status for it in rulings] == ["skipped", "pass"]
    assert not passes(rulings)
    assert verdict_of(rulings).startswith("Refused: every rule that could refuse is about a change")


def test_figures_of_real_audits_are_those_of_their_summary_and_comparison(
    finished_run: RunFolder, other_run: RunFolder
) -> None:
    before, after = open_run(finished_run.path), open_run(other_run.path)
    summary, alone, pair = after.summary(), read_alone(after), read_pair(before, after)
    measured = widened(alone, "accuracy")
    assert (measured.value, measured.of) == (summary.accuracy.value, summary.accuracy.of)
    assert measured.low == pytest.approx(summary.accuracy.low)
    assert summary.excess is not None
    assert widened(alone, "excess").value == pytest.approx(summary.excess.value)
    paired = compare_models(before, after)
    assert {it.figure for it in paired.figures} == {*FIGURES} - {"worst_group"}
    for it in paired.figures:
        is_as_compared(pair, it)
    assert widened(pair, "worst_group", change=True).counted < 20


def is_as_compared(pair: PairedImages, it: PairedFigure) -> None:
    query = FigureQuery(it.figure, it.name, change=True)
    value = compute_figure(pair, query)
    assert isinstance(value, FigureValue)
    assert (value.low, value.high) == (it.low, it.high)
    measured = widen(value, query)
    assert measured.value == pytest.approx(it.change)
    assert measured.of == it.of
    assert measured.low <= it.low + 1e-12
    assert measured.high >= it.high - 1e-12


def audited_as(address: str) -> AuditedModel:
    return AuditedModel(run="run", created="2026-08-04T02:00:11+00:00", address=address, digest="9")


def result_of(evidence: Evidence, *rules: Rule, promoted: bool = False) -> GateResult:
    rulings = apply_policy(policy(*rules), evidence)
    return GateResult(
        created="2026-08-04T02:00:11+00:00",
        policy="policy.toml",
        policy_digest="0123456789abcdef",
        data="photos",
        asked="77",
        images=IMAGES,
        unanswered=0,
        unread=0,
        candidate=audited_as("models:/<birds>/7"),
        champion=None,
        compared="nothing | to compare",
        rulings=rulings,
        passed=passes(rulings),
        sentence=verdict_of(rulings),
        promoted=promoted,
        promotion="champion stays version 5.",
    )


def test_a_standard_reader_reads_the_verdict(tmp_path: Path) -> None:
    spiteful = CANDIDATE.assign(label=CANDIDATE["label"].replace("boat", '<b>\x1b[31m&"]]>\ufffe'))
    spiteful["correct"] = (spiteful["label"].isin(CLASSES)).astype(float)
    rules = (
        rule(at_least=0.5),
        rule(at_least=0.99),
        rule(at_least=0.99, warn=True),
        rule(change_at_least=0.0),
        rule("flips", at_least=0.5, on_undecided="warn"),
        Rule(figure="lift", method="rise", at_least=1.0),
        rule(at_least=0.5, each="class"),
    )
    result = result_of(Evidence(answers(spiteful, spiteful), None, CLASSES), *rules)
    (tmp_path / "junit.xml").write_text(as_junit(result), encoding="utf-8")
    (suite,) = junitparser.JUnitXml.fromfile(str(tmp_path / "junit.xml"))
    cases = list(suite)
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (8, 4, 0, 1)
    assert [case.name for case in cases][7:] == ["promotion"]
    for case, ruling in zip(cases[:7], result.rulings, strict=True):
        assert case.name == f"rule {ruling.number}: {ruling.rule}"
        outcome = case.result[0] if case.result else None
        failed = isinstance(outcome, junitparser.Failure)
        assert failed == (ruling.effect == "fail")
        assert isinstance(outcome, junitparser.Skipped) == (ruling.status == "skipped")
        if isinstance(outcome, junitparser.Failure) and ruling.number < 7:
            assert (outcome.message, outcome.type) == (ruling.reason, ruling.status)
    assert cases[2].system_out.startswith("warning: accuracy is ")
    assert '<b>\ufffd[31m&"]]>\ufffd' in cases[6].result[0].message


def test_the_promotion_is_a_case_of_its_own() -> None:
    for promoted in (True, False):
        result = result_of(EVIDENCE, rule(at_least=0.5), promoted=promoted)
        (suite,) = junitparser.JUnitXml.fromstring(as_junit(result).encode())
        assert [case.name for case in suite][1:] == ["promotion"]
        assert suite.failures == (not promoted)


def test_a_pull_request_sees_what_refuses_first() -> None:
    rules = (rule(at_least=0.5), rule(at_least=0.99))
    text = gate_as_markdown(result_of(EVIDENCE, *rules))
    assert text.startswith("**Refused.** Refused by 1 of 2 rules. champion stays version 5.")
    assert "models:/&#60;birds&#62;/7" in text
    assert "nothing &#124; to compare" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows] == ["| number", "| 2", "| 1"]
    assert "**broken**" in rows[1]
    assert all(row.count(" | ") == 3 for row in rows)
    assert gate_as_markdown(result_of(EVIDENCE, rules[0], promoted=True)).startswith("**Passed.**")


def test_the_result_is_plain_json() -> None:
    result = result_of(EVIDENCE, rule(at_least=0.5), rule(each="class", at_least=0.9))
    assert GateResult.model_validate_json(result.model_dump_json()) == result
    assert json.loads(result.model_dump_json())["rulings"][0]["checks"][0]["of"] == IMAGES
