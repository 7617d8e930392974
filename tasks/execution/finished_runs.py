"""A run folder in which the same command finds nothing left to do, seen without torch."""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import version
from typing import Any

from upath import UPath

from models.addresses import as_path, remove_secrets
from models.classifier.model_files import files_of
from models.classifier.segmenter_files import files_of_segmenter
from models.classifier.settings import ModelSettings
from models.errors import RunFolderError, UserError
from models.methods.registry import is_user_method
from tasks.attribution.settings import AuditRequest, RunPlan
from tasks.catalog.class_groups import read_class_groups
from tasks.catalog.listing import Listing
from tasks.execution.early_checks import catalog_of
from tasks.runs.contents import list_results, stamp_results
from tasks.runs.folder import TRANSIENT, RunFolder, read_metadata
from tasks.runs.state import RunState
from tasks.schema import FLAG_RULE
from tasks.storage.files import detects_change, read_stamps
from tasks.storage.parquet import is_intact, read_table
from tasks.tracking.settings import Tracking

WHERE = ("output", "compute", "tracking")  # sections that change no number


def read_model_stamps(request: AuditRequest, model: ModelSettings) -> dict[str, str]:
    """Sizes and times of all files that determine what is computed, beside the data's.

    Empty where they do not suffice: where code or a server decides too, or where a change would
    leave the stamp as it is.
    """
    files, others = files_of(model), files_of_segmenter(request.foreground.source)
    has_code = any(map(is_user_method, request.attribution.methods))
    if files is None or others is None or has_code:
        return {}
    files += others
    if request.foreground.weights is not None:
        files.append(request.foreground.weights)
    if request.interventions.donors is not None:
        files.append(str(RunFolder.at(request.interventions.donors).donors))
    files = [str(as_path(file)) for file in files]
    stamps = read_stamps(files)
    return dict(zip(files, stamps, strict=True)) if all(map(detects_change, stamps)) else {}


def find_finished(plan: RunPlan, listing: Listing, tracking: Tracking) -> RunFolder | None:
    """The finished and published run of the same plan by this version; None if there is none."""
    request, run = plan.request, RunFolder.at(plan.output.folder)
    with suppress(RunFolderError, UserError, OSError):
        state = run.read_state()
        stamps = read_model_stamps(request, plan.model)
        if (
            state.state == "finished"
            and (state.sightline, state.flag_rule) == (version("sightline"), FLAG_RULE)
            and stamps
            and state.model_stamps == stamps
            and _decisive(state.settings) == _decisive(plan.settings | request.sections())
            and _has_same_groups(state, request)
            and _is_published(state, tracking)
            and state.results_stamp == stamp_results(run)
            and all(map(_is_complete, list_results(run)))
            and read_table(run.catalog).equals(catalog_of(request, state.classes, listing))
        ):
            return run
    return None


def _decisive(settings: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: section for name, section in settings.items() if name not in WHERE}


def _has_same_groups(state: RunState, request: AuditRequest) -> bool:
    """Does the file of groups of classes still say what it said?"""
    address = request.data.class_groups
    groups = None if address is None else read_class_groups(address, state.classes)
    return state.class_groups == groups


def _is_published(state: RunState, tracking: Tracking) -> bool:
    """Is it in this experiment? A database that was deleted since has nothing."""
    if tracking.database is not None and not tracking.database.is_file():
        return False
    known = (state.mlflow.get("uri"), state.mlflow.get("experiment"))
    return known == (remove_secrets(tracking.uri), tracking.experiment)


def _is_complete(file: UPath) -> bool:
    """Is a part intact, and without rows that another try may still compute?"""
    if file.suffix != ".parquet":
        return True
    return is_intact(file) and read_metadata(file).get(TRANSIENT, b"0") == b"0"
