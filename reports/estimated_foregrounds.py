"""In words for page and log: what estimated the foregrounds, and how many images they decide."""

from __future__ import annotations

from markupsafe import Markup

from reports.example_sentences import isolate_name
from tasks.schema import Summary
from tasks.schema.units import percent

ESTIMATE = "estimate"  # as --foreground names the estimate by graph cuts
KNOWN = {ESTIMATE: "graph cuts", "network": "a pretrained network"}
FEW = 0.5  # of the estimates: where fewer are sure, other sources are worth a try


def lines_on_estimates(summary: Summary) -> list[str]:
    """For a log; none without an estimate."""
    lines = [describe_estimates(summary).striptags(), suggest_other_sources(summary)]
    return list(filter(None, [*lines, doubt_estimates(summary)]))


def describe_estimates(summary: Summary) -> Markup:
    """`500 images have a foreground estimated by graph cuts (estimate); 71 of them (14.2%) are sure
    enough to decide.` Empty without an estimate."""
    estimates = summary.foreground.estimates
    if estimates is None:
        return Markup()
    of, sure = estimates.estimated, estimates.sure
    if not of:
        return Markup("No image is judged by an estimate.")
    images = "image has" if of == 1 else "images have"
    words = Markup(
        "{:,} {} a foreground estimated by {}; {:,} of them ({}) {} sure enough to decide."
    )
    source, verb = _name_source(estimates.source), "is" if sure.count == 1 else "are"
    return words.format(of, images, source, sure.count, percent(sure.value), verb)


def suggest_other_sources(summary: Summary) -> str:
    """What finds more objects on photographs, where graph cuts are sure of few; else nothing."""
    estimates = summary.foreground.estimates
    if estimates is None or estimates.source != ESTIMATE:
        return ""
    if estimates.unsure <= (1 - FEW) * estimates.estimated:
        return ""
    return (
        "Graph cuts are sure of few: on photographs, --foreground network (pip install "
        "'sightline[photos]'), onnx:FILE or rembg:NAME find more objects."
    )


def doubt_estimates(summary: Summary) -> str:
    """How many flags may come from a wrong foreground; nothing where none does."""
    estimates = summary.foreground.estimates
    other = None if estimates is None else estimates.other_object
    if other is None or not other.count:
        return ""
    flags = f"{other.count:,} of {other.of:,} flags by an estimated foreground"
    return (
        f"{flags} ({percent(other.value)}) are of predictions that survive the removal of the "
        "estimated object, with maps that lie outside it: the foreground may be another object."
    )


def _name_source(source: str) -> Markup:
    name = isolate_name(source)
    return Markup("{} ({})").format(KNOWN[source], name) if source in KNOWN else name
