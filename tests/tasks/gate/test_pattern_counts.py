"""Rules about patterns: counted of the candidate, and against the champion; each class alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from models.errors import UserError
from reports.junit import as_junit
from reports.markdown import gate_as_markdown
from tasks.compare.paired_images import PairedImages
from tasks.gate.decide import decide
from tasks.gate.pattern_counts import PatternEvidence
from tasks.gate.policy import Policy, read_policy
from tasks.gate.policy_rule import Rule
from tasks.gate.rules import NO_CHAMPION, NO_GROUPS, Evidence, apply_policy
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.schema import ClassGroups, FlagRule, PatternChange, PatternThen, wilson
from tasks.schema.gate import Ruling
from tests.support.patterns import confirmed_pattern, patterns

CLASSES = ("fish", "mushroom", "owl")
FLAGGING = FlagRule(method="", false_alarm=0.05, threshold=None, calibrated_on=0, sentence="")
SEA, FOREST = confirmed_pattern("P1", "fish"), confirmed_pattern("P2")
DESERT = confirmed_pattern("P3", "owl", verdict="not confirmed")


def images(groups: ClassGroups | None = None) -> PairedImages:
    table = pa.table({"row_id": ["1"], "label": ["fish"]})
    return PairedImages(table, table, (FLAGGING, FLAGGING), 1, None, groups)


def new_pattern() -> PatternChange:
    then = PatternThen(id="P2", verdict="confirmed", share=wilson(100, 400), effect=SEA.effect)
    return PatternChange(
        name="forest",
        pulls_to="mushroom",
        kind="new",
        before=None,
        now=then,
        change=None,
        sentence="",
    )


BOTH = PatternEvidence(
    patterns(SEA, FOREST, DESERT),
    (new_pattern(), new_pattern().model_copy(update={"kind": "unchanged"})),
)


def rule_on(figure: str, evidence: PatternEvidence = BOTH, **keys: Any) -> Ruling:
    """The ruling on one rule of at most 0."""
    rule = Rule.model_validate({"figure": figure, "at_most": 0, **keys})
    policy = Policy("policy.toml", (rule,), (1,), "digest")
    pair = None if evidence.since_champion is None else images()
    (ruling,) = apply_policy(policy, Evidence(images(), pair, CLASSES, evidence))
    return ruling


def test_confirmed_patterns_break_a_limit_and_are_named() -> None:
    ruling = rule_on("patterns.confirmed")
    assert (ruling.status, ruling.effect) == ("fail", "fail")
    assert ruling.rule == "patterns.confirmed is at most 0, of 20 images or more"
    assert ruling.reason == (
        "patterns.confirmed is 2 over 400 images, 'P1 background P1 (to fish)', 'P2 background P2 "
        "(to mushroom)': not at most 0"
    )
    kept = rule_on("patterns.confirmed", at_most=2)
    assert kept.status == "pass"
    assert kept.reason.endswith(": at most 2")


def test_each_class_is_judged_by_the_patterns_that_pull_to_it() -> None:
    ruling = rule_on("patterns.confirmed", each="class")
    assert [(it.name, it.value, it.status) for it in ruling.checks] == [
        ("fish", 1, "fail"),
        ("mushroom", 1, "fail"),
        ("owl", 0, "pass"),
    ]
    assert ruling.reason.startswith("1 of 3 classes keep the rule; patterns.confirmed of fish is 1")


def test_groups_of_classes_are_judged_alike() -> None:
    groups = ClassGroups(group_of={"fish": "animal", "mushroom": "plant", "owl": "animal"})
    rule = Rule(figure="patterns.confirmed", at_most=0, each="class_group")
    policy = Policy("policy.toml", (rule,), (1,), "digest")
    (ruling,) = apply_policy(policy, Evidence(images(groups), None, CLASSES, BOTH))
    assert [(it.name, it.value) for it in ruling.checks] == [("animal", 1), ("plant", 1)]
    (without,) = apply_policy(policy, Evidence(images(), None, CLASSES, BOTH))
    assert (without.status, without.reason) == ("missing", NO_GROUPS)


def test_new_patterns_are_those_that_the_champion_does_not_rest_on() -> None:
    ruling = rule_on("patterns.new")
    assert ruling.status == "fail"
    assert ruling.rule == ("patterns.new is at most 0 against the champion, of 20 images or more")
    assert ruling.reason.startswith("patterns.new is 1 over 400 images, 'P2 forest (to mushroom)'")
    assert rule_on("patterns.new", each="class").checks[0].status == "pass"
    assert rule_on("patterns.new", replace(BOTH, since_champion=())).status == "pass"


def test_without_a_champion_nothing_is_new() -> None:
    ruling = rule_on("patterns.new", replace(BOTH, since_champion=None))
    assert (ruling.status, ruling.reason) == ("skipped", NO_CHAMPION)


def test_an_audit_that_looked_for_none_misses_the_figures() -> None:
    nothing = PatternEvidence(None, ())
    for figure in ("patterns.confirmed", "patterns.new"):
        ruling = rule_on(figure, nothing)
        assert (ruling.status, ruling.effect) == ("missing", "fail")
        assert "looked for no patterns: it takes --patterns default" in ruling.reason


def test_few_images_decide_nothing() -> None:
    few = PatternEvidence(patterns(halves=(5, 5)))
    assert rule_on("patterns.confirmed", few).status == "undecided"


def test_a_change_of_a_count_is_no_rule(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text('[[rule]]\nfigure = "patterns.confirmed"\nchange_at_most = 0.0\n')
    with pytest.raises(UserError, match=r"patterns\.confirmed has no change: limit patterns\.new"):
        read_policy(str(file))
    file.write_text('[[rule]]\nfigure = "patterns.confirmed"\nat_most = 0\n')
    policy = read_policy(str(file))
    policy.check_patterns(are_sought=True)
    with pytest.raises(UserError, match=r"rule 1 asks for patterns\.confirmed, and the audit look"):
        policy.check_patterns(are_sought=False)


def test_a_finished_audit_without_patterns_is_refused_with_the_reason(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    file = tmp_path / "policy.toml"
    file.write_text('[[rule]]\nfigure = "patterns.confirmed"\nat_most = 0\n')
    run = open_run(finished_run.path)
    assert run.summary().patterns is None
    result = decide(read_policy(str(file)), run, None, "nobody")
    assert not result.passed
    assert "the audit looked for no patterns" in result.rulings[0].reason
    for text in (as_junit(result), gate_as_markdown(result)):
        assert "looked for no patterns" in text
