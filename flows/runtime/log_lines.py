"""Our lines in any log: each is one line, and sends no control characters; as text or as JSON."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from models.addresses import remove_secrets
from reports.visible_text import visible

log = logging.getLogger("sightline")

# What a line of JSON says beside its words, where the code that logs it knows: log.info(…, extra=…)
FACTS = ("run", "stage", "shard", "images", "steps", "trials", "total", "seconds")
current_run: ContextVar[str | None] = ContextVar("current_run", default=None)  # being written


class VisibleMessages(logging.Filter):
    """Rewrites messages before any handler sees them: the terminal's, Prefect's, a file's."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = visible(record.getMessage()), ()
        return True


VISIBLE = VisibleMessages()


class StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes lines to stderr, as the command line set it up."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)


class JsonLines(logging.Formatter):
    """A record as one JSON object in one line, in ASCII, which every collector takes."""

    def format(self, record: logging.LogRecord) -> str:
        known = {name: getattr(record, name) for name in FACTS if hasattr(record, name)}
        facts = {"run": current_run.get(), "stage": _current_stage()} | known
        if record.exc_info:
            facts["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        when = datetime.fromtimestamp(record.created, UTC)
        return json_line(record.levelname, record.name, record.getMessage(), when, **facts)


def json_line(level: str, logger: str, message: str, when: datetime, **facts: Any) -> str:
    """One line of the log; facts without a value are left out."""
    line = {
        "time": when.isoformat(timespec="milliseconds"),
        "level": level,
        "logger": logger,
        "message": visible(remove_secrets(message)),
    }
    known = {name: value for name, value in facts.items() if value is not None}
    if "traceback" in known:
        known["traceback"] = remove_secrets(known["traceback"])
    return json.dumps(line | known, default=str)


def last_line(message: str, code: int, trace: str | None = None) -> str:
    """What a command that fails ends with: as JSON where its other lines are."""
    if not writes_json():
        return f"sightline: {message}"
    facts = {"exit_code": code, "traceback": trace}
    return json_line("ERROR", log.name, message, datetime.now(UTC), **facts)


def writes_json() -> bool:
    """Are our lines JSON objects?"""
    return any(isinstance(handler.formatter, JsonLines) for handler in log.handlers)


def show_control_characters() -> None:
    """Let our logger show, not send, what names and addresses hold; twice is as once."""
    log.addFilter(VISIBLE)


@contextmanager
def name_run_in_log(run: str) -> Iterator[None]:
    """Lines of JSON that are written inside the block name the run."""
    token = current_run.set(run)
    try:
        yield
    finally:
        current_run.reset(token)


def _current_stage() -> str | None:
    """The Prefect task that the line is written in; where Prefect is not loaded, there is none."""
    prefect = sys.modules.get("prefect.context")
    task = None if prefect is None else prefect.TaskRunContext.get()
    return None if task is None else str(task.task.name)
