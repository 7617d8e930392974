"""A comparison of attribution methods as a table for a terminal, a pipe or a log."""

from __future__ import annotations

from rich.table import Column

from flows.cli.output.lines import print_line
from flows.cli.output.tables import PlainTable, print_table
from reports.formatting import digits
from tasks.schema import FIGURES, Interval, MethodFigures, MethodsSummary

COLUMNS = ("lift", "half", "stability", "reliance")  # beside faithfulness and cost


def print_methods(summary: MethodsSummary) -> None:
    """Print the recommendation, the figures behind it, each verdict and the rule to stdout."""
    images = f"{summary.images:,}, {summary.tested:,} of them in the sanity checks"
    head = (summary.sentence, f"data:    {summary.data}", f"images:  {images}")
    for line in head:
        print_line(line)
    if summary.methods:
        print_table(_table(summary))
    for line in (*map(_verdict, summary.methods), f"rule:    {summary.rule}"):
        print_line(line)


def _table(summary: MethodsSummary) -> PlainTable:
    """Figures and costs by method; the recommended one has a mark."""
    columns = [_column(name) for name in ("faithfulness", *COLUMNS, "times_forward")]
    longest = max(len(method.method) for method in summary.methods)
    name = Column("method", overflow="fold", min_width=min(24, longest + 2))
    table = PlainTable(name, *columns, caption="↑ higher is better, ↓ lower")
    for method in summary.methods:
        mark = "* " if method.method == summary.recommended else ""
        table.add_row(
            mark + method.method,
            _with_interval(method.figures.get("faithfulness")),
            *(_value(method.figures.get(name)) for name in COLUMNS),
            digits(method.cost.times_forward),
        )
    return table


def _column(name: str) -> Column:
    figure = FIGURES[name]
    return Column(f"{figure.words} {figure.arrow}", justify="right")


def _with_interval(figure: Interval | None) -> str:
    """`0.412 (0.384 to 0.440)`."""
    ends = "" if figure is None else f" ({digits(figure.low)} to {digits(figure.high)})"
    return _value(figure) + ends


def _value(figure: Interval | None) -> str:
    return digits(None if figure is None else figure.value)


def _verdict(method: MethodFigures) -> str:
    counts = {"not made": method.missing, "of zeros": method.flat}
    odd = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    return f"{method.method}: {method.verdict}" + (f" ({odd})" if odd else "")
