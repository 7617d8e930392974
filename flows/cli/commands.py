"""The command line: a command per flow, an option per setting.

Exit codes: 0 done, 1 a release that was refused, 2 the user's error, 3 our failure or a run that
could not finish, 4 nothing to audit. Results go to stdout, everything else to stderr. Modules that
are slow to import are imported by the commands that need them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from flows.cli.bundle_command import bundle
from flows.cli.closed_output import survive_closed_output
from flows.cli.doctor_command import doctor
from flows.cli.export_command import export
from flows.cli.finished_run_commands import compare, discover, name, publish, runs, show
from flows.cli.init_command import init
from flows.cli.log_lines import log_options, quiet_option, set_up_logging
from flows.cli.one_line_errors import VisibleUsage, exit_with, one_line_errors
from flows.cli.open_command import open_run_command
from flows.cli.options_from_settings import (
    json_option,
    other_options,
    settings_from_options,
    settings_options,
)
from flows.cli.orphan_guard import guard_children
from flows.cli.output import print_demo, print_gate, print_pair, print_run
from flows.cli.output.lines import print_line, write_every_name
from flows.cli.remove_command import remove
from flows.cli.results_output import printing_to_stderr
from flows.cli.scenario_command import scenario
from flows.cli.server_commands import down, status, up
from flows.settings.command_settings import (
    AuditSettings,
    CompareMethodsSettings,
    ReleaseSettings,
    RetrainSettings,
    RunSettings,
)
from flows.settings.compose import AnySettings, compose
from flows.settings.environment import prepare_environment, tracking_of
from flows.settings.plain_commands import LogSettings
from flows.settings.release import compose_release
from models.errors import ReleaseRefused

log = logging.getLogger("sightline")

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML or YAML file of settings; options override it.",
)


@click.group(
    cls=VisibleUsage,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="sightline")
def main() -> None:
    """Where does your classifier look, and does it rest on the background?"""
    survive_closed_output()
    set_up_logging()
    write_every_name()


def run_command() -> None:
    """Run the command that was typed; an interrupt is none of the gate's exit codes."""
    try:
        code = main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort as error:
        raise KeyboardInterrupt from error
    sys.exit(code)


def flow_command(
    kind: type[AnySettings],
    compose_from: Callable[[Path | None, Mapping[str, Any]], AnySettings] | None = None,
) -> Callable[[Callable[..., None]], click.Command]:
    """Make a function a command with an option for each setting, --config and --json.

    The function gets the composed settings, the form of its output and its further options.
    """

    def decorate(command: Callable[..., None]) -> click.Command:
        @main.command()
        @settings_options(kind)
        @config_option
        @json_option
        @quiet_option
        @log_options
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


def _run_flow(flow: str, **parameters: Any) -> str:
    """Run a flow to its end; what it prints goes to stderr. Returns its folder."""
    from flows.runtime.command import run_flow

    with printing_to_stderr():
        return run_flow(flow, **parameters)


def _run_audit(flow: str, settings: RunSettings) -> str:
    """The same for a flow that fills one run folder."""
    from flows.runtime.command import run_audit

    with printing_to_stderr():
        return run_audit(flow, settings)


@flow_command(AuditSettings)
@click.option("--dry-run", is_flag=True, help="Check, estimate time and storage, write nothing.")
def audit(settings: AuditSettings, as_json: bool, quiet: bool, dry_run: bool) -> None:
    """Predict and explain every image, flag what rests on the background, report."""
    if dry_run:
        print_line(_estimate(settings))
    else:
        print_run(_run_audit("flows.audit:audit", settings), as_json, quiet)


@flow_command(RetrainSettings)
def retrain(settings: RetrainSettings, as_json: bool, quiet: bool) -> None:
    """Train a model further, audit it before and after, compare, and register the result."""
    from tasks.execution.early_checks import check_early

    check_early(settings.plan)
    from tasks.finetune.early_checks import check_training  # which imports torch

    check_training(settings.training_request)
    print_pair(_run_flow("flows.retrain:retrain", **dict(settings)), as_json, quiet)


@flow_command(ReleaseSettings, compose_release)
def release(settings: ReleaseSettings, as_json: bool, quiet: bool) -> None:
    """Audit a candidate, check it against a policy and the champion, promote it or refuse."""
    _check_release(settings)  # before what takes seconds to start
    try:
        print_gate(_run_flow("flows.release:release", **dict(settings)), as_json, quiet)
    except ReleaseRefused as refusal:
        print_gate(refusal.folder, as_json, quiet)
        exit_with(refusal.sentence, refusal.exit_code)


def _check_release(settings: ReleaseSettings) -> None:
    """Refuse a policy, or audits that are to be made or given, of which nothing would come."""
    from tasks.execution.early_checks import check_early
    from tasks.gate.policy import read_policy
    from tasks.runs.folder import RunFolder

    gate = settings.gate
    read_policy(gate.policy)
    if gate.run is None:
        check_early(settings.plan)
    if gate.champion_run is not None:
        RunFolder.at(gate.champion_run).read_state()


@flow_command(CompareMethodsSettings)
def compare_methods(settings: CompareMethodsSettings, as_json: bool, quiet: bool) -> None:
    """Measure attribution methods on a sample of the data, and recommend one."""
    folder = _run_audit("flows.compare_methods:compare_methods", settings)
    print_run(folder, as_json, quiet)


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
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Folder for the benchmark, the models, the runs and MLflow's database.",
)
@json_option
@quiet_option
@log_options
@one_line_errors()
@guard_children()
def demo(out: Path, as_json: bool, quiet: bool) -> None:
    """A classifier learns a shortcut, is refused, trained further, and let through."""
    from flows.output_folders import check_demo

    check_demo(out)
    folder = Path(_run_flow("flows.demo:demo", folder=str(out)))
    print_demo(folder, as_json, quiet)
    log.info("pages:   sightline up (Prefect's)")
    log.info("         mlflow ui --backend-store-uri sqlite:///%s", folder / "mlflow.db")


@main.command("log")
@settings_options(LogSettings)
@log_options
@one_line_errors()
def log_model(**options: Any) -> None:
    """Register a trained model in MLflow as a bundle, and print the address to audit it by."""
    prepare_environment()
    settings = compose(LogSettings, None, settings_from_options(LogSettings, options))
    from flows.cli.mlflow_commands import log_model as register

    with printing_to_stderr():
        address = register(settings)
    print_line(address)


def _estimate(settings: AuditSettings) -> str:
    prepare_environment()
    from tasks.execution.early_checks import check_early

    listing = check_early(settings.plan)
    from models.classifier.mlflow_models import fetch
    from tasks.execution.dry_run import estimate

    uri = tracking_of(settings.tracking).uri
    with printing_to_stderr(), fetch(settings.model, uri) as model:
        return estimate(settings.audit_request, model.settings, settings.compute, listing)


OF_FINISHED_RUNS = (show, runs, remove, compare, discover, name, scenario, export, publish)
for other in (*OF_FINISHED_RUNS, open_run_command, up, down, status, init, doctor, bundle):
    main.add_command(other)
