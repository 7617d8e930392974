"""Access to MLflow: its client, one-line errors, and entities that are created exactly once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from models.answering_servers import check_answer
from models.errors import MlflowUnavailable, UserError
from models.mlflow_failures import describe_failure, safe_cause
from tasks.tracking.settings import Tracking, flatten

if TYPE_CHECKING:  # importing MLflow takes seconds
    from mlflow.entities import DatasetInput, Metric, Param, Run
    from mlflow.tracking import MlflowClient

Context = Literal["training", "validation", "audit"]

LONGEST_PARAMETER = 500  # characters that every MLflow store takes

Entity = TypeVar("Entity")


@dataclass(frozen=True)
class InputData:
    """Data that a run reads. MLflow keeps one entry per name and digest."""

    context: Context
    name: str
    digest: str
    source: str  # its address
    profile: Mapping[str, Any]  # numbers of rows


def connect(tracking: Tracking) -> MlflowClient:
    from mlflow.tracking import MlflowClient

    check_answer(tracking.uri)
    database, empty = tracking.database, tracking.empty
    if database is None or empty is None or database.exists():
        return MlflowClient(tracking_uri=tracking.uri)
    is_copied = empty.copy_to(database)
    client = MlflowClient(tracking_uri=tracking.uri)
    if is_copied:
        _move_default_experiment(database)
    else:
        client.search_experiments(max_results=1)  # makes the database
        empty.keep(database)
    return client


def _move_default_experiment(database: Path) -> None:
    """Its files belong beside this database, not where the copied one was made."""
    folder = (database.absolute().parent / "mlflow-artifacts").as_uri()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0", (f"{folder}/0",)
        )


@contextmanager
def mlflow_errors(uri: str, remedy: str) -> Iterator[None]:
    """Report any failure of MLflow in one line; a user's error stays what it is."""
    try:
        yield
    except (UserError, MlflowUnavailable):  # already one line
        raise
    except Exception as error:  # MLflow's own, and those of its file stores
        message = f"{describe_failure(uri, error)}; {remedy}"
        raise MlflowUnavailable(message) from safe_cause(error)


@contextmanager
def ignore_error(code: str) -> Iterator[None]:
    """Ignore the MLflow error that says another process has done it already."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != code:
            raise


def find_or_create(
    find: Callable[[], list[Entity]],
    create: Callable[[], object],
    delete: Callable[[Entity], object],
) -> Entity:
    """The first entity that `find` lists; further ones are deleted.

    There may be more than one, since the client repeats a request whose answer was lost, and two
    processes may create at the same moment.
    """
    if not find():
        create()
    first, *others = find()
    for other in others:
        delete(other)
    return first


def find_experiment(client: MlflowClient, tracking: Tracking) -> str:
    """The experiment's id; creates it if needed."""
    experiment = client.get_experiment_by_name(tracking.experiment)
    if experiment is None:
        with ignore_error("RESOURCE_ALREADY_EXISTS"):
            client.create_experiment(tracking.experiment, artifact_location=tracking.artifacts)
        experiment = client.get_experiment_by_name(tracking.experiment)
    experiment_id: str = experiment.experiment_id
    return experiment_id


def find_or_create_run(
    client: MlflowClient, tracking: Tracking, name: str, tags: dict[str, str]
) -> Run:
    """The one run that has these tags."""
    experiment_id = find_experiment(client, tracking)
    return find_or_create(
        lambda: _find_runs(client, experiment_id, tags),
        lambda: client.create_run(experiment_id, run_name=name, tags=tags),
        lambda run: client.delete_run(run.info.run_id),
    )


def _find_runs(client: MlflowClient, experiment_id: str, tags: dict[str, str]) -> list[Run]:
    """In an order that every process agrees on."""
    query = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    runs = client.search_runs([experiment_id], query)
    return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))


def find_aliases(client: MlflowClient, name: str) -> dict[str, str]:
    """Aliases of a registered model, each with its version."""
    aliases = client.get_registered_model(name).aliases
    return {alias: str(version) for alias, version in aliases.items()}


def new_parameters(run: Run, settings: dict[str, Any]) -> list[Param]:
    """Parameters that the run lacks: MLflow takes each only once."""
    from mlflow.entities import Param

    return [
        Param(key, value[:LONGEST_PARAMETER])
        for key, value in flatten(settings)
        if key not in run.data.params
    ]


def metrics_at(values: Mapping[str, float], seconds: float, step: int = 0) -> list[Metric]:
    """Points at one time (in seconds since 1970). Logged twice, a point stays one in MLflow."""
    from mlflow.entities import Metric

    return [Metric(name, value, int(seconds * 1000), step) for name, value in values.items()]


def dataset_input(data: InputData) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=data.name[-100:],
        digest=data.digest[:32],
        source_type="local",
        source=json.dumps({"uri": data.source}),
        profile=json.dumps(dict(data.profile)),
    )
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", data.context)])
