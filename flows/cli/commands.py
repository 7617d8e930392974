"""The command line: a command is an occasion, an option is a setting.

Exit codes: 0 done, 1 a release that was refused, 2 the user's mistake, 3 our failure or a run that
could not finish, 4 nothing to audit. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from flows.cli import registry
from flows.cli.exit_codes import leave, one_line_errors
from flows.cli.options import given_settings, settings_options
from flows.cli.orphan_guard import nothing_left_behind
from flows.cli.output import print_gate, print_pair, print_run, print_story
from flows.cli.registry import LogSettings, PublishSettings
from flows.settings.compose import compose
from flows.settings.environment import home, prepare_environment, tracking_of
from flows.settings.sections import (
    AuditSettings,
    CompareMethodsSettings,
    ReleaseSettings,
    RetrainSettings,
)
from models.addresses import as_path

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
    log.addHandler(logging.StreamHandler(sys.stderr))
    log.setLevel(logging.INFO)
    log.propagate = False
    logging.raiseExceptions = False  # Prefect's log handler complains, without an end of line


@main.command()
@settings_options(AuditSettings)
@config_option
@click.option("--dry-run", is_flag=True, help="Check, estimate time and storage, write nothing.")
@json_option
def audit(config: Path | None, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Predict and explain every image, flag what rests on the background, report."""
    with one_line_errors(), nothing_left_behind():
        settings = compose(AuditSettings, config, given_settings(AuditSettings, options))
        prepare_environment()
        if dry_run:
            click.echo(_estimate(settings))
            return
        from flows.audit import audit as run_audit
        from flows.runtime.prefect_server import prefect_answering

        with prefect_answering():
            run = run_audit(**dict(settings))
        print_run(run, as_json)


@main.command()
@settings_options(RetrainSettings)
@config_option
@json_option
def retrain(config: Path | None, as_json: bool, **options: Any) -> None:
    """Train a model further, audit it before and after, compare, and register the result."""
    with one_line_errors(), nothing_left_behind():
        settings = compose(RetrainSettings, config, given_settings(RetrainSettings, options))
        prepare_environment()
        from flows.retrain import retrain as run_retraining
        from flows.runtime.prefect_server import prefect_answering

        with prefect_answering():
            folder = run_retraining(**dict(settings))
        print_pair(folder, as_json)


@main.command()
@settings_options(ReleaseSettings)
@config_option
@json_option
def release(config: Path | None, as_json: bool, **options: Any) -> None:
    """Audit a candidate, hold it against a policy and the champion, promote it or refuse."""
    with one_line_errors(), nothing_left_behind():
        from flows.promotion import settings_of_release

        given = given_settings(ReleaseSettings, options)
        settings = settings_of_release(config, given)
        prepare_environment()
        from flows.release import release as run_release
        from flows.runtime.prefect_server import prefect_answering
        from models.errors import ReleaseRefused

        refused = None
        with prefect_answering():
            try:
                folder = run_release(**dict(settings))
            except ReleaseRefused as error:
                refused, folder = error, error.folder
        print_gate(folder, as_json)
        if refused is not None:
            leave(refused.sentence, refused.exit_code)


@main.group()
def policy() -> None:
    """Check and explain the rules of a release."""


@policy.command()
@click.argument("file")
def check(file: str) -> None:
    """Print each rule of a policy in words, or what is wrong with it."""
    with one_line_errors():
        from flows.cli.output.gate import print_policy
        from tasks.gate.policy import read_policy

        print_policy(read_policy(file))


@main.command("compare-methods")
@settings_options(CompareMethodsSettings)
@config_option
@json_option
def compare_methods(config: Path | None, as_json: bool, **options: Any) -> None:
    """Measure attribution methods on a sample of the data, and recommend one."""
    with one_line_errors(), nothing_left_behind():
        given = given_settings(CompareMethodsSettings, options)
        settings = compose(CompareMethodsSettings, config, given)
        prepare_environment()
        from flows.compare_methods import compare_methods as run_comparison
        from flows.runtime.prefect_server import prefect_answering

        with prefect_answering():
            run = run_comparison(**dict(settings))
        print_run(run, as_json)


@main.command()
@click.argument("run")
@json_option
def show(run: str, as_json: bool) -> None:
    """Print the figures of a finished run."""
    with one_line_errors():
        print_run(run, as_json)


@main.command()
@click.argument("folder", default=".")
@json_option
def runs(folder: str, as_json: bool) -> None:
    """List the runs under a folder, with their state and size."""
    with one_line_errors():
        from flows.cli.output.audit import print_runs
        from tasks.runs.inventory import find_runs

        found = list(find_runs(folder))
        if as_json:
            click.echo(json.dumps([asdict(entry) for entry in found], indent=2))
        else:
            print_runs(found, str(as_path(folder)))


@main.command()
@click.argument("run")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(run: str, yes: bool) -> None:
    """Delete a run and all that it wrote, after asking."""
    with one_line_errors():
        from flows.cli.output.audit import format_size
        from tasks.runs.inventory import entry_of, remove_run

        entry = entry_of(run)
        size = format_size(entry.size)
        question = f"Delete {entry.path} ({entry.state}, {entry.done} images, {size})?"
        if not yes and not click.confirm(question):
            click.echo("nothing was deleted")
            return
        remove_run(run)
        click.echo(f"deleted {entry.path} ({size})")


@main.command()
@click.argument("run")
@click.argument("before")
@click.option("--out", help="Folder for compare.html, compare.md and compare.json, of a pair.")
@json_option
def compare(run: str, before: str, out: str | None, as_json: bool) -> None:
    """Print what moved between two finished runs."""
    with one_line_errors():
        from flows.cli.output.comparison import print_comparison, print_models
        from flows.compare_models import write_paired
        from tasks.compare.since_last_run import compare_runs
        from tasks.compare.two_models import are_two_models, compare_models
        from tasks.runs.reader import open_run

        now, then = open_run(run), open_run(before)
        moved = compare_runs(now, now.summary(), then)
        shown = not as_json and are_two_models(then, now)
        paired = compare_models(then, now) if out is not None or shown else None
        if out is not None and paired is not None:
            write_paired(then, now, paired, as_path(out))
        if as_json:
            click.echo(moved.model_dump_json(indent=2))
        else:
            print_comparison(moved)
        if paired is not None and shown:
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
def demo(out: Path, as_json: bool) -> None:
    """A classifier learns a shortcut, is refused, trained further, and let through."""
    with one_line_errors(), nothing_left_behind():
        prepare_environment()
        from flows.demo import demo as run_demo
        from flows.runtime.prefect_server import prefect_answering

        with prefect_answering():
            folder = Path(run_demo(str(out)))
        print_story(folder, as_json)
        log.info("pages:   PREFECT_HOME=%s prefect server start", home() / "prefect")
        log.info("         mlflow ui --backend-store-uri sqlite:///%s", folder / "mlflow.db")


@main.command("log")
@settings_options(LogSettings)
def log_model(**options: Any) -> None:
    """Register a trained model in MLflow as a bundle, and print the address to audit it by."""
    with one_line_errors():
        prepare_environment()
        settings = compose(LogSettings, None, given_settings(LogSettings, options))
        click.echo(registry.log_model(settings))


@main.command()
@click.argument("run")
@settings_options(PublishSettings)
def publish(run: str, **options: Any) -> None:
    """Send a finished run to MLflow, if it is not there yet."""
    with one_line_errors():
        prepare_environment()
        click.echo(registry.publish_later(run, given_settings(PublishSettings, options)))


def _estimate(settings: AuditSettings) -> str:
    from models.classifier.mlflow_models import fetch
    from tasks.execution.dry_run import estimate

    with fetch(settings.model, tracking_of(settings.tracking).uri) as model:
        return estimate(settings.asked, model.settings, settings.compute)
