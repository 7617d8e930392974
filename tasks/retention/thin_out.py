"""Reads the runs of a folder for the rule, and deletes those that it lets go."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from models.addresses import remove_secrets
from models.errors import DamagedFile, UserError
from tasks.model_registry.released_versions import find_released
from tasks.retention.rule import DatedRun, Decision, RetentionRule, apply_rule, keep_evidence
from tasks.runs.folder import RunFolder
from tasks.runs.inventory import Entry, find_runs, remove_run
from tasks.runs.state import RunState
from tasks.tracking.settings import Tracking

log = logging.getLogger("sightline")


def decide(
    folder: str, rule: RetentionRule, tracking: Tracking, now: datetime | None = None
) -> list[Decision]:
    """What becomes of each run under a folder. Asks MLflow only where a run would go."""
    if RunFolder.at(folder).holds_run():
        raise UserError(
            f"{folder} is one run: give the folder that contains your runs, or leave out "
            "--older-than and --keep-last"
        )
    runs = [_dated(entry) for entry in find_runs(folder)]
    decisions = apply_rule(runs, rule, now or datetime.now(UTC))
    leaving = [decision.run for decision in decisions if decision.goes]
    released = [version for it in _mlflows(leaving, tracking) for version in find_released(it)]
    return keep_evidence(decisions, released)


def remove_runs(decisions: Iterable[Decision]) -> Iterator[DatedRun]:
    """Delete the runs that go; yields each that is gone. One that cannot go stays and is named."""
    for decision in decisions:
        if decision.goes:
            try:
                remove_run(decision.run.entry.path)
            except UserError as error:  # somebody writes it, or has deleted it, since it was listed
                log.warning("kept: %s", error)
            else:
                yield decision.run


def _dated(entry: Entry) -> DatedRun:
    run = RunFolder.at(entry.path)
    return DatedRun(entry, _read_state(run), _written(run))


def _read_state(run: RunFolder) -> RunState | None:
    try:
        return run.read_state()
    except DamagedFile:
        return None


def _written(run: RunFolder) -> datetime:
    """When its figures were made; of a run without any, when its run.json was written."""
    for figures in (run.summary, run.methods):
        try:
            content = json.loads(figures.read_text(encoding="utf-8"))
            return datetime.fromisoformat(content["created"]).astimezone(UTC)
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            continue  # not there, or damaged
    return datetime.fromtimestamp(run.state.stat().st_mtime, UTC)


def _mlflows(runs: Sequence[DatedRun], tracking: Tracking) -> Iterator[Tracking]:
    """Ours, with its password, which run.json does not keep, and each that one of the runs went to:
    its registry may name it."""
    if runs:
        yield tracking
    published = {run.state.mlflow.get("uri") for run in runs if run.state is not None}
    for uri in sorted(filter(None, published - {remove_secrets(tracking.uri)})):
        yield replace(tracking, uri=uri, artifacts=None, empty=None)
