"""Prefect tasks that several flows share, and the retries of those that need MLflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import State, Task, runtime, task

from flows.runtime.command import prepared_run
from flows.runtime.progress import show_progress
from flows.settings.command_settings import RunSettings
from flows.settings.environment import home, tracking_of
from models.classifier.mlflow_models import fetch
from models.errors import MlflowUnavailable
from tasks.execution.attribution_stage import attribute_run
from tasks.execution.prepare import prepare_run
from tasks.runs.folder import RunFolder
from tasks.schema import CostSummary
from tasks.tracking.audit_run import publish_run

P = ParamSpec("P")
R = TypeVar("R")


def is_mlflow_away(_task: object, _run: object, state: State[Any]) -> bool:
    """Whether a retry may help; any other error would only come again."""
    return isinstance(state.data, MlflowUnavailable)


def mlflow_task(name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A Prefect task that needs MLflow, and is retried when it does not answer."""
    return task(name=name, retries=2, retry_delay_seconds=10, retry_condition_fn=is_mlflow_away)


@mlflow_task("catalog")
def catalog(settings: RunSettings) -> RunFolder:
    """The run, unless the command has prepared it before the flow began."""
    if (prepared := prepared_run.get()) is not None:
        return prepared
    with fetch(settings.model, tracking_of(settings.tracking).uri) as model:
        return prepare_run(
            settings.audit_request, model, settings.output, settings.model_dump(mode="json")
        )


@task(name="attribute")
def attribute(run: RunFolder, settings: RunSettings, what: str = "maps") -> CostSummary:
    with show_progress(f"{what} of {run.path.name}") as on_progress:
        return attribute_run(run, settings.compute, str(home() / "dask"), on_progress)


@mlflow_task("publish")
def publish(run: RunFolder, settings: RunSettings) -> None:
    publish_run(run, tracking_of(settings.tracking), runtime.flow_run.get_id())
