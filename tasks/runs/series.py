"""A series: the runs of one deployment side by side, each in a folder named after its time."""

from __future__ import annotations

from datetime import UTC, datetime

from upath import UPath

from models.addresses import as_path, is_file
from models.errors import UserError
from tasks.runs.folder import RunFolder
from tasks.runs.settings import OutputSettings
from tasks.storage.parquet import is_intact

BY_HAND = "by-hand"  # folder of the runs that no deployment started
TIME_FORMAT = "%Y-%m-%dT%H-%M-%SZ"  # sorts by time as text


def settle_folder(output: OutputSettings, deployment: str | None, when: datetime) -> OutputSettings:
    """The same settings, with the run folder that a series has for a run at this time.

    A run of a series reuses unchanged rows of the last finished run before it.
    """
    if output.series is None:
        return output
    series = as_path(output.series) / (deployment or BY_HAND)
    run = str(series / when.astimezone(UTC).strftime(TIME_FORMAT))
    reuse = output.reuse or find_previous(series, run)
    return OutputSettings(run=run, replace=output.replace, reuse=reuse)


def is_of_series(run: str) -> bool:
    """Has a run the name that a series gives to its folders?"""
    try:
        datetime.strptime(as_path(run).name, TIME_FORMAT)
    except ValueError:
        return False
    return True


def find_previous(series: UPath, run: str) -> str | None:
    """The last finished run of the series before this one; None where there is none."""
    if not series.is_dir():
        return None
    name = as_path(run).name
    earlier = (path for path in series.iterdir() if path.name < name)
    for path in sorted(earlier, key=lambda path: path.name, reverse=True):
        if _is_finished(RunFolder(path)):
            return str(path)
    return None


def _is_finished(run: RunFolder) -> bool:
    try:
        finished = is_file(run.summary) and run.read_state().state == "finished"
        return finished and is_intact(run.catalog)
    except (UserError, OSError):  # not a run folder, or one that cannot be read
        return False
