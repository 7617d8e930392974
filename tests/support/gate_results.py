"""Verdicts of the gate to draw: refused, let through without a champion, and hostile."""

from __future__ import annotations

from tasks.schema.gate import Effect, GateResult, Ruling, Status
from tests.support.audit_summaries import LONG, SPITEFUL
from tests.support.model_comparisons import audited_model


def ruling(number: int, status: Status, effect: Effect, words: str = "") -> Ruling:
    return Ruling(
        number=number,
        line=number * 5,
        rule=words or f"flips is at most {number}%, of 200 images or more",
        refuses=True,
        status=status,
        effect=effect,
        reason=words or "flips is 46.72% (44.00% to 49.46%) over 1,280 images: none of it is",
        checks=(),
    )


def refused() -> GateResult:
    return GateResult(
        created="2026-08-04T02:10:11+00:00",
        policy="policy.toml",
        policy_digest="9f2c",
        data="demo/benchmark",
        asked="77ab",
        images=1280,
        unanswered=0,
        unread=3,
        candidate=audited_model("models:/birds/7"),
        champion=audited_model("models:/birds/5"),
        compared="compared with champion models:/birds/5",
        rulings=(
            ruling(1, "pass", "pass"),
            ruling(2, "undecided", "warn"),
            ruling(3, "fail", "fail"),
            ruling(4, "missing", "fail"),
        ),
        passed=False,
        sentence="Refused by 2 of 4 rules, 1 with a warning.",
        promoted=False,
        promotion="Alias champion stays version 5.",
    )


def let_through() -> GateResult:
    return refused().model_copy(
        update={
            "champion": None,
            "compared": "birds has no champion yet: absolute rules decide",
            "rulings": (ruling(1, "pass", "pass"), ruling(2, "skipped", "pass")),
            "passed": True,
            "sentence": "Passed 1 of 2 rules, 1 without a champion to compare with.",
            "promoted": True,
            "promotion": "Alias champion of birds is version 7 now.",
        }
    )


def hostile_result() -> GateResult:
    return refused().model_copy(
        update={
            "policy": SPITEFUL,
            "data": LONG,
            "candidate": audited_model(SPITEFUL),
            "champion": audited_model(LONG),
            "compared": SPITEFUL,
            "rulings": (ruling(1, "fail", "fail", SPITEFUL), ruling(2, "pass", "pass", LONG)),
            "sentence": SPITEFUL,
            "promotion": LONG,
        }
    )
