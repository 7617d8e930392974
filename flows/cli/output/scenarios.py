"""The figures of scenarios as a table for a terminal, a pipe or a log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from rich.table import Column

from flows.cli.output.lines import print_line
from flows.cli.output.tables import PlainTable, print_table
from tasks.scenarios.figures import (
    FIGURES_OF_SCENARIOS,
    FilteredFigures,
    RunScenarios,
    ScenarioFigure,
    ScenarioFigures,
)
from tasks.scenarios.filter_words import depends_on_model, describe_filter
from tasks.schema import ENOUGH, FIGURES


def print_scenarios(found: RunScenarios) -> None:
    """All images first, then each scenario, then which images they are and what is missing."""
    figures = (FIGURES[name].words for name in FIGURES_OF_SCENARIOS)
    table = PlainTable(Column("scenario", overflow="fold"), "images", *figures)
    for title, row in _rows(found):
        table.add_row(title, f"{row.images:,}", *map(_cell, row.now))
    print_table(table)
    for it in found.scenarios:
        print_line(f"{it.name}: {describe_filter(it.filter)}{_by_the_model(it)}")
    for line in _missing(found):
        print_line(line)
    if not found.scenarios:
        print_line(f"{found.run} has no scenario yet: sightline scenario RUN NAME --filter JSON")


def _rows(found: RunScenarios) -> list[tuple[str, FilteredFigures]]:
    return [("all images", found.all), *((it.name, it.figures) for it in found.scenarios)]


def _by_the_model(scenario: ScenarioFigures) -> str:
    """Of images that are chosen by their results, the figures of those results say nothing."""
    answers = depends_on_model(scenario.filter)
    return f"; chosen by what the model says of them ({', '.join(answers)})" if answers else ""


def _cell(figure: ScenarioFigure) -> str:
    """`60.2% (57.4% to 62.8%; of 1,280)`."""
    if figure.value is None or figure.low is None or figure.high is None:
        return f"too few: {figure.images} of {ENOUGH}" if figure.images else "-"
    show = FIGURES[figure.figure].unit.show
    ends = f"{show(figure.low)} to {show(figure.high)}"
    return f"{show(figure.value)} ({ends}; of {figure.images:,})"


def _missing(found: RunScenarios) -> Iterator[str]:
    """Why figures are missing; that images are too few is in the table."""
    for name, row in _rows(found):
        reasons: dict[str, list[str]] = defaultdict(list)
        for figure in row.now:
            if figure.value is None and not figure.images:
                reasons[figure.sentence].append(figure.figure)
        for reason, figures in reasons.items():
            yield f"missing: {', '.join(figures)} of {name}: {reason}"
