"""The figures of a run as a table for a terminal, a pipe or a log."""

from __future__ import annotations

from flows.cli.output.comparison import print_comparison
from flows.cli.output.lines import print_line
from flows.cli.output.tables import PlainTable, print_table
from reports.formatting import chance, points_interval
from reports.group_tables import rank_groups, stands_out
from tasks.schema import (
    DuplicateSummary,
    EvidenceSummary,
    Excess,
    ForegroundSummary,
    Interval,
    Rate,
    Summary,
)
from tasks.schema.units import points

WORST = 10  # classes shown


def print_summary(summary: Summary) -> None:
    """Print headline figures, methods, the worst classes and failures to stdout."""
    print_table(_headline(summary))
    if summary.methods:
        print_table(_methods(summary))
    if summary.flagged.of:
        print_table(_classes(summary))
    if summary.moved is not None:
        print_comparison(summary.moved)
    lines = [
        f"{failure.count} x {failure.stage} ({failure.kind}): {failure.message}; {failure.remedy}"
        for failure in summary.failures
    ]
    if summary.duplicates.pictures:
        lines.append(_duplicates(summary.duplicates))
    for line in (*lines, f"rule:    {summary.rule.sentence}"):
        print_line(line)


def _rate(rate: Rate) -> str:
    """`12.3% (11.0 to 13.7; 300 of 2,440)`, or a dash where nothing was counted."""
    if rate.value is None or rate.low is None or rate.high is None:
        return "-"
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
    table = PlainTable(title=f"Audit of {summary.data}", show_header=False)
    images = summary.images
    speed = summary.cost.images_per_second
    rows = {
        "images": f"{images.predicted:,} predicted, {images.failed:,} failed",
        "accuracy": _rate(summary.accuracy),
        "rests on background": _rate(summary.flagged),
        "  if backgrounds did not matter": _rate(summary.null),
        "  excess, points": _headline_excess(summary),
        "  among correct": _rate(summary.flagged_correct),
        "  among incorrect": _rate(summary.flagged_incorrect),
        "undecided": _rate(summary.flags["undecided"]),
        **({} if summary.evidence is None else _evidence(summary.evidence)),
        "foreground": _foreground(summary.foreground),
        "computed now": f"{summary.cost.computed:,} images in {summary.cost.seconds:.1f} s"
        + (f" ({speed:.0f} a second)" if speed else "")
        + f", {summary.cost.reused:,} reused",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _evidence(evidence: EvidenceSummary) -> dict[str, str]:
    """Effects of other backgrounds, beside those of the own kind or class: the floor."""
    flips, accuracy = (
        (evidence.flips_across, evidence.flips_within),
        (evidence.accuracy_across, evidence.accuracy_within),
    )
    return {
        "changed on other backgrounds": "{}, own kind {}".format(*map(_figure, flips)),
        "accuracy on other classes' backgrounds": "{}, own class {}".format(
            *map(_figure, accuracy)
        ),
    }


def _figure(figure: Interval | None) -> str:
    if figure is None:
        return "-"
    return f"{figure.value:.1%} ({100 * figure.low:.1f} to {100 * figure.high:.1f})"


def _headline_excess(summary: Summary) -> str:
    if summary.excess is None:
        return "too few images to judge" if summary.flagged.of else "-"
    return _excess(summary.excess)


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


def _classes(summary: Summary) -> PlainTable:
    """Classes that stand out significantly come first, with a mark."""
    rows = rank_groups(summary.by_prediction)[:WORST]
    left = len(summary.by_prediction) - len(rows)
    table = PlainTable(
        "predicted class",
        "rests on background",
        "null",
        "excess, points",
        "q",
        "right when predicted",
        caption=f"and {left} more classes" if left else None,
    )
    for row in rows:
        name = f"{'* ' if stands_out(row) else ''}{row.name}"
        null = "-" if row.null.value is None else f"{row.null.value:.1%}"
        excess = _excess(row.excess) if row.excess else "too few"
        q = "-" if row.q is None else chance(row.q)
        table.add_row(name, _rate(row.flagged), null, excess, q, _rate(row.accuracy))
    return table
