"""One rule of a policy: a limit of a figure, or of its change, and what it is in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models.errors import suggest
from models.limits import MOST_IMAGES
from models.methods.registry import find_method
from tasks.scenarios.saved import check_name
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
    scenario: str | None = None  # of its images only; the policy's file of scenarios has it
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

    @field_validator("scenario")
    @classmethod
    def _is_a_name(cls, scenario: str | None) -> str | None:
        return None if scenario is None else check_name(scenario)

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
        if self.scenario is not None and self.definition.kind == "pattern":
            raise ValueError(f"{self.figure} is of the whole audit: remove scenario")
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
    def within(self) -> str:
        """` in the scenario 'night, snow'`; empty where the rule is of all images."""
        return "" if self.scenario is None else f" in the scenario {self.scenario!r}"

    @property
    def what(self) -> tuple[str | None, ...]:
        """The same for rules whose limits are of the same figure of the same images."""
        return self.subject, self.each, self.scenario

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
        images = f"{counted} {self.images:,} images or more"
        return f"{self.subject}{of}{self.within} is {limits}, {images}"

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
