"""The output of a command: figures for people, the headline alone, or JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from flows.cli.output.lines import print_json, print_line
from models.addresses import as_path

if TYPE_CHECKING:
    from tasks.runs.reader import Run


def print_run(path: str, as_json: bool, quiet: bool = False, *, every_class: bool = False) -> None:
    from flows.cli.output.audit import print_summary
    from reports.finding import headline
    from tasks.runs import open_run

    run = open_run(path)
    if run.compares_methods:
        _print_methods(run, as_json, quiet)
        return
    summary = run.summary()
    if as_json:
        print_json(summary.model_dump_json())
        return
    if quiet:
        print_line(headline(summary))
    else:
        print_summary(summary, every_class=every_class)
    _print_report(run.folder.report)


def print_pair(folder: str, as_json: bool, quiet: bool = False) -> None:
    from flows.cli.output.comparison import print_models
    from tasks.schema import PairedSummary

    text = (Path(folder) / "compare.json").read_text(encoding="utf-8")
    if as_json:
        print_json(text)
        return
    paired = PairedSummary.model_validate_json(text)
    if quiet:
        print_line(paired.sentence)
    else:
        print_models(paired)
    _print_report(Path(folder) / "compare.html")


def print_gate(folder: str, as_json: bool, quiet: bool = False) -> None:
    from flows.cli.output.gate import print_gate
    from tasks.schema.gate import GateResult

    text = (as_path(folder) / "result.json").read_text(encoding="utf-8")
    if as_json:
        print_json(text)
        return
    result = GateResult.model_validate_json(text)
    if quiet:
        print_line(result.sentence)
        _print_report(as_path(folder) / "release.html")
    else:
        print_gate(result, folder)


def print_demo(folder: Path, as_json: bool, quiet: bool = False) -> None:
    """Print both verdicts, and the comparison between them."""
    names = ("refused/result.json", "retrained/compare.json", "released/result.json")
    if as_json:
        print_json(json.dumps([json.loads((folder / name).read_text()) for name in names]))
        return
    print_line("before:")
    print_gate(str(folder / "refused"), as_json, quiet)
    print_line("retrained:")
    print_pair(str(folder / "retrained"), as_json, quiet)
    print_line("after:")
    print_gate(str(folder / "released"), as_json, quiet)


def _print_methods(run: Run, as_json: bool, quiet: bool) -> None:
    from flows.cli.output.methods import print_methods

    summary = run.methods_summary()
    if as_json:
        print_json(summary.model_dump_json())
        return
    if quiet:
        print_line(summary.sentence)
    else:
        print_methods(summary)
    _print_report(run.folder.methods_page)


def _print_report(page: object) -> None:
    print_line(f"report:  {page}")
