"""A gate's verdict as one HTML file, and its wording."""

from __future__ import annotations

from reports.formatting import count_of
from reports.rendering import environment
from tasks.schema.gate import EFFECTS, GateResult, GateScenario, Ruling

RESULTS = {  # of a rule
    "pass": "kept",
    "fail": "broken",
    "undecided": "undecided",
    "missing": "not computed",
    "skipped": "not judged",
}


def render_gate(result: GateResult) -> str:
    """The page of a release."""
    return (
        environment()
        .get_template("gate.html")
        .render(
            g=result,
            headline=headline(result),
            rulings=worst_first(result),
            outcome=outcome,
            scenario_line=scenario_line,
        )
    )


def images_of(result: GateResult) -> str:
    """How many images were judged, and how many could not be read."""
    unread = f" ({result.unread:,} could not be read)" if result.unread else ""
    return f"{count_of(result.images, 'image')}{unread}"


def scenario_line(scenario: GateScenario) -> str:
    """Which images the rules of a scenario are of, and how many."""
    images = scenario.images
    count = "not of this audit" if images is None else count_of(images, "image")
    return f"{scenario.name}: {scenario.words} ({count})"


def headline(result: GateResult) -> str:
    """A candidate that keeps the rules may still not be promoted, if MLflow is away or another
    release was first."""
    if result.promoted:
        return "Passed."
    return "Not promoted." if result.passed else "Refused."


def worst_first(result: GateResult) -> list[Ruling]:
    """The rulings that refuse first, then those that warn, then those that pass."""
    return sorted(result.rulings, key=lambda ruling: -EFFECTS.index(ruling.effect))


def outcome(ruling: Ruling) -> str:
    """The result of a rule; a warning is marked as one."""
    result = RESULTS[ruling.status]
    return result if ruling.effect != "warn" else f"warning: {result}"
