"""The figures of a run as a table for a terminal, a pipe or a log."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from flows.cli.output.comparison import print_comparison
from flows.cli.output.lines import print_line
from flows.cli.output.tables import PlainTable, print_table
from reports.column_sections import describe_worst_group, surest_story
from reports.evidence_section import EvidenceLine, evidence_line
from reports.finding import few_other_donors, negligible_effect
from reports.formatting import chance, points_interval
from reports.group_tables import rank_by_accuracy, rank_groups, stands_out
from tasks.schema import (
    FIGURES,
    DuplicateSummary,
    Excess,
    FailureSummary,
    ForegroundSummary,
    GroupSummary,
    Interval,
    Rate,
    Summary,
)
from tasks.schema.figures import NO_LABEL
from tasks.schema.units import points

MOST = 10  # classes shown
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
    if summary.methods:
        print_table(_methods(summary))
    _print_classes(summary, every_class)
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


def _rate(rate: Rate, missing: str = "-") -> str:
    """`12.3% (11.0 to 13.7; 300 of 2,440)`, or why nothing was counted."""
    if rate.value is None or rate.low is None or rate.high is None:
        return missing
    return (
        f"{rate.value:.1%} ({100 * rate.low:.1f} to {100 * rate.high:.1f}; "
        f"{rate.count:,} of {rate.of:,})"
    )


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
        "accuracy": _rate(summary.accuracy, NO_LABEL),
        FIGURES["worst_group"].words: _worst_group(summary),
        **_flagged(summary),
        "undecided": _rate(summary.flags["undecided"], "no image was predicted"),
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
    excess = "too few images to judge" if summary.excess is None else _excess(summary.excess)
    return {
        "rests on background": _rate(summary.flagged),
        "  if backgrounds did not matter": _rate(summary.null),
        "  excess, points": excess + (NO_FINDING if negligible_effect(summary) else ""),
        "  among correct": _rate(summary.flagged_correct, without),
        "  among incorrect": _rate(summary.flagged_incorrect, without),
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


def _excess(excess: Excess) -> str:
    return f"{points(excess.value)} ({points_interval(excess)})"


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
        table.add_row(method.method, share, lift, centred, _rate(method.pointing))
    return table


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _print_classes(summary: Summary, every_class: bool) -> None:
    """The classes that stand out most; labels by accuracy where no class is judged."""
    if summary.flagged.of:
        rows, most = rank_groups(summary.by_prediction), "flagged most surely more than the null"
        names = ("predicted class", "rests on background", "null", "excess, points", "q")
        table = PlainTable(*names, "right when predicted")
    else:
        rows, most = rank_by_accuracy(summary.by_label), "of the surely lowest accuracy"
        table = PlainTable("label", "accuracy")
    shown = rows if every_class else rows[:MOST]
    for row in shown:
        table.add_row(*(_judged_cells(row) if summary.flagged.of else _labelled_cells(row)))
    if shown:
        print_table(table)
    if len(rows) > len(shown):
        command = f"sightline show {shlex.quote(summary.run)} --all-classes"
        print_line(f"classes: the {len(shown)} of {len(rows):,} {most}; all: {command}")


def _judged_cells(row: GroupSummary) -> Iterator[str]:
    """With a mark on a class that stands out significantly."""
    yield f"{'* ' if stands_out(row) else ''}{row.name}"
    yield _rate(row.flagged)
    yield "-" if row.null.value is None else f"{row.null.value:.1%}"
    yield _excess(row.excess) if row.excess else "too few"
    yield "-" if row.q is None else chance(row.q)
    yield _rate(row.accuracy, "no labels")


def _labelled_cells(row: GroupSummary) -> Iterator[str]:
    yield row.name
    yield _rate(row.accuracy)
