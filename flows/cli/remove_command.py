"""`sightline remove`: delete one run, or those of a folder that are old and many enough."""

from __future__ import annotations

import click

from flows.cli.log_lines import log_options
from flows.cli.one_line_errors import one_line_errors
from flows.cli.output.lines import print_line
from flows.settings.environment import prepare_environment, tracking_of
from models.errors import UserError, list_names
from reports.visible_text import visible
from tasks.tracking.settings import TrackingSettings


@click.command()
@click.argument("run", metavar="RUN|FOLDER")
@click.option("--older-than", help="Of a folder of runs: only those that are older, as in 30d.")
@click.option("--keep-last", help="Of a folder of runs: keep so many of each series, as in 5.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@log_options
@one_line_errors()
def remove(run: str, older_than: str | None, keep_last: str | None, yes: bool) -> None:
    """Delete a run and all that it wrote, after asking; what is not the run's stays.

    With --older-than or --keep-last, delete those runs of a folder that both let go. What a
    champion's release stands on, what is being written, and what another run takes rows from stays.
    """
    if older_than is None and keep_last is None:
        _remove_one(run, yes)
    else:
        _thin_out(run, older_than, keep_last, yes)


def _remove_one(run: str, yes: bool) -> None:
    from flows.cli.output.runs import format_size
    from tasks.runs.inventory import entry_of, remove_run

    entry = entry_of(run)
    size = format_size(entry.size)
    question = f"Delete {entry.path} ({entry.state}, {entry.done} images, {size})?"
    if not yes and not click.confirm(visible(question)):
        print_line("nothing was deleted")
        return
    others = remove_run(run).others
    print_line(f"deleted {entry.path} ({size})")
    if others:
        print_line(f"kept what is not the run's: {list_names(others)}")


def _thin_out(folder: str, older_than: str | None, keep_last: str | None, yes: bool) -> None:
    from flows.cli.output.retention import print_kept, print_leaving
    from flows.cli.output.runs import format_size
    from tasks.retention.rule import RetentionRule, parse_duration
    from tasks.retention.thin_out import decide, remove_runs

    age = None if older_than is None else parse_duration(older_than)
    rule = RetentionRule(age, None if keep_last is None else _parse_count(keep_last))
    prepare_environment()
    decisions = decide(folder, rule, tracking_of(TrackingSettings()))
    leaving = [decision.run for decision in decisions if decision.goes]
    print_kept(decisions, folder)
    print_leaving(leaving, folder)
    if not leaving:
        return
    if not yes and not click.confirm(f"Delete {_runs(len(leaving))}?"):
        print_line("nothing was deleted")
        return
    gone = list(remove_runs(decisions))
    print_line(f"deleted {_runs(len(gone))} ({format_size(sum(it.entry.size for it in gone))})")


def _parse_count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 1_000_000):
        raise UserError(f"--keep-last {text}: a whole number from 1 to 999999 is needed")
    return int(text)


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number:,} runs"
