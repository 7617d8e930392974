"""A finished run as an MLflow run: parameters, metrics, dataset, tables, report and tags."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from tasks import schema
from tasks.store import RunFolder, digest

if TYPE_CHECKING:  # importing MLflow takes seconds, and only publishing needs it
    from mlflow.entities import DatasetInput
    from mlflow.tracking import MlflowClient

LONGEST = 500  # characters of a parameter that every MLflow store takes


class TrackingSettings(BaseModel):
    """Where MLflow is; by default what the environment names, else SQLite of our own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str | None = Field(None, description="MLflow's address; SQLite of our own by default.")
    experiment: str = Field("sightline", description="MLflow experiment.")


class PublishError(RuntimeError):
    """MLflow could not take the run; the run folder is complete without it."""


def publish_run(
    run_folder: RunFolder, uri: str, experiment: str, artifacts: str | None, flow_run: str | None
) -> str:
    """Log the run, into the MLflow run that it already has if any; returns the MLflow run's id."""
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    summary = schema.Summary.model_validate_json(run_folder.summary.read_text())
    try:
        client = MlflowClient(tracking_uri=uri)
        run_id = _find_or_create(client, run_folder, uri, experiment, artifacts)
        _log(client, run_id, run_folder, summary, flow_run)
        client.set_terminated(run_id)
    except (MlflowException, OSError) as error:
        told = " ".join(str(error).split())[:300]
        raise PublishError(f"MLflow at {uri} did not take the run: {told}") from error
    return run_id


def _find_or_create(
    client: MlflowClient, run_folder: RunFolder, uri: str, experiment: str, artifacts: str | None
) -> str:
    """The MLflow run of this folder and these settings; its parameters are written only once."""
    state = run_folder.read_state()
    wanted = {"uri": uri, "experiment": experiment, "configuration": digest(state["settings"])}
    known: dict[str, str] = state.get("mlflow", {})
    if {**known, **wanted} == known:
        return known["run"]
    run_id = _create(client, experiment, artifacts, run_folder)
    run_folder.update_state(mlflow=wanted | {"run": run_id})  # a second try continues here
    return run_id


def _create(
    client: MlflowClient, experiment: str, artifacts: str | None, run_folder: RunFolder
) -> str:
    found = client.get_experiment_by_name(experiment)
    experiment_id = (
        found.experiment_id
        if found is not None
        else client.create_experiment(experiment, artifact_location=artifacts)
    )
    run_id: str = client.create_run(experiment_id, run_name=run_folder.path.name).info.run_id
    return run_id


def _log(
    client: MlflowClient,
    run_id: str,
    run_folder: RunFolder,
    summary: schema.Summary,
    flow_run: str | None,
) -> None:
    from mlflow.entities import Metric, Param, RunTag

    state = run_folder.read_state()
    now = int(time.time() * 1000)
    tags = {
        "sightline.configuration": digest(state["settings"]),
        "sightline.identity": digest(state["identity"]),
        "sightline.model": summary.model.digest,
        "sightline.run_folder": summary.run,
        "prefect.flow_run": flow_run or "none",
    }
    client.log_batch(
        run_id,
        metrics=[Metric(name, value, now, 0) for name, value in metrics_of(summary).items()],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )
    parameters = dict(_flat(state["settings"]))
    logged = client.get_run(run_id).data.params  # a parameter is written once
    client.log_batch(
        run_id,
        params=[
            Param(key, value[:LONGEST]) for key, value in parameters.items() if key not in logged
        ],
    )
    client.log_inputs(run_id, [_dataset(summary, state["identity"]["catalog"])])
    for path in (run_folder.catalog, run_folder.flags, run_folder.summary, run_folder.report):
        client.log_artifact(run_id, str(path))


def metrics_of(summary: schema.Summary) -> dict[str, float]:
    """The figures of a summary as MLflow metrics; absent where there is no value."""
    rates = {
        "accuracy": summary.accuracy,
        "flagged": summary.flagged,
        "flagged_correct": summary.flagged_correct,
        "flagged_incorrect": summary.flagged_incorrect,
        "undecided": summary.flags["undecided"],
    }
    figures: dict[str, float | None] = {
        "images": summary.images.total,
        "images_failed": summary.images.failed,
        "images_per_second": summary.cost.images_per_second,
    }
    for name, rate in rates.items():
        figures |= {name: rate.value, f"{name}_low": rate.low, f"{name}_high": rate.high}
    for method in summary.methods:
        figures[f"{method.method}.mean_lift"] = method.mean_lift
        figures[f"{method.method}.mean_share"] = method.mean_share
        figures[f"{method.method}.pointing"] = method.pointing.value
    return {name: float(value) for name, value in figures.items() if value is not None}


def _dataset(summary: schema.Summary, catalog_digest: str) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"uri": summary.data})
    dataset = Dataset(
        name=summary.data[-100:],
        digest=catalog_digest[:32],
        source_type="local",
        source=source,
        profile=json.dumps(summary.images.model_dump()),
    )
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", "audit")])


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as `data.path = …`; what is not set is left out."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", str(value)
