"""The figures of some images of a run, and their change between two runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from models.errors import NotComparable, UserError
from tasks.compare.figures import FigureQuery, FigureValue, compute_figure
from tasks.compare.paired_images import PairedImages, check_pair, pair_images, read_alone
from tasks.compare.verdicts import judge_change
from tasks.query.database import ImageDatabase, open_images
from tasks.query.filters import Filter
from tasks.runs.reader import Run
from tasks.scenarios.saved import Scenario
from tasks.schema import ENOUGH, FIGURES, Value

FIGURES_OF_SCENARIOS = ("accuracy", "flagged", "excess", "flips")


class ScenarioFigure(Value):
    """A figure of some images, or its change, with its 95% interval; null where it is missing."""

    figure: str
    words: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    images: int = 0  # it is of so many
    sentence: str = ""  # why it is missing; of a change, what it shows


class FilteredFigures(Value):
    """The figures of the images that a filter chooses."""

    images: int  # that are chosen, whether predicted or not
    now: tuple[ScenarioFigure, ...]
    before: tuple[ScenarioFigure, ...] | None = None  # of the run that it is compared with
    change: tuple[ScenarioFigure, ...] | None = None  # paired, over the images that both have


class ScenarioFigures(Value):
    """A scenario, and its figures."""

    name: str
    filter: Filter
    figures: FilteredFigures


class RunScenarios(Value):
    """The figures of a run's scenarios."""

    run: str
    all: FilteredFigures
    scenarios: tuple[ScenarioFigures, ...]


@dataclass(frozen=True, eq=False, repr=False)  # it is as large as the run
class AuditedImages:
    """What is known of each image of a run, or of two, to compute figures of any of them."""

    database: ImageDatabase
    now: PairedImages
    before: PairedImages | None = None
    both: PairedImages | str | None = None  # or why the runs are no pair

    @classmethod
    def read(cls, run: Run, before: Run | None = None) -> AuditedImages:
        return cls.of(open_images(run, before, copied=False), run, before)

    @classmethod
    def of(cls, database: ImageDatabase, run: Run, before: Run | None = None) -> AuditedImages:
        """With the table of images that is read already."""
        now = read_alone(run)
        if before is None:
            return cls(database, now)
        then = read_alone(before)
        try:
            check_pair(before, run)
        except NotComparable as error:
            return cls(database, now, then, str(error))
        return cls(database, now, then, pair_images(then, now))

    def figures(self, chosen: Filter) -> FilteredFigures:
        """Of the images that the filter chooses, by what the later run says of them."""
        row_ids = choose_rows(self.database, chosen)
        before = None if self.before is None else _figures(self.before.choose(row_ids))
        return FilteredFigures(
            images=len(row_ids),
            now=_figures(self.now.choose(row_ids)),
            before=before,
            change=None if self.both is None else _changes(self.both, row_ids),
        )

    def scenario(self, scenario: Scenario) -> ScenarioFigures:
        """Without figures, and with the reason, where the run lacks what the filter asks for."""
        try:
            figures = self.figures(scenario.filter)
        except UserError as error:
            missing = tuple(_missing(name, 0, str(error)) for name in FIGURES_OF_SCENARIOS)
            figures = FilteredFigures(images=0, now=missing)
        return ScenarioFigures(name=scenario.name, filter=scenario.filter, figures=figures)


def figures_of_scenarios(
    run: Run, scenarios: Sequence[Scenario], images: AuditedImages
) -> RunScenarios:
    """The figures of all images of a run, and those of its scenarios."""
    return RunScenarios(
        run=str(run.folder.path),
        all=images.figures(Filter()),
        scenarios=tuple(map(images.scenario, scenarios)),
    )


def choose_rows(database: ImageDatabase, chosen: Filter) -> pa.Array:
    """The row ids that a filter chooses."""
    where = database.sql_names.where(chosen)
    row_id = database.names["row_id"]
    images = database.images(f"{row_id} {where.sql}")
    found = database.arrow(f"SELECT {row_id} FROM {images} WHERE {where.sql}", where.parameters)
    return found.column(0).combine_chunks()


def _figures(images: PairedImages) -> tuple[ScenarioFigure, ...]:
    return tuple(_figure(images, FigureQuery(name)) for name in FIGURES_OF_SCENARIOS)


def _changes(both: PairedImages | str, row_ids: pa.Array) -> tuple[ScenarioFigure, ...]:
    if isinstance(both, str):
        return tuple(_missing(name, 0, both) for name in FIGURES_OF_SCENARIOS)
    images = both.choose(row_ids)
    return tuple(_figure(images, FigureQuery(it, change=True)) for it in FIGURES_OF_SCENARIOS)


def _figure(images: PairedImages, query: FigureQuery) -> ScenarioFigure:
    found = compute_figure(images, query)
    if not isinstance(found, FigureValue):
        return _missing(query.figure, 0, found.reason)
    if found.of < ENOUGH:
        few = f"too few images to judge: {found.of}, and it takes {ENOUGH}"
        return _missing(query.figure, found.of, few)
    return ScenarioFigure(
        figure=query.figure,
        words=query.definition.words,
        value=found.value,
        low=found.low,
        high=found.high,
        images=found.of,
        sentence=judge_change(query, found).sentence if query.change else "",
    )


def _missing(figure: str, images: int, reason: str) -> ScenarioFigure:
    return ScenarioFigure(
        figure=figure, words=FIGURES[figure].words, images=images, sentence=reason
    )
