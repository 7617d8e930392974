"""A policy: rules that a candidate's figures must keep, read from TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.addresses import Address, as_path
from models.errors import UserError, describe_refusal, find_position, printable, suggest
from models.file_kinds import suggest_option
from tasks.gate.policy_lines import Lines
from tasks.gate.policy_rule import Rule
from tasks.gate.policy_scenarios import PolicyScenarios
from tasks.query.filters import Filter
from tasks.runs.folder import digest
from tasks.schema import figures_of_rules


class Rules(BaseModel):
    """A policy's file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: tuple[Rule, ...] = Field(min_length=1)
    scenarios: Address | None = None  # JSON file of the scenarios that rules name


@dataclass(frozen=True)
class Policy:
    """Rules, and where the file has them."""

    address: str
    rules: tuple[Rule, ...]
    lines: tuple[int | None, ...]  # of each rule; None where the file's layout is unusual
    digest: str
    scenarios: Mapping[str, Filter] = field(default_factory=dict)  # by name, those of the rules

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
        text = path.read_text(encoding="utf-8-sig")  # Windows writes a byte order mark
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
        content = Rules.model_validate(values)
    except ValidationError as error:
        raise UserError(_describe_error(error, address, lines)) from error
    rules = content.rule
    _refuse_contradictions(rules, address, lines)
    scenarios = PolicyScenarios(address, content.scenarios, lines).of(rules)
    if all(rule.warn for rule in rules):
        raise UserError(
            f"policy {address}: every rule only warns, so nothing would ever be refused: "
            "remove warn from one"
        )
    headers = tuple(lines.of(number) for number in range(len(rules)))
    return Policy(address, rules, headers, _digest(rules, scenarios), scenarios)


def _digest(rules: Sequence[Rule], scenarios: Mapping[str, Filter]) -> str:
    filters = {name: chosen.model_dump() for name, chosen in scenarios.items()}
    return digest([rule.model_dump() for rule in rules], filters)


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
            same = one.what == other.what
            if not same or one.warn or other.warn or None in (one.lowest, other.highest):
                continue
            if one.lowest > other.highest:  # type: ignore[operator]
                raise UserError(
                    f"policy {address}: {lines.name(first)} asks for at least "
                    f"{one.lowest:g} of {one.subject} and {lines.name(second)} for at most "
                    f"{other.highest:g}: nothing keeps both"
                )
