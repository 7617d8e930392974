"""Which runs of a folder go by their age and number, and which stay and why: no I/O here."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from models.addresses import as_path
from models.errors import UserError, printable
from tasks.model_registry.released_versions import ReleasedVersion
from tasks.runs.inventory import Entry
from tasks.runs.series import is_of_series
from tasks.runs.state import RunState

HOURS = {"h": 1, "d": 24, "w": 168}  # by unit
DURATION = re.compile(rf"(\d{{1,5}})([{''.join(HOURS)}])")  # 5 digits: within what dates can hold


@dataclass(frozen=True)
class RetentionRule:
    """A run goes only if it is older, and there are so many newer ones beside it."""

    older_than: timedelta | None
    keep_last: int | None


@dataclass(frozen=True)
class DatedRun:
    """A run in a list, what its run.json says, and when its results were written."""

    entry: Entry
    state: RunState | None  # None: its run.json is damaged
    written: datetime

    @property
    def folder(self) -> str:
        """The runs in one folder belong together: a series, or the audits of one release."""
        return str(as_path(self.entry.path).parent)

    @property
    def sources(self) -> set[str]:
        """Runs that it takes rows, donors or patterns from."""
        if self.state is None:
            return set()
        donors = self.state.settings.get("interventions", {}).get("donors")
        named = (self.state.reuse, donors if isinstance(donors, str) else None)
        return {str(as_path(address)) for address in named if address}


@dataclass(frozen=True)
class Decision:
    """What becomes of a run."""

    run: DatedRun
    reason: str | None  # why it stays; None: it goes

    @property
    def goes(self) -> bool:
        return self.reason is None


def parse_duration(text: str) -> timedelta:
    """`30d`, `8w` or `12h`."""
    found = DURATION.fullmatch(text)
    if found is None:
        raise UserError(
            f"--older-than {printable(text)}: give a whole number of at most 5 digits and a unit, "
            "as in 30d (days), 8w (weeks) or 12h (hours)"
        )
    return timedelta(hours=int(found[1]) * HOURS[found[2]])


def apply_rule(runs: Iterable[DatedRun], rule: RetentionRule, now: datetime) -> list[Decision]:
    """What becomes of each run, newest first, as far as the folders themselves say."""
    runs = sorted(runs, key=lambda run: (run.written, run.entry.path), reverse=True)
    decisions = _keep_newest_of_series(_by_age_and_number(runs, rule, now))
    return _keep_sources(decisions)


def keep_evidence(
    decisions: Iterable[Decision], released: Sequence[ReleasedVersion]
) -> list[Decision]:
    """The same, without the audits that a released version of a model stands on."""
    return [_keep_if_evidence(decision, released) for decision in decisions]


def _by_age_and_number(
    runs: Iterable[DatedRun], rule: RetentionRule, now: datetime
) -> list[Decision]:
    newer: dict[str, int] = defaultdict(int)  # finished ones, by folder
    decisions = []
    for run in runs:
        decisions.append(Decision(run, _reason(run, rule, now, newer[run.folder])))
        newer[run.folder] += run.entry.state == "finished"
    return decisions


def _reason(run: DatedRun, rule: RetentionRule, now: datetime, newer: int) -> str | None:
    if run.state is None:
        return "its run.json is damaged or of a newer Sightline: nothing shows what is its own"
    if run.entry.state == "running":
        return "it is being written"
    if rule.older_than is not None and now - run.written < rule.older_than:
        return f"it is younger than {describe_age(rule.older_than)}"
    if rule.keep_last is not None and newer < rule.keep_last:
        last = "the last" if rule.keep_last == 1 else f"one of the last {rule.keep_last}"
        return f"it is {last} of its folder"
    return None


def _keep_newest_of_series(decisions: Sequence[Decision]) -> list[Decision]:
    """The next run of a series starts from the last finished one."""
    newest: dict[str, Decision] = {}
    for decision in decisions:
        run = decision.run
        if run.entry.state == "finished" and is_of_series(run.entry.path):
            newest.setdefault(run.folder, decision)
    reason = "the next run of its series starts from it"
    return [
        replace(it, reason=reason) if it.goes and it is newest.get(it.run.folder) else it
        for it in decisions
    ]


def _keep_sources(decisions: Sequence[Decision]) -> list[Decision]:
    """What the newest run of each folder, and each that is not finished, takes rows from."""
    needed: dict[str, str] = {}
    seen: set[str] = set()
    for decision in decisions:
        run = decision.run
        is_newest = run.folder not in seen
        seen.add(run.folder)
        if not decision.goes and (is_newest or run.entry.state != "finished"):
            needed |= dict.fromkeys(run.sources, run.entry.path)
    return [_keep_if_needed(decision, needed) for decision in decisions]


def _keep_if_needed(decision: Decision, needed: dict[str, str]) -> Decision:
    other = needed.get(decision.run.entry.path)
    if other is None or not decision.goes:
        return decision
    return replace(decision, reason=f"{other} takes rows from it, or is compared with it")


def _keep_if_evidence(decision: Decision, released: Sequence[ReleasedVersion]) -> Decision:
    state = decision.run.state
    if not decision.goes or state is None:
        return decision
    reason = next(filter(None, (version.reason_to_keep(state) for version in released)), None)
    return replace(decision, reason=reason)


def describe_age(age: timedelta) -> str:
    """`12 hours`, `30 days`; a run from the future is new."""
    hours = max(0, int(age.total_seconds() // 3600))
    number, unit = (hours, "hour") if hours < 48 else (hours // 24, "day")
    return f"{number} {unit}" if number == 1 else f"{number:,} {unit}s"
