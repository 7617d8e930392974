"""Scenarios of a finished run: save one without a browser, delete one, print their figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flows.cli.one_line_errors import one_line_errors
from flows.cli.output.lines import print_json, print_line
from models.errors import UserError
from reports.visible_text import visible

if TYPE_CHECKING:
    from tasks.query.database import ImageDatabase
    from tasks.runs.reader import Run


@click.command()
@click.argument("run")
@click.argument("name")
@click.option("--filter", "conditions", metavar="JSON", help="The conditions of its images.")
@click.option("--delete", is_flag=True, help="Delete the scenario of this name.")
@one_line_errors()
def scenario(run: str, name: str, conditions: str | None, delete: bool) -> None:
    """Save a filter of a finished run under a name, or delete the one of this name."""
    if delete is (conditions is not None):
        raise UserError("give either --filter JSON, to save a scenario, or --delete")
    if conditions is None:
        _delete(run, name)
    else:
        _save(run, name, conditions)


def show_scenarios(run: str, as_json: bool) -> None:
    """Print the figures of all images, and those of each scenario."""
    from flows.cli.output.scenarios import print_scenarios
    from tasks.query.database import open_images
    from tasks.scenarios.figures import AuditedImages, figures_of_scenarios
    from tasks.scenarios.saved import read_scenarios

    audit = _finished_audit(run)
    saved = read_scenarios(audit.folder)
    has_lasso = any(scenario.filter.spaces for scenario in saved)
    database = open_images(audit, copied=has_lasso)
    if has_lasso:
        _add_plot(audit, database)
    found = figures_of_scenarios(audit, saved, AuditedImages.of(database, audit))
    if as_json:
        print_json(found.model_dump_json())
    else:
        print_scenarios(found)


def _add_plot(audit: Run, database: ImageDatabase) -> None:
    """What lassos are drawn in."""
    from flows.explorer.plot import RunPlot
    from tasks.query.views import Views

    RunPlot(audit, Views(database)).prepare()


def _save(run: str, name: str, conditions: str) -> None:
    from reports.formatting import count_of
    from tasks.query.database import open_images
    from tasks.query.filters import Filter
    from tasks.scenarios.figures import choose_rows
    from tasks.scenarios.filter_words import describe_filter
    from tasks.scenarios.saved import save_scenario

    audit = _finished_audit(run)
    chosen = Filter.parse(conditions)
    database = open_images(audit, copied=False)
    images = len(choose_rows(database, chosen))  # refuses columns that it has not
    saved = save_scenario(audit.folder, name, chosen)
    print_line(f"{saved.name}: {describe_filter(chosen)} ({count_of(images, 'image')})")


def _delete(run: str, name: str) -> None:
    from tasks.scenarios.saved import delete_scenario

    delete_scenario(_finished_audit(run).folder, name)
    print_line(f"deleted the scenario {visible(name.strip())} of {run}")


def _finished_audit(run: str) -> Run:
    from tasks.runs import open_run

    opened = open_run(run)
    if opened.compares_methods:
        raise UserError(f"{run} compares methods, and scenarios are of audits: name an audit")
    opened.summary()
    return opened
