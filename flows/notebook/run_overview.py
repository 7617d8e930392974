"""A run at the end of a notebook's cell: what it is, and what was found."""

from __future__ import annotations

from reports.notebook import audit_as_html, run_as_html
from tasks.runs.reader import Run

UNFINISHED = "Not finished: run the same command again, it continues."


def run_overview(run: Run) -> str:
    """As HTML; of a comparison of methods its recommendation, of an unfinished run that it is."""
    address, folder = str(run.folder.path), run.folder
    if run.compares_methods and folder.methods.is_file():
        return run_as_html(address, run.methods_summary().sentence)
    if folder.summary.is_file():
        return audit_as_html(address, run.summary())
    return run_as_html(address, UNFINISHED)
