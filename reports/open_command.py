"""The command that shows every image of a run, for a reader to copy into a shell."""

from __future__ import annotations

import shlex

from reports.visible_text import visible


def open_command(run: str) -> str | None:
    """`sightline open RUN`, quoted for a shell; None for an address that cannot be shown as it is:
    of what is copied, the reader has seen every character."""
    return f"sightline open {shlex.quote(run)}" if visible(run) == run else None
