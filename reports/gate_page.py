"""A gate's verdict as one HTML file, and its words."""

from __future__ import annotations

from reports.formatting import count_of
from reports.rendering import environment
from tasks.schema.gate import EFFECTS, GateResult, Ruling

RESULTS = {  # of a rule that is judged
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
        .render(g=result, headline=headline(result), rulings=worst_first(result), outcome=outcome)
    )


def images_of(result: GateResult) -> str:
    """How many were judged, and how many could not be read."""
    unread = f" ({result.unread:,} could not be read)" if result.unread else ""
    return f"{count_of(result.images, 'image')}{unread}"


def headline(result: GateResult) -> str:
    """A candidate that keeps the rules may still not be promoted: MLflow away, or others first."""
    if result.promoted:
        return "Passed."
    return "Not promoted." if result.passed else "Refused."


def worst_first(result: GateResult) -> list[Ruling]:
    """What refuses, what warns, what is kept."""
    return sorted(result.rulings, key=lambda it: -EFFECTS.index(it.effect))


def outcome(ruling: Ruling) -> str:
    """What became of a rule; a warning says so."""
    kept = RESULTS[ruling.status]
    return kept if ruling.effect != "warn" else f"warning: {kept}"
