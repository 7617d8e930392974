"""result.json: the ruling of each rule of a policy on a candidate, and whether it was promoted."""

from __future__ import annotations

from typing import Literal

from tasks.schema.model_comparison import AuditedModel
from tasks.schema.tables import VERSION
from tasks.schema.values import Value

Status = Literal["pass", "fail", "undecided", "missing", "skipped"]
Effect = Literal["pass", "warn", "fail"]
EFFECTS: tuple[Effect, ...] = ("pass", "warn", "fail")  # from good to bad


class Check(Value):
    """One figure against one rule's limits."""

    name: str | None  # the class; null for all images
    status: Status
    effect: Effect
    value: float | None
    low: float | None
    high: float | None
    of: int  # images
    sentence: str


class Ruling(Value):
    """One rule's verdict."""

    number: int
    line: int | None  # of the policy file
    rule: str  # in words
    refuses: bool  # can it refuse the candidate, or only warn?
    status: Status  # of the worst check
    effect: Effect
    reason: str
    checks: tuple[Check, ...]


class GateScenario(Value):
    """Images that some rules are of."""

    name: str
    words: str  # which they are
    images: int | None  # null where the audit lacks what they are chosen by


class GateResult(Value):
    """The gate's verdict, and whether the candidate was promoted."""

    schema_version: int = VERSION
    created: str
    policy: str  # file
    policy_digest: str
    data: str
    asked: str  # digest of what was audited, and how
    images: int  # that the candidate predicted
    unanswered: int  # images for which its answer was not a number
    unread: int  # images that could not be read
    candidate: AuditedModel
    champion: AuditedModel | None
    compared: str  # with which champion, or why with none
    scenarios: tuple[GateScenario, ...] = ()  # that rules are of
    rulings: tuple[Ruling, ...]
    passed: bool  # the rules
    sentence: str
    promoted: bool
    promotion: str  # what the registry holds now, and why
