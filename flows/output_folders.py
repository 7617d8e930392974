"""What each command may write in its folder: checked before anything is started.

Files that are not ours are never overwritten: a folder must be new, empty, or identified as ours.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from flows.settings.command_settings import (
    PATTERNS,
    ReleaseSettings,
    RetrainSettings,
    RunSettings,
)
from models.addresses import as_path
from models.errors import UserError
from tasks.finetune.training_record import is_training
from tasks.runs.folder import RunFolder
from tasks.runs.start import find_state
from tasks.schema import PairedSummary
from tasks.schema.gate import GateResult
from tasks.storage.folders import check_folder
from tasks.storage.lock import LOCK
from tasks.storage.output_files import OutputFiles
from tasks.synthetic.dataset import read_settings

COMPARISON = OutputFiles("compare.json", PairedSummary, ("compare.html", "compare.md"))
RELEASE = OutputFiles("result.json", GateResult, ("junit.xml", "release.html", "release.md"))
AUDITS = {
    ReleaseSettings: ("candidate", "champion"),
    RetrainSettings: ("before", "after", PATTERNS),
}


def check_output(settings: BaseModel) -> None:
    """Refuse a folder that the command could not write, or where it would overwrite foreign files.

    Of a series, each run has a new folder.
    """
    if not isinstance(settings, RunSettings):
        return
    output = settings.output
    if output.series is not None:
        check_folder(output.series, "--series")
        return
    check_folder(output.folder, "--out")
    folder = as_path(output.folder)
    if isinstance(settings, RetrainSettings):
        refuse_foreign_training(Path(output.folder))
    if isinstance(settings, ReleaseSettings):
        RELEASE.check(folder)
    for name in AUDITS.get(type(settings), ("",)):
        find_state(RunFolder(folder / name if name else folder))
    if type(settings) in AUDITS:
        COMPARISON.check(folder)


def check_comparison(folder: str) -> None:
    """Refuse a folder for a comparison, as `check_output` does."""
    check_folder(folder, "--out")
    COMPARISON.check(as_path(folder))


def refuse_foreign_training(folder: Path) -> None:
    """Refuse a folder with files of others, which the training would overwrite."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if names - {LOCK, PATTERNS} and not is_training(folder / "training"):
        raise UserError(
            f"{folder} is not empty and holds no training: give an empty or a new --out"
        )


def check_demo(folder: Path) -> None:
    """Refuse a folder that is neither empty nor an earlier demo's."""
    check_folder(str(folder), "--out")
    if folder.is_dir() and any(folder.iterdir()):
        try:
            read_settings(folder / "benchmark")
        except UserError as error:
            raise UserError(
                f"{folder} is not empty and holds no demo: give an empty or a new --out"
            ) from error
