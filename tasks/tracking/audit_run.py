"""A finished run as an MLflow run: parameters, metrics, dataset, tables, report and tags.

Exactly one for a run folder and its settings, however often a try died: the MLflow run is created
with tags that say whose it is, and looked up by them. What is written twice is the same twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from upath import UPath

from models.addresses import describe_safely, is_local, without_secrets
from models.errors import MlflowUnavailable, RunFolderError, UserError
from tasks.runs.folder import RunFolder, digest
from tasks.runs.reader import open_run
from tasks.runs.state import RunState
from tasks.tracking.metrics import metrics_of, metrics_of_methods
from tasks.tracking.settings import Tracking, flatten

if TYPE_CHECKING:  # importing MLflow takes seconds, and only publishing needs it
    from mlflow.entities import DatasetInput, Run
    from mlflow.tracking import MlflowClient

LONGEST = 500  # characters of a parameter that every MLflow store takes
# Tags: the run folder's own id, digests of the settings that make its figures and of its summary
RUN_ID, CONFIGURATION, PUBLISHED = (
    "sightline.run_id",
    "sightline.configuration",
    "sightline.published",
)


@dataclass(frozen=True)
class _Results:
    """What MLflow is told of a run."""

    created: str
    digest: str  # of all figures
    metrics: dict[str, float]
    profile: dict[str, Any]  # of the data
    files: tuple[UPath, ...]


def publish_run(run_folder: RunFolder, tracking: Tracking, flow_run: str | None = None) -> str:
    """Log the run into the one MLflow run that it has there; returns the MLflow run's id."""
    results = _results_of(run_folder)
    whose = _tags_of(run_folder)
    with mlflow_errors(tracking.uri, f"it is kept; later: sightline publish {run_folder.path}"):
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=tracking.uri)
        run = find_or_create(client, tracking, run_folder.path.name, whose)
        if run.info.status != "FINISHED" or run.data.tags.get(PUBLISHED) != results.digest:
            _log(client, run, run_folder, results, flow_run)
            client.set_terminated(run.info.run_id)
            client.set_tag(run.info.run_id, PUBLISHED, results.digest)
    run_id: str = run.info.run_id
    uri = without_secrets(tracking.uri)
    run_folder.update_state(mlflow={"uri": uri, "experiment": tracking.experiment, "run": run_id})
    return run_id


def _results_of(run_folder: RunFolder) -> _Results:
    """Of an audit, or of a comparison of methods; refuses a run that is not finished."""
    run = open_run(run_folder.path)
    if run.compares_methods:
        rivals = run.rivals()
        files: tuple[UPath, ...] = (run_folder.methods, run_folder.methods_page)
        metrics, profile = metrics_of_methods(rivals), {"total": rivals.images}
        created, done = rivals.created, digest(rivals.model_dump(mode="json"))
    else:
        summary = run.summary()
        files = (run_folder.flags, run_folder.summary, run_folder.report)
        metrics, profile = metrics_of(summary), summary.images.model_dump()
        created, done = summary.created, digest(summary.model_dump(mode="json"))
    if not files[-1].is_file():
        raise RunFolderError(
            f"{run_folder.path} has no report yet: run the same command again, it continues"
        )
    return _Results(created, done, metrics, profile, (run_folder.catalog, *files))


@contextmanager
def mlflow_errors(uri: str, remedy: str) -> Iterator[None]:
    """MLflow being away, or failing in the middle, as one line; a user's mistake stays one."""
    try:
        yield
    except (UserError, MlflowUnavailable):  # MLflow answered
        raise
    except Exception as error:  # MLflow's own, and those of every store that it keeps files in
        words, cause = describe_safely(error)
        raise MlflowUnavailable(
            f"MLflow at {without_secrets(uri)} failed ({words[:300]}); {remedy}"
        ) from cause


def find_experiment(client: MlflowClient, tracking: Tracking) -> str:
    """The experiment's id; created when there is none, also when another does so meanwhile."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(tracking.experiment)
    if found is None:
        try:
            client.create_experiment(tracking.experiment, artifact_location=tracking.artifacts)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = client.get_experiment_by_name(tracking.experiment)
    experiment_id: str = found.experiment_id
    return experiment_id


def _tags_of(run_folder: RunFolder) -> dict[str, str]:
    """Whose MLflow run it is. Other workers or another server are no other result."""
    state = run_folder.read_state()
    if state.id is None:
        state = state.change(id=uuid4().hex)
        run_folder.write_state(state)
    settings = state.settings
    what = {key: settings[key] for key in settings.keys() - {"compute", "output", "tracking"}}
    return {RUN_ID: str(state.id), CONFIGURATION: digest(what)}


def find_or_create(
    client: MlflowClient, tracking: Tracking, name: str, whose: dict[str, str]
) -> Run:
    experiment_id = find_experiment(client, tracking)
    if not _find(client, experiment_id, whose):
        client.create_run(experiment_id, run_name=name, tags=whose)
    # A request whose answer was lost is sent again, and two publishers may meet: the first stays.
    first, *others = _find(client, experiment_id, whose)
    for other in others:
        client.delete_run(other.info.run_id)
    return first


def _find(client: MlflowClient, experiment_id: str, whose: dict[str, str]) -> list[Run]:
    """The MLflow runs with these tags, the same first one for all who ask."""
    wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in whose.items())
    found = client.search_runs([experiment_id], wanted)
    return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))


def _log(
    client: MlflowClient,
    run: Run,
    run_folder: RunFolder,
    results: _Results,
    flow_run: str | None,
) -> None:
    from mlflow.entities import Metric, Param, RunTag

    state, run_id = run_folder.read_state(), run.info.run_id
    # The summary's own time: the same point twice is one, and a newer summary's is the latest.
    then = int(datetime.fromisoformat(results.created).timestamp() * 1000)
    tags = {
        "sightline.identity": digest(state.identity.as_json()),
        "sightline.model": state.identity.model,
        "sightline.run_folder": str(run_folder.path),
        "prefect.flow_run": flow_run or "none",
    } | {f"sightline.model_{key}": value for key, value in state.model_origin.items()}
    client.log_batch(
        run_id,
        metrics=[Metric(name, value, then, 0) for name, value in results.metrics.items()],
        tags=[RunTag(key, value) for key, value in tags.items()],
        params=[  # a parameter is written once
            Param(key, value[:LONGEST])
            for key, value in flatten(state.settings)
            if key not in run.data.params
        ],
    )
    client.log_inputs(run_id, [_dataset(state, results.profile)])
    for path in results.files:
        with _local(path) as file:
            client.log_artifact(run_id, str(file))


@contextmanager
def _local(path: UPath) -> Iterator[Path]:
    """The file, or a copy of it: MLflow takes files of this machine only."""
    if is_local(path):
        yield Path(path)
        return
    with TemporaryDirectory(prefix="sightline-") as folder:
        copy = Path(folder) / path.name
        path.fs.get_file(path.path, str(copy))
        yield copy


def _dataset(state: RunState, profile: dict[str, Any]) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    address = state.data_address
    dataset = Dataset(
        name=address[-100:],
        digest=state.identity.catalog[:32],
        source_type="local",
        source=json.dumps({"uri": address}),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", "audit")])
