"""The command line: a command is an occasion, an option is a setting.

Exit codes: 0 done, 2 the user's mistake, 3 our failure or a run that could not finish,
4 nothing to audit. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import logging
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click

from flows.options import given_settings, settings_options
from flows.settings import AuditSettings, compose, home, prepare_environment
from models.mistakes import Mistake
from tasks.drive import UnfinishedRun
from tasks.listing import NothingToAudit

MISTAKE, FAILURE, NOTHING = 2, 3, 4

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


@main.command()
@settings_options(AuditSettings)
@config_option
@click.option("--dry-run", is_flag=True, help="Check, estimate time and storage, write nothing.")
@json_option
def audit(config: Path | None, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Predict and explain every image, flag what rests on the background, report."""
    with one_line_errors():
        settings = compose(AuditSettings, config, given_settings(AuditSettings, options))
        if dry_run:
            from tasks.estimate import estimate

            click.echo(
                estimate(settings.data, settings.model, settings.attribution, settings.compute)
            )
            return
        prepare_environment()
        from flows.audit import audit as run_audit

        run = run_audit(**dict(settings))
        _print_run(Path(run), as_json)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@json_option
def show(run: Path, as_json: bool) -> None:
    """Print the figures of a finished run."""
    with one_line_errors():
        _print_run(run, as_json)


@main.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Folder for the benchmark, the model and the run.",
)
@json_option
def demo(out: Path, as_json: bool) -> None:
    """Generate a benchmark with a shortcut, train a classifier on it, audit it."""
    with one_line_errors():
        prepare_environment()
        from flows.demo import demo as run_demo

        run = run_demo(str(out))
        _print_run(Path(run), as_json)
        log.info("pages:   PREFECT_HOME=%s prefect server start", home() / "prefect")
        log.info("         mlflow ui --backend-store-uri sqlite:///%s", home() / "mlflow.db")


def _print_run(path: Path, as_json: bool) -> None:
    from flows.show import print_summary
    from tasks.reader import open_run

    run = open_run(path)
    if as_json:
        click.echo(run.summary().model_dump_json(indent=2))
    else:
        print_summary(run.summary())
        click.echo(f"report:  {run.folder.report.absolute()}")


@contextmanager
def one_line_errors() -> Iterator[None]:
    """A mistake is one line and exit code 2; only our own failures show where they happened."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    except NothingToAudit as error:
        _leave(str(error), NOTHING)
    except Mistake as error:
        _leave(str(error), MISTAKE)
    except UnfinishedRun as error:
        _leave(str(error), FAILURE)
    except Exception:  # ours: the traceback is for whoever mends it
        traceback.print_exc()
        _leave("this is a failure of Sightline, not of yours", FAILURE)
    except KeyboardInterrupt:
        _leave("stopped; what was computed is kept, and the same command continues", FAILURE)


def _stop(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _leave(message: str, code: int) -> None:
    click.echo(f"sightline: {' '.join(message.split())}", err=True)
    sys.exit(code)
