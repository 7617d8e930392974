"""A series: runs of one deployment side by side, each in a folder that its time names."""

from __future__ import annotations

from datetime import UTC, datetime

from upath import UPath

from models.addresses import as_path
from models.errors import UserError
from tasks.runs.folder import RunFolder
from tasks.runs.settings import OutputSettings

BY_HAND = "by-hand"  # runs that no deployment started
MOMENT = "%Y-%m-%dT%H-%M-%SZ"  # in the order of time when sorted as text


def settle_folder(output: OutputSettings, deployment: str | None, when: datetime) -> OutputSettings:
    """The same settings with the one folder that they mean for a run of this time.

    A run of a series takes the rows that did not change from the last finished one before it.
    """
    if output.series is None:
        return output
    series = as_path(output.series) / (deployment or BY_HAND)
    run = str(series / when.astimezone(UTC).strftime(MOMENT))
    reuse = output.reuse or find_previous(series, run)
    return OutputSettings(run=run, replace=output.replace, reuse=reuse)


def find_previous(series: UPath, run: str) -> str | None:
    """The last finished run of the series before this one; None where it is the first."""
    if not series.is_dir():
        return None
    own = as_path(run).name
    earlier = (path for path in series.iterdir() if path.name < own)
    for path in sorted(earlier, key=lambda path: path.name, reverse=True):
        if _is_finished(RunFolder(path)):
            return str(path)
    return None


def _is_finished(run: RunFolder) -> bool:
    try:
        return run.summary.is_file() and run.read_state().state == "finished"
    except (UserError, OSError):  # no run folder, or one that cannot be read
        return False
