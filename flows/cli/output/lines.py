"""Lines for a terminal, a pipe or a log: they show texts of users and send no controls."""

from __future__ import annotations

import io
import json
import sys

import click

from reports.visible_text import visible


def print_line(text: str) -> None:
    """One line, whatever its length, so that grep finds it."""
    click.echo(visible(text))


def print_json(text: str) -> None:
    """JSON in ASCII, which every encoding and every terminal takes."""
    click.echo(json.dumps(json.loads(text), indent=2))


def write_every_name() -> None:
    """What the encoding of the terminal lacks is written as an escape, and is no error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
