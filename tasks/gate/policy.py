"""A policy: rules that a candidate's figures must keep, read from TOML and said in words."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from models.addresses import as_path
from models.errors import UserError, suggest
from models.methods.registry import find_method
from tasks.runs.folder import digest
from tasks.schema.gate import GAUGED_FIGURES, Effect, Status

HEADER = re.compile(r"\s*\[\[\s*rule\s*\]\]")
LIMITS = ("at_least", "at_most", "change_at_least", "change_at_most")
SIGNED = ("gap", "excess", "reliance_exchange", "reliance_removal")  # from -1 to 1

BAD: dict[str, Status] = {"broken": "fail", "undecided": "undecided", "not computed": "missing"}


class Rule(BaseModel):
    """A limit of one figure, or of its change against the champion. The limit itself is allowed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    figure: str
    method: str | None = None  # of lift
    each: Literal["class"] | None = None
    at_least: float | None = None
    at_most: float | None = None
    change_at_least: float | None = None
    change_at_most: float | None = None
    images: int = Field(20, ge=2)  # fewer decide nothing
    on_undecided: Effect = "fail"
    on_missing: Effect = "fail"
    warn: bool = False  # it refuses nobody

    @field_validator("figure")
    @classmethod
    def _is_known(cls, figure: str) -> str:
        if figure not in GAUGED_FIGURES:
            known = ", ".join(GAUGED_FIGURES)
            raise ValueError(f"unknown figure{suggest(figure, GAUGED_FIGURES)}; known are {known}")
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
        if (self.method is not None) != (self.figure == "lift"):
            raise ValueError("lift, and no other figure, is told of a method: method = 'grad_cam'")
        return self

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        least, most = self._range()
        for name in LIMITS:
            limit = getattr(self, name)
            if limit is not None and not least <= limit <= most:
                raise ValueError(
                    f"{name} = {limit:g} is out of reach: {self.subject} is from {least:g} "
                    f"to {most:g}"
                )
        if self.lowest is not None and self.highest is not None and self.lowest > self.highest:
            raise ValueError(
                f"no figure is at least {self.lowest:g} and at most {self.highest:g}: "
                "exchange the limits"
            )
        return self

    @property
    def is_change(self) -> bool:
        return (self.change_at_least, self.change_at_most) != (None, None)

    @property
    def lowest(self) -> float | None:
        return self.change_at_least if self.is_change else self.at_least

    @property
    def highest(self) -> float | None:
        return self.change_at_most if self.is_change else self.at_most

    @property
    def subject(self) -> str:
        """What the limits are of: `the change of accuracy`."""
        name = f"lift of {self.method}" if self.figure == "lift" else self.figure
        return f"the change of {name}" if self.is_change else name

    @property
    def words(self) -> str:
        """The rule as a sentence."""
        asked = " and ".join(
            f"at {end} {self.told(limit)}"
            for end, limit in (("least", self.lowest), ("most", self.highest))
            if limit is not None
        )
        of = " of each class" if self.each else ""
        against = " against the champion" if self.is_change else ""
        counted = "over groups of" if self.figure == "worst_group" else "of"
        return f"{self.subject}{of} is {asked}{against}, {counted} {self.images:,} images or more"

    @property
    def consequences(self) -> str:
        """What the figure is, and what a rule does that is not kept or cannot be judged."""
        told = ", ".join(f"{words}: {self.effect_of(status)}" for words, status in BAD.items())
        return f"{GAUGED_FIGURES[self.figure]}; {told}"

    def effect_of(self, status: Status) -> Effect:
        """What a status does to the release."""
        effects: dict[Status, Effect] = {
            "pass": "pass",
            "skipped": "pass",
            "undecided": self.on_undecided,
            "missing": self.on_missing,
            "fail": "fail",
        }
        effect = effects[status]
        return "warn" if self.warn and effect == "fail" else effect

    def told(self, limit: float) -> str:
        """A limit for reading, to its last digit."""
        return self._with_unit(f"{limit if self.figure == 'lift' else 100 * limit:.12g}")

    def found(self, value: float, low: float, high: float) -> str:
        """A value of the figure with its interval for reading."""
        lift = self.figure == "lift"
        shown, first, last = (
            f"{round(number if lift else 100 * number, 2) + 0.0:.2f}"
            for number in (value, low, high)
        )
        return f"{self._with_unit(shown)} ({self._signed(first)} to {self._signed(last)})"

    def _with_unit(self, number: str) -> str:
        if self.figure == "lift":
            return self._signed(number)
        signed = self.is_change or self.figure in SIGNED
        return f"{self._signed(number)}{' points' if signed else '%'}"

    def _signed(self, number: str) -> str:
        plus = "+" if float(number) > 0 and (self.is_change or self.figure in SIGNED) else ""
        return f"{plus}{number}".replace("-", "−")

    def _range(self) -> tuple[float, float]:
        if self.figure == "lift":
            return (-100.0 if self.is_change else 0.0), 100.0
        return (-1.0 if self.is_change or self.figure in SIGNED else 0.0), 1.0


class Rules(BaseModel):
    """A policy's file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: tuple[Rule, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Policy:
    """Rules, and where they stand."""

    address: str
    rules: tuple[Rule, ...]
    lines: tuple[int | None, ...]  # of each rule; None where the file is written in another way
    digest: str

    def check_methods(self, audited: Sequence[str]) -> None:
        """Refuse to ask for the lift of maps that nobody computes, before hours of others."""
        for number, rule in enumerate(self.rules):
            if rule.method not in (None, *audited) and rule.effect_of("missing") == "fail":
                raise UserError(
                    f"policy {self.address}, rule {number + 1} asks for the lift of {rule.method}, "
                    f"and the audit computes {', '.join(audited)}: add it to --methods"
                )


def read_policy(address: str) -> Policy:
    """The policy in a TOML file; a mistake is named with its line."""
    path = as_path(address)
    if not path.is_file():
        raise UserError(f"policy {address} not found: give --policy FILE")
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"policy {address} is not TOML: {error}") from error
    lines = Lines(text, len(values["rule"]) if isinstance(values.get("rule"), list) else 0)
    try:
        rules = Rules.model_validate(values).rule
    except ValidationError as error:
        raise UserError(_told(error, address, lines)) from error
    _refuse_contradictions(rules, address, lines)
    if all(rule.warn for rule in rules):
        raise UserError(
            f"policy {address}: every rule only warns, and nothing would ever be refused: "
            "take warn out of one"
        )
    places = tuple(lines.of(number) for number in range(len(rules)))
    return Policy(address, rules, places, digest([rule.model_dump() for rule in rules]))


@dataclass(frozen=True)
class Lines:
    """Where keys stand. TOML's reader does not say: so it is what the usual way of writing tells,
    `[[rule]]` and a key a line; of a file that is written in another way, nothing."""

    text: str
    rules: int

    def of(self, number: int | None, key: str | None = None) -> int | None:
        """Of a key of a rule, else of the rule's header; without a rule, of the whole file's."""
        lines = self.text.splitlines()
        starts = [place for place, line in enumerate(lines) if HEADER.match(line)]
        if number is None:
            first, last = 0, len(lines)
        elif len(starts) != self.rules:
            return None
        else:
            first, last = starts[number], [*starts, len(lines)][number + 1]
        if key is not None:
            wanted = re.compile(rf"[\s\[]*[\"']?{re.escape(key)}[\"']?\s*[\]=.]")
            found = (place for place in range(first, last) if wanted.match(lines[place]))
            return next(found, first) + 1
        return first + 1


def _told(error: ValidationError, address: str, lines: Lines) -> str:
    """The first problem in one line: where, what was found, and the nearest known key."""
    found = error.errors()
    unknown = (it for it in found if it["type"] == "extra_forbidden")  # why another is missing
    first = next(unknown, found[0])
    place = first["loc"]
    number = place[1] if len(place) > 1 and isinstance(place[1], int) else None
    key = str(place[-1]) if isinstance(place[-1], str) else None
    line = lines.of(number, key)
    where = f"policy {address}" + (f", line {line}" if line is not None else "")
    where += "" if number is None else f", rule {number + 1}"
    if key == "rule" and number is None:
        return f"{where}: rules are needed, each under its own [[rule]]"
    if first["type"] == "extra_forbidden":
        known = list(Rules.model_fields if number is None else Rule.model_fields)
        return (
            f"{where}: unknown key {key!r}{suggest(str(key), known)}; known are {', '.join(known)}"
        )
    if first["type"] == "missing":
        return f"{where}: {key} is missing; known are {', '.join(GAUGED_FIGURES)}"
    return f"{where}: {_message(first, key)}"


def _message(first: Any, key: str | None) -> str:
    message: str = first["msg"].removeprefix("Value error, ")
    return message if key is None else f"{key} = {first['input']!r}: {message}"


def _refuse_contradictions(rules: tuple[Rule, ...], address: str, lines: Lines) -> None:
    """Two rules that no figure can keep together."""
    for first, one in enumerate(rules):
        for second, other in enumerate(rules):
            same = (one.subject, one.each) == (other.subject, other.each)
            if not same or one.warn or other.warn or None in (one.lowest, other.highest):
                continue
            if one.lowest > other.highest:  # type: ignore[operator]
                raise UserError(
                    f"policy {address}: {_named(first, lines)} asks for at least {one.lowest:g} of "
                    f"{one.subject} and {_named(second, lines)} for at most {other.highest:g}: "
                    "nothing keeps both"
                )


def _named(number: int, lines: Lines) -> str:
    line = lines.of(number)
    return f"rule {number + 1}" + (f" (line {line})" if line is not None else "")
