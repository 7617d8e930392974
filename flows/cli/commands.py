"""The command line: a command per flow, an option per setting.

Exit codes: 0 done, 1 a release that was refused, 2 the user's error, 3 our failure or a run that
could not finish, 4 nothing to audit. Results go to stdout, everything else to stderr. Modules that
are slow to import are imported by the commands that need them.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import click
from pydantic import BaseModel

from flows.cli.closed_output import survive_closed_output
from flows.cli.one_line_errors import exit_with, one_line_errors
from flows.cli.options_from_settings import other_options, settings_from_options, settings_options
from flows.cli.orphan_guard import guard_children
from flows.cli.output import print_demo, print_gate, print_pair, print_run
from flows.settings.command_settings import (
    AuditSettings,
    CompareMethodsSettings,
    LogSettings,
    PublishSettings,
    ReleaseSettings,
    RetrainSettings,
)
from flows.settings.compose import AnySettings, compose
from flows.settings.environment import home, prepare_environment, tracking_of
from flows.settings.release import compose_release
from models.addresses import as_path
from models.errors import ReleaseRefused, list_names

log = logging.getLogger("sightline")

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML or YAML file of settings; options override it.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="sightline")
def main() -> None:
    """Where does your classifier look, and does it rest on the background?"""
    survive_closed_output()
    log.addHandler(logging.StreamHandler(sys.stderr))
    log.setLevel(logging.INFO)
    log.propagate = False
    logging.raiseExceptions = (
        False  # or Prefect's log handler would print its own errors among our lines
    )


def flow_command(
    kind: type[AnySettings],
    compose_from: Callable[[Path | None, Mapping[str, Any]], AnySettings] | None = None,
) -> Callable[[Callable[..., None]], click.Command]:
    """Make a function a command with an option for each setting, --config and --json.

    The function gets the composed settings, `as_json` and its further options.
    """

    def decorate(command: Callable[..., None]) -> click.Command:
        @main.command()
        @settings_options(kind)
        @config_option
        @json_option
        @wraps(command)
        @one_line_errors()
        @guard_children()
        def run(config: Path | None, **options: Any) -> None:
            chosen = settings_from_options(kind, options)
            settings = (
                compose_from(config, chosen) if compose_from else compose(kind, config, chosen)
            )
            _check_output(settings)
            command(settings, **other_options(kind, options))

        return run

    return decorate


def _check_output(settings: BaseModel) -> None:
    from flows.output_folders import check_output

    check_output(settings)


def run_flow(flow: str, **parameters: Any) -> str:
    """Run a flow, such as `flows.audit:audit`, to its end; returns its folder."""
    prepare_environment()  # before Prefect is imported, which reads it
    from flows.runtime.prefect_server import prefect_errors

    with prefect_errors():
        folder: str = resolve_name(flow)(**parameters)
    return folder


@flow_command(AuditSettings)
@click.option("--dry-run", is_flag=True, help="Check, estimate time and storage, write nothing.")
def audit(settings: AuditSettings, as_json: bool, dry_run: bool) -> None:
    """Predict and explain every image, flag what rests on the background, report."""
    if dry_run:
        click.echo(_estimate(settings))
    else:
        print_run(run_flow("flows.audit:audit", **dict(settings)), as_json)


@flow_command(RetrainSettings)
def retrain(settings: RetrainSettings, as_json: bool) -> None:
    """Train a model further, audit it before and after, compare, and register the result."""
    print_pair(run_flow("flows.retrain:retrain", **dict(settings)), as_json)


@flow_command(ReleaseSettings, compose_release)
def release(settings: ReleaseSettings, as_json: bool) -> None:
    """Audit a candidate, check it against a policy and the champion, promote it or refuse."""
    try:
        print_gate(run_flow("flows.release:release", **dict(settings)), as_json)
    except ReleaseRefused as refusal:
        print_gate(refusal.folder, as_json)
        exit_with(refusal.sentence, refusal.exit_code)


@flow_command(CompareMethodsSettings)
def compare_methods(settings: CompareMethodsSettings, as_json: bool) -> None:
    """Measure attribution methods on a sample of the data, and recommend one."""
    print_run(run_flow("flows.compare_methods:compare_methods", **dict(settings)), as_json)


@main.group()
def policy() -> None:
    """Check and explain the rules of a release."""


@policy.command()
@click.argument("file")
@one_line_errors()
def check(file: str) -> None:
    """Print each rule of a policy in words, or what is wrong with it."""
    from flows.cli.output.gate import print_policy
    from tasks.gate.policy import read_policy

    print_policy(read_policy(file))


@main.command()
@click.argument("run")
@json_option
@one_line_errors()
def show(run: str, as_json: bool) -> None:
    """Print the figures of a finished run."""
    print_run(run, as_json)


@main.command()
@click.argument("folder", default=".")
@json_option
@one_line_errors()
def runs(folder: str, as_json: bool) -> None:
    """List the runs under a folder, with their state and size."""
    from flows.cli.output.runs import print_runs
    from tasks.runs.inventory import find_runs

    entries = list(find_runs(folder))
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in entries], indent=2))
    else:
        print_runs(entries, str(as_path(folder)))


@main.command()
@click.argument("run")
@click.option("--yes", is_flag=True, help="Do not ask.")
@one_line_errors()
def remove(run: str, yes: bool) -> None:
    """Delete a run and all that it wrote, after asking; what is not the run's stays."""
    from flows.cli.output.runs import format_size
    from tasks.runs.inventory import entry_of, remove_run

    entry = entry_of(run)
    size = format_size(entry.size)
    question = f"Delete {entry.path} ({entry.state}, {entry.done} images, {size})?"
    if not yes and not click.confirm(question):
        click.echo("nothing was deleted")
        return
    others = remove_run(run).others
    click.echo(f"deleted {entry.path} ({size})")
    if others:
        click.echo(f"kept what is not the run's: {list_names(others)}")


@main.command()
@click.argument("run")
@click.argument("before")
@click.option("--out", help="Folder for compare.html, compare.md and compare.json, of a pair.")
@json_option
@one_line_errors()
def compare(run: str, before: str, out: str | None, as_json: bool) -> None:
    """Print what moved between two finished runs."""
    from flows.cli.output.comparison import print_comparison, print_models
    from flows.compare_models import write_paired
    from flows.output_folders import check_comparison
    from tasks.compare.since_last_run import compare_runs
    from tasks.compare.two_models import are_two_models, compare_models
    from tasks.runs import open_run

    if out is not None:
        check_comparison(out)
    now, then = open_run(run), open_run(before)
    comparison = compare_runs(now, now.summary(), then)
    prints_models = not as_json and are_two_models(then, now)
    paired = compare_models(then, now) if out is not None or prints_models else None
    if out is not None and paired is not None:
        write_paired(then, now, paired, as_path(out))
    if as_json:
        click.echo(comparison.model_dump_json(indent=2))
    else:
        print_comparison(comparison)
    if paired is not None and prints_models:
        print_models(paired)


@main.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Folder for the benchmark, the models, the runs and MLflow's database.",
)
@json_option
@one_line_errors()
@guard_children()
def demo(out: Path, as_json: bool) -> None:
    """A classifier learns a shortcut, is refused, trained further, and let through."""
    from flows.output_folders import check_demo

    check_demo(out)
    folder = Path(run_flow("flows.demo:demo", folder=str(out)))
    print_demo(folder, as_json)
    log.info("pages:   PREFECT_HOME=%s prefect server start", home() / "prefect")
    log.info("         mlflow ui --backend-store-uri sqlite:///%s", folder / "mlflow.db")


@main.command("log")
@settings_options(LogSettings)
@one_line_errors()
def log_model(**options: Any) -> None:
    """Register a trained model in MLflow as a bundle, and print the address to audit it by."""
    prepare_environment()
    settings = compose(LogSettings, None, settings_from_options(LogSettings, options))
    from flows.cli.mlflow_commands import log_model as register

    click.echo(register(settings))


@main.command()
@click.argument("run")
@settings_options(PublishSettings)
@one_line_errors()
def publish(run: str, **options: Any) -> None:
    """Send a finished run to MLflow, if it is not there yet."""
    prepare_environment()
    from flows.cli.mlflow_commands import publish_later

    click.echo(publish_later(run, settings_from_options(PublishSettings, options)))


def _estimate(settings: AuditSettings) -> str:
    prepare_environment()
    from models.classifier.mlflow_models import fetch
    from tasks.execution.dry_run import estimate

    with fetch(settings.model, tracking_of(settings.tracking).uri) as model:
        return estimate(settings.audit_request, model.settings, settings.compute)
