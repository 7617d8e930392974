"""A policy: rules that a candidate's figures must keep, read from TOML and put in words."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from models.addresses import as_path
from models.errors import UserError, describe_refusal, find_position, printable, suggest
from models.file_kinds import suggest_option
from models.limits import MOST_IMAGES
from models.methods.registry import find_method
from tasks.gate.policy_lines import Lines
from tasks.runs.folder import digest
from tasks.schema import FIGURES, Figure, figures_of_rules
from tasks.schema.gate import Effect, Status
from tasks.schema.units import Unit

LIMITS = ("at_least", "at_most", "change_at_least", "change_at_most")
RENAMED = {
    "gap": "write exchange_gap (accuracy - accuracy_exchanged); class_gap is the audit's own, of "
    "backgrounds within and across classes"
}
NOT_KEPT: dict[str, Status] = {
    "broken": "fail",
    "undecided": "undecided",
    "not computed": "missing",
}


@dataclass(frozen=True)
class Noun:
    """What a rule judges one by one."""

    one: str
    many: str


EACH = {
    "class": Noun("class", "classes"),
    "class_group": Noun("group of classes", "groups of classes"),
}


class Rule(BaseModel):
    """A limit of one figure, or of its change against the champion. The limit itself is allowed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    figure: str
    method: str | None = None  # where there is a figure per method
    each: Literal["class", "class_group"] | None = None
    at_least: float | None = None
    at_most: float | None = None
    change_at_least: float | None = None
    change_at_most: float | None = None
    images: int = Field(20, ge=2, le=MOST_IMAGES)  # a rule is undecided on fewer
    on_undecided: Effect = "fail"
    on_missing: Effect = "fail"
    warn: bool = False  # it refuses no candidate

    @field_validator("figure")
    @classmethod
    def _is_known(cls, figure: str) -> str:
        if figure in RENAMED:
            raise ValueError(RENAMED[figure])
        allowed = figures_of_rules()
        if figure not in allowed:
            names = ", ".join(allowed)
            raise ValueError(f"unknown figure{suggest(figure, allowed)}; known are {names}")
        return figure

    @field_validator("method")
    @classmethod
    def _is_a_method(cls, method: str | None) -> str | None:
        return None if method is None else find_method(method).name

    @model_validator(mode="after")
    def _is_one_rule(self) -> Self:
        absolute = (self.at_least, self.at_most) != (None, None)
        if absolute == self.is_change:
            raise ValueError(
                "a rule has limits of the figure (at_least, at_most) or of its change against the "
                f"champion (change_at_least, change_at_most); "
                f"found {'both' if absolute else 'none'}"
            )
        if self.is_change and self.definition.kind == "pattern":
            raise ValueError(
                f"{self.figure} has no change: limit patterns.new, which is counted against the "
                "champion, by at_most"
            )
        if self.definition.by_method and self.method is None:
            raise ValueError(f"{self.figure} is a figure of each method: add method = 'grad_cam'")
        if self.method is not None and not self.definition.by_method:
            raise ValueError(f"{self.figure} is not a figure of each method: remove method")
        return self

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        unit = self.unit
        for name in LIMITS:
            limit = getattr(self, name)
            if limit is not None and not unit.least <= limit <= unit.most:
                raise ValueError(
                    f"{name} = {limit:g} is out of reach: {self.subject} is from {unit.least:g} "
                    f"to {unit.most:g}"
                )
        if self.lowest is not None and self.highest is not None and self.lowest > self.highest:
            raise ValueError(
                f"no figure is at least {self.lowest:g} and at most {self.highest:g}: "
                "exchange the limits"
            )
        return self

    @property
    def definition(self) -> Figure:
        return FIGURES[self.figure]

    @property
    def unit(self) -> Unit:
        """The unit of the limits, and of the values compared with them."""
        unit = self.definition.unit
        return unit.of_change if self.is_change else unit

    @property
    def is_change(self) -> bool:
        return (self.change_at_least, self.change_at_most) != (None, None)

    @property
    def needs_champion(self) -> bool:
        return self.is_change or self.definition.needs_champion

    @property
    def lowest(self) -> float | None:
        return self.change_at_least if self.is_change else self.at_least

    @property
    def highest(self) -> float | None:
        return self.change_at_most if self.is_change else self.at_most

    @property
    def subject(self) -> str:
        """What the limits are of: `the change of accuracy`."""
        name = self.definition.subject(self.method)
        return f"the change of {name}" if self.is_change else name

    @property
    def parts(self) -> Noun:
        """What the rule judges one by one, where it does."""
        return EACH[self.each or "class"]

    @property
    def words(self) -> str:
        """The rule as a sentence."""
        of = f" of each {self.parts.one}" if self.each else ""
        against = " against the champion" if self.needs_champion else ""
        counted = "over groups of" if self.definition.interval == "groups" else "of"
        limits = f"{self.limits}{against}"
        return f"{self.subject}{of} is {limits}, {counted} {self.images:,} images or more"

    @property
    def limits(self) -> str:
        """`at least 80% and at most 90%`, to the last digit."""
        return " and ".join(
            f"at {end} {self.unit.write(limit)}{self.unit.suffix}"
            for end, limit in (("least", self.lowest), ("most", self.highest))
            if limit is not None
        )

    @property
    def consequences(self) -> str:
        """What the figure is, and the rule's effect where it is not kept or cannot be judged."""
        effects = ", ".join(
            f"{words}: {self.effect_of(status)}" for words, status in NOT_KEPT.items()
        )
        return f"{self.definition.words}; {effects}"

    def effect_of(self, status: Status) -> Effect:
        """The effect of a status on the release."""
        effects: dict[Status, Effect] = {
            "pass": "pass",
            "skipped": "pass",
            "undecided": self.on_undecided,
            "missing": self.on_missing,
            "fail": "fail",
        }
        effect = effects[status]
        return "warn" if self.warn and effect == "fail" else effect

    def describe(self, value: float, low: float, high: float) -> str:
        """A value of the figure with its interval: `82.10% (79.00 to 85.00)`, or a count."""
        if self.definition.interval == "none":
            return self.unit.write(value)
        middle, lower, upper = (self.unit.write(number, 2) for number in (value, low, high))
        return f"{middle}{self.unit.suffix} ({lower} to {upper})"


class Rules(BaseModel):
    """A policy's file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: tuple[Rule, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Policy:
    """Rules, and where the file has them."""

    address: str
    rules: tuple[Rule, ...]
    lines: tuple[int | None, ...]  # of each rule; None where the file's layout is unusual
    digest: str

    def check_methods(self, audited: Sequence[str]) -> None:
        """Refuse rules about maps that the audit does not compute, before it runs for hours."""
        for number, rule in self._rules_that_miss():
            if rule.method not in (None, *audited):
                raise UserError(
                    f"policy {self.address}, rule {number} asks for the {rule.subject}, "
                    f"and the audit computes {', '.join(audited)}: add it to --methods"
                )

    def check_class_groups(self, has_groups: bool) -> None:
        """Refuse rules about groups of classes where the audit has none."""
        for number, rule in self._rules_that_miss():
            if rule.each == "class_group" and not has_groups:
                raise UserError(
                    f"policy {self.address}, rule {number} asks for the {rule.subject} of each "
                    "group of classes, and the audit has no groups: name them with --class-groups "
                    "FILE"
                )

    def check_patterns(self, are_sought: bool) -> None:
        """Refuse rules about patterns where the audit looks for none."""
        for number, rule in self._rules_that_miss():
            if rule.definition.kind == "pattern" and not are_sought:
                raise UserError(
                    f"policy {self.address}, rule {number} asks for {rule.subject}, and the audit "
                    "looks for no patterns: use --patterns default and --interventions default"
                )

    def _rules_that_miss(self) -> Iterator[tuple[int, Rule]]:
        """By number, the rules that a figure which is not computed breaks."""
        for number, rule in enumerate(self.rules, 1):
            if rule.effect_of("missing") == "fail":
                yield number, rule


def read_policy(address: str) -> Policy:
    """The policy in a TOML file; an error names its line."""
    path = as_path(address)
    if not path.is_file():
        raise UserError(f"policy {address} not found: give --policy FILE")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"policy {address} is not UTF-8 text: give a TOML file") from error
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers too long to read
        raise UserError(
            f"policy {address} is not TOML{find_position(error)}: "
            f"{suggest_option(text, '--policy') or 'correct it there'}"
        ) from error
    lines = Lines(text, len(values["rule"]) if isinstance(values.get("rule"), list) else 0)
    try:
        rules = Rules.model_validate(values).rule
    except ValidationError as error:
        raise UserError(_describe_error(error, address, lines)) from error
    _refuse_contradictions(rules, address, lines)
    if all(rule.warn for rule in rules):
        raise UserError(
            f"policy {address}: every rule only warns, so nothing would ever be refused: "
            "remove warn from one"
        )
    headers = tuple(lines.of(number) for number in range(len(rules)))
    return Policy(address, rules, headers, digest([rule.model_dump() for rule in rules]))


def _describe_error(error: ValidationError, address: str, lines: Lines) -> str:
    """The first problem in one line: where, what we got, and the nearest known key."""
    problems = error.errors()
    # An unknown key comes first: it is often why another one is missing.
    unknown = (problem for problem in problems if problem["type"] == "extra_forbidden")
    first = next(unknown, problems[0])
    keys = first["loc"]
    number = keys[1] if len(keys) > 1 and isinstance(keys[1], int) else None
    key = str(keys[-1]) if isinstance(keys[-1], str) else None
    line = lines.of(number, key)
    where = f"policy {address}" + (f", line {line}" if line is not None else "")
    where += "" if number is None else f", rule {number + 1}"
    if key == "rule" and number is None:
        return f"{where}: there are no rules: write each under its own [[rule]]"
    if first["type"] == "extra_forbidden":
        allowed = list(Rules.model_fields if number is None else Rule.model_fields)
        nearest = suggest(str(key), allowed)
        return f"{where}: unknown key {key!r}{nearest}; known are {', '.join(allowed)}"
    if first["type"] == "missing":
        return f"{where}: {key} is missing; known are {', '.join(figures_of_rules())}"
    found = "" if key is None else f"{key} = {printable(repr(first['input']), 80)}: "
    return f"{where}: {found}{describe_refusal(first)}"


def _refuse_contradictions(rules: tuple[Rule, ...], address: str, lines: Lines) -> None:
    """Refuse two rules that no figure can keep together."""
    for first, one in enumerate(rules):
        for second, other in enumerate(rules):
            same = (one.subject, one.each) == (other.subject, other.each)
            if not same or one.warn or other.warn or None in (one.lowest, other.highest):
                continue
            if one.lowest > other.highest:  # type: ignore[operator]
                raise UserError(
                    f"policy {address}: {_name_rule(first, lines)} asks for at least "
                    f"{one.lowest:g} of {one.subject} and {_name_rule(second, lines)} for at most "
                    f"{other.highest:g}: nothing keeps both"
                )


def _name_rule(number: int, lines: Lines) -> str:
    line = lines.of(number)
    return f"rule {number + 1}" + (f" (line {line})" if line is not None else "")
