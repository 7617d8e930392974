"""The output of a command: figures for people, or JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from models.addresses import as_path

if TYPE_CHECKING:
    from tasks.runs.reader import Run


def print_run(path: str, as_json: bool, *, every_class: bool = False) -> None:
    from flows.cli.output.audit import print_summary
    from tasks.runs import open_run

    run = open_run(path)
    if run.compares_methods:
        _print_methods(run, as_json)
    elif as_json:
        click.echo(run.summary().model_dump_json(indent=2))
    else:
        print_summary(run.summary(), every_class=every_class)
        click.echo(f"report:  {run.folder.report}")


def print_pair(folder: str, as_json: bool) -> None:
    from flows.cli.output.comparison import print_models
    from tasks.schema import PairedSummary

    text = (Path(folder) / "compare.json").read_text(encoding="utf-8")
    if as_json:
        click.echo(text)
    else:
        print_models(PairedSummary.model_validate_json(text))
        click.echo(f"report:  {Path(folder) / 'compare.html'}")


def print_gate(folder: str, as_json: bool) -> None:
    from flows.cli.output.gate import print_gate
    from tasks.schema.gate import GateResult

    text = (as_path(folder) / "result.json").read_text(encoding="utf-8")
    if as_json:
        click.echo(text)
    else:
        print_gate(GateResult.model_validate_json(text), folder)


def print_demo(folder: Path, as_json: bool) -> None:
    """Print both verdicts, and the comparison between them."""
    names = ("refused/result.json", "retrained/compare.json", "released/result.json")
    if as_json:
        click.echo(json.dumps([json.loads((folder / name).read_text()) for name in names]))
        return
    click.echo("before:")
    print_gate(str(folder / "refused"), as_json)
    click.echo("retrained:")
    print_pair(str(folder / "retrained"), as_json)
    click.echo("after:")
    print_gate(str(folder / "released"), as_json)


def _print_methods(run: Run, as_json: bool) -> None:
    from flows.cli.output.methods import print_methods

    if as_json:
        click.echo(run.methods_summary().model_dump_json(indent=2))
    else:
        print_methods(run.methods_summary())
        click.echo(f"report:  {run.folder.methods_page}")
