"""Commands on finished runs: list, show and compare them, send one to MLflow."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from flows.cli.log_lines import log_options, quiet_option
from flows.cli.one_line_errors import one_line_errors
from flows.cli.options_from_settings import json_option, settings_from_options, settings_options
from flows.cli.output import print_run
from flows.cli.output.lines import print_json, print_line
from flows.settings.compose import compose
from flows.settings.environment import prepare_environment
from flows.settings.plain_commands import DiscoverSettings, PublishSettings
from models.addresses import as_path
from reports.visible_text import visible


@click.command()
@click.argument("run")
@click.option(
    "--all-classes", is_flag=True, help="Print every class, not only the ten that matter."
)
@click.option("--scenarios", is_flag=True, help="Print the figures of the saved scenarios.")
@json_option
@one_line_errors()
def show(run: str, all_classes: bool, scenarios: bool, as_json: bool) -> None:
    """Print the figures of a finished run."""
    if scenarios:
        from flows.cli.scenario_command import show_scenarios

        show_scenarios(run, as_json)
    else:
        print_run(run, as_json, every_class=all_classes)


@click.command()
@click.argument("folder", default=".")
@json_option
@one_line_errors()
def runs(folder: str, as_json: bool) -> None:
    """List the runs under a folder, with their state and size."""
    from flows.cli.output.runs import print_runs
    from tasks.runs.inventory import find_runs

    entries = list(find_runs(folder))
    if as_json:
        print_json(json.dumps([asdict(entry) for entry in entries]))
    else:
        print_runs(entries, str(as_path(folder)))


@click.command()
@click.argument("run")
@click.argument("before")
@click.option("--out", help="Folder for compare.html, compare.md and compare.json, of a pair.")
@json_option
@one_line_errors()
def compare(run: str, before: str, out: str | None, as_json: bool) -> None:
    """Print what moved between two finished runs."""
    from flows.cli.output.comparison import print_comparison, print_models
    from flows.output_folders import check_comparison
    from tasks.compare.since_last_run import compare_runs
    from tasks.compare.two_models import are_two_models, compare_models
    from tasks.runs import open_run

    if out is not None:
        check_comparison(out)
    now, then = open_run(run), open_run(before)
    comparison = compare_runs(now, now.summary(), then)
    prints_models = not as_json and are_two_models(then, now)
    paired = None
    if out is not None or prints_models:
        paired = compare_models(then, now, comparison.patterns)
    if out is not None and paired is not None:
        from flows.compare_models import write_paired  # torch, for pictures: when the rest is done

        write_paired(then, now, paired, as_path(out))
    if as_json:
        print_json(comparison.model_dump_json())
    else:
        print_comparison(comparison)
    if paired is not None and prints_models:
        print_models(paired)


@click.command()
@click.argument("run")
@settings_options(DiscoverSettings)
@json_option
@quiet_option
@log_options
@one_line_errors()
def discover(run: str, as_json: bool, quiet: bool, **options: Any) -> None:
    """Find the backgrounds and artefacts that a finished audit's predictions rest on.

    No map is made again; the summary and the page are written again, with what is found.
    """
    prepare_environment()
    settings = compose(DiscoverSettings, None, settings_from_options(DiscoverSettings, options))
    from flows.discover import discover_patterns

    print_run(str(discover_patterns(run, settings.compute).path), as_json, quiet)


@click.command()
@click.argument("run")
@click.argument("pattern")
@click.argument("name")
@one_line_errors()
def name(run: str, pattern: str, name: str) -> None:
    """Name a pattern of a finished audit, P1 say; the next runs keep the name."""
    from flows.discover import name_pattern

    name_pattern(run, pattern, name)
    print_line(f"{pattern} of {run} is called {visible(name.strip())}")


@click.command()
@click.argument("run")
@settings_options(PublishSettings)
@log_options
@one_line_errors()
def publish(run: str, **options: Any) -> None:
    """Send a finished run to MLflow, if it is not there yet."""
    prepare_environment()
    from flows.cli.mlflow_commands import publish_later

    print_line(publish_later(run, settings_from_options(PublishSettings, options)))
