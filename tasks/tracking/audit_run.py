"""A finished run as an MLflow run: parameters, metrics, dataset, tables, report and tags.

Each run folder and its settings have exactly one MLflow run, however often an attempt dies: the
run is created with tags that identify it, and found again by them. A second write changes nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from upath import UPath

from models.addresses import is_local, remove_secrets
from models.classifier.mlflow_addresses import SCHEME
from models.errors import RunFolderError
from tasks.runs import open_run
from tasks.runs.contents import stamp_results
from tasks.runs.folder import RunFolder, digest
from tasks.runs.state import RunState
from tasks.tracking.metrics import metrics_of, metrics_of_methods
from tasks.tracking.mlflow_client import (
    InputData,
    connect,
    dataset_input,
    find_or_create_run,
    metrics_at,
    mlflow_errors,
    new_parameters,
)
from tasks.tracking.settings import Tracking

if TYPE_CHECKING:  # importing MLflow takes seconds, and only publishing needs it
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

# Tags of the MLflow run
RUN_ID = "sightline.run_id"  # the run folder's own id
CONFIGURATION = "sightline.configuration"  # digest of the settings that make its figures
PUBLISHED = "sightline.published"  # digest of its summary


@dataclass(frozen=True)
class _Results:
    """The part of a run that goes to MLflow."""

    created: str
    digest: str  # of all figures
    metrics: dict[str, float]
    profile: dict[str, Any]  # of the data
    files: tuple[UPath, ...]


def publish_run(run_folder: RunFolder, tracking: Tracking, flow_run: str | None = None) -> str:
    """Log the run to its one MLflow run; returns the id of that."""
    results = _results_of(run_folder)
    tags = _identifying_tags(run_folder)
    later = f"sightline publish {shlex.quote(str(run_folder.path))}"
    with mlflow_errors(tracking.uri, f"the run is kept; to send it later: {later}"):
        client = connect(tracking)
        run = find_or_create_run(client, tracking, _name_of(run_folder), tags)
        if run.info.status != "FINISHED" or run.data.tags.get(PUBLISHED) != results.digest:
            _log(client, run, run_folder, results, flow_run)
            client.set_terminated(run.info.run_id)
            client.set_tag(run.info.run_id, PUBLISHED, results.digest)
    run_id: str = run.info.run_id
    uri = remove_secrets(tracking.uri)
    published = {"uri": uri, "experiment": tracking.experiment, "run": run_id}
    run_folder.update_state(mlflow=published, results_stamp=stamp_results(run_folder))
    return run_id


def _results_of(run_folder: RunFolder) -> _Results:
    """Results of an audit or a comparison of methods; refuses a run that is not finished."""
    run = open_run(run_folder.path)
    if run.compares_methods:
        rivals = run.methods_summary()
        files: tuple[UPath, ...] = (run_folder.methods, run_folder.methods_page)
        metrics, profile = metrics_of_methods(rivals), {"total": rivals.images}
        created, results_digest = rivals.created, digest(rivals.model_dump(mode="json"))
    else:
        summary = run.summary()
        files = (run_folder.flags, run_folder.summary, run_folder.report)
        metrics, profile = metrics_of(summary), summary.images.model_dump()
        created, results_digest = summary.created, digest(summary.model_dump(mode="json"))
    if not files[-1].is_file():
        raise RunFolderError(
            f"{run_folder.path} has no report yet: run the same command again, it continues"
        )
    return _Results(created, results_digest, metrics, profile, (run_folder.catalog, *files))


def _name_of(run_folder: RunFolder) -> str:
    """What a list of runs shows: `photos · resnet18 · nightly`."""
    state = run_folder.read_state()
    names = (_last_part(state.data_address), _model_name(state.model_address), run_folder.path.name)
    return " · ".join(names)


def _model_name(address: str) -> str:
    """`resnet18` of `torchvision:resnet18`, `birds/3` of `mlflow:models:/birds/3`."""
    if address.startswith(SCHEME):
        return address.partition(":/")[2]
    name = _last_part(address)
    return name if ".py:" in name else name.rpartition(":")[2]


def _last_part(address: str) -> str:
    return remove_secrets(address).rstrip("/").rpartition("/")[2]


def _identifying_tags(run_folder: RunFolder) -> dict[str, str]:
    """Tags of the run's result, the same whichever workers and servers it is computed with."""
    state = run_folder.read_state()
    if state.id is None:
        state = state.change(id=uuid4().hex)
        run_folder.write_state(state)
    settings = state.settings
    decisive = {key: settings[key] for key in settings.keys() - {"compute", "output", "tracking"}}
    return {RUN_ID: str(state.id), CONFIGURATION: digest(decisive)}


def _log(
    client: MlflowClient,
    run: Run,
    run_folder: RunFolder,
    results: _Results,
    flow_run: str | None,
) -> None:
    from mlflow.entities import RunTag

    state, run_id = run_folder.read_state(), run.info.run_id
    # At the summary's own time: logged twice, a point stays one; a newer summary's is the latest.
    seconds = datetime.fromisoformat(results.created).timestamp()
    tags = {
        "sightline.identity": digest(state.identity.as_json()),
        "sightline.model": state.identity.model,
        "sightline.run_folder": str(run_folder.path),
        "prefect.flow_run": flow_run or "none",
    } | {f"sightline.model_{key}": value for key, value in state.model_origin.items()}
    client.log_batch(
        run_id,
        metrics=metrics_at(results.metrics, seconds),
        tags=[RunTag(key, value) for key, value in tags.items()],
        params=new_parameters(run, state.settings),
    )
    client.log_inputs(run_id, [dataset_input(_input_data(state, results.profile))])
    for path in results.files:
        with _local_file(path) as file:
            client.log_artifact(run_id, str(file))


@contextmanager
def _local_file(path: UPath) -> Iterator[Path]:
    """The file itself or a local copy: MLflow only takes local files."""
    if is_local(path):
        yield Path(path)
        return
    with TemporaryDirectory(prefix="sightline-") as folder:
        copy = Path(folder) / path.name
        path.fs.get_file(path.path, str(copy))
        yield copy


def _input_data(state: RunState, profile: dict[str, Any]) -> InputData:
    address = state.data_address
    return InputData("audit", address, state.identity.catalog, address, profile)
