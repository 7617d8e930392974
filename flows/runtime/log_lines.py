"""Our lines in any log: each is one line, and sends no control characters."""

from __future__ import annotations

import logging

from reports.visible_text import visible

log = logging.getLogger("sightline")


class VisibleMessages(logging.Filter):
    """Rewrites messages before any handler sees them: the terminal's, Prefect's, a file's."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = visible(record.getMessage()), ()
        return True


VISIBLE = VisibleMessages()


def show_control_characters() -> None:
    """Let our logger show, not send, what names and addresses hold; twice is as once."""
    log.addFilter(VISIBLE)
