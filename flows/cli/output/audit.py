"""The figures of a run as a table for a terminal, a pipe or a log."""

from __future__ import annotations

from collections.abc import Iterator

from flows.cli.output.cells import excess_cell, rate_cell
from flows.cli.output.class_tables import print_classes
from flows.cli.output.comparison import print_comparison
from flows.cli.output.lines import print_line
from flows.cli.output.tables import PlainTable, print_table
from reports.column_sections import describe_worst_group, surest_story
from reports.evidence_section import EvidenceLine, evidence_line
from reports.finding import few_other_donors, negligible_effect
from reports.formatting import points_interval
from reports.pattern_sentences import pattern_lines
from tasks.schema import (
    FIGURES,
    DuplicateSummary,
    FailureSummary,
    ForegroundSummary,
    Interval,
    Summary,
)
from tasks.schema.figures import NO_LABEL
from tasks.schema.units import points

EVIDENCE = {  # figures of changed backgrounds, those of the own background or class below
    "flips": FIGURES["flips"].words,
    "evidence.flips_across": "  from pictures predicted otherwise",
    "evidence.flips_within": "  from pictures predicted alike",
    "flips_own": "  their own, moved: the floor",
    "evidence.reliance_effect": "probability lost beyond the own, points",
    "evidence.accuracy_across": FIGURES["evidence.accuracy_across"].words,
    "evidence.accuracy_within": "  on backgrounds of the same class",
}
NO_FINDING = "; no finding: other backgrounds take too little to matter"


def print_summary(summary: Summary, *, every_class: bool = False) -> None:
    """Print headline figures, methods, the classes that matter most and failures to stdout."""
    print_line(f"Audit of {summary.data}")
    print_table(_headline(summary))
    story = surest_story(summary)
    if story:
        print_line(f"story:   {story.striptags()}")
    for line in pattern_lines(summary):
        print_line(line)
    if summary.methods:
        print_table(_methods(summary))
    print_classes(summary, every_class=every_class)
    if summary.moved is not None:
        print_comparison(summary.moved)
    lines = [*map(_failure, summary.failures), *filter(None, [few_other_donors(summary)])]
    if summary.duplicates.pictures:
        lines.append(_duplicates(summary.duplicates))
    for line in (*lines, f"rule:    {summary.rule.sentence}"):
        print_line(line)


def _failure(failure: FailureSummary) -> str:
    kind = f"{failure.count} x {failure.stage} ({failure.kind})"
    return f"{kind}: {failure.message}; {failure.remedy}"


def _duplicates(duplicates: DuplicateSummary) -> str:
    count = duplicates.pictures
    pictures = "1 picture" if count == 1 else f"{count:,} pictures"
    copies = f"{duplicates.rows:,} images hold {pictures} more than once"
    if not duplicates.contradictions:
        return f"{copies}, never with two labels: see duplicates.parquet"
    example = " and ".join(f"{copy.row_id} ({copy.label})" for copy in duplicates.first[0][:2])
    return f"{copies}, {duplicates.contradictions:,} with different labels, such as {example}"


def _headline(summary: Summary) -> PlainTable:
    table = PlainTable(show_header=False)
    images, cost = summary.images, summary.cost
    rows = {
        "images": f"{images.predicted:,} predicted, {images.failed:,} failed",
        "accuracy": rate_cell(summary.accuracy, NO_LABEL),
        FIGURES["worst_group"].words: _worst_group(summary),
        **_flagged(summary),
        "undecided": rate_cell(summary.flags["undecided"], "no image was predicted"),
        **dict(_evidence(summary)),
        "foreground": _foreground(summary.foreground),
        "computed now": f"{cost.computed:,} images in {cost.seconds:.1f} s"
        + (f" ({cost.images_per_second:.0f} a second)" if cost.images_per_second else "")
        + f", {cost.reused:,} reused",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _flagged(summary: Summary) -> dict[str, str]:
    """One row says why where nothing is decided."""
    if not summary.flagged.of:
        return {"rests on background": "no prediction is decided: see the rule below"}
    without = "none is decided" if summary.accuracy.of else NO_LABEL
    excess = "too few images to judge" if summary.excess is None else excess_cell(summary.excess)
    return {
        "rests on background": rate_cell(summary.flagged),
        "  if backgrounds did not matter": rate_cell(summary.null),
        "  excess, points": excess + (NO_FINDING if negligible_effect(summary) else ""),
        "  among correct": rate_cell(summary.flagged_correct, without),
        "  among incorrect": rate_cell(summary.flagged_incorrect, without),
    }


def _worst_group(summary: Summary) -> str:
    worst = summary.worst_group
    if worst is None:
        few = f"no group has {summary.smallest_group} images with a label"
        return few if summary.accuracy.of else NO_LABEL
    accuracy = worst.accuracy
    interval = f"{100 * accuracy.low:.1f} to {100 * accuracy.high:.1f}; of {accuracy.of:,}"
    name = describe_worst_group(worst).striptags()
    return f"{accuracy.value:.1%} ({interval}): {name}"


def _evidence(summary: Summary) -> Iterator[tuple[str, str]]:
    """Effects of other backgrounds; one row says why where no picture was changed."""
    if summary.evidence is None:
        yield EVIDENCE["flips"], evidence_line(summary, "flips").missing
        return
    for name, words in EVIDENCE.items():
        line = evidence_line(summary, name)
        yield words, line.missing if line.value is None else _interval(line, line.value)


def _interval(line: EvidenceLine, found: Interval) -> str:
    if line.is_difference:
        return f"{points(found.value)} ({points_interval(found)})"
    return f"{found.value:.1%} ({100 * found.low:.1f} to {100 * found.high:.1f})"


def _foreground(foreground: ForegroundSummary) -> str:
    estimates = foreground.estimates
    if estimates is None:
        return foreground.source
    return (
        f"{foreground.source}, {estimates.estimated:,} images estimated by {estimates.source}, "
        f"{estimates.unsure:,} of them too unsure"
    )


def _methods(summary: Summary) -> PlainTable:
    names = ("method", "mean share", "mean lift", "against other masks", "pointing")
    table = PlainTable(*names)
    for method in summary.methods:
        lift = _decimal(method.mean_lift)
        if method.mean_lift_low is not None:
            lift += f" ({method.mean_lift_low:.2f} to {method.mean_lift_high:.2f})"
        share = "-" if method.mean_share is None else f"{method.mean_share:.3f}"
        centred = _decimal(method.mean_centred_lift)
        table.add_row(method.method, share, lift, centred, rate_cell(method.pointing))
    return table


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
