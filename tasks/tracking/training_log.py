"""A training as an MLflow run: parameters, data, and the figures and the picture of each epoch.

Exactly one for a training, however often it was killed: it is found again by its tag. A thread of
its own talks to MLflow, so that one that is slow or away delays no step and stops nothing: it is
told of in one line, and gets what it missed once it answers, or when the training continues.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from models.addresses import describe_safely, without_secrets
from tasks.tracking.audit_run import LONGEST, find_or_create
from tasks.tracking.settings import Tracking, flatten

if TYPE_CHECKING:  # importing MLflow takes seconds
    from mlflow.entities import DatasetInput, Run
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
    from mlflow.tracking import MlflowClient

Context = Literal["training", "validation", "audit"]

TRAINING_ID = "sightline.training_id"  # tag
EPOCH = "epoch"  # metric, written last and with the others: MLflow has what it has of that
PICTURES = "maps"  # among the run's artifacts
MONITOR = "mlflow.system_metrics.system_metrics_monitor"

log = logging.getLogger("sightline")


@dataclass(frozen=True)
class TrainingData:
    """Rows that a training reads. MLflow keeps one of those that share name and digest."""

    context: Context
    name: str
    digest: str
    source: str  # where it lies
    rows: Mapping[str, int]  # how many, in all and of each kind


@dataclass(frozen=True)
class EpochFigures:
    """What an epoch came to; sent again with the same time, it is the same point in MLflow."""

    epoch: int
    metrics: Mapping[str, float]  # losses by part, validation figures, learning rate, seconds
    picture: bytes | None = None  # PNG: the same held-out images each epoch, with their maps
    ended: float = field(default_factory=time.time)  # seconds since 1970


@dataclass(frozen=True)
class _Training:
    """What MLflow is told of a training when it begins."""

    name: str
    training_id: str
    parameters: dict[str, Any]
    datasets: Sequence[TrainingData]


def open_training(
    tracking: Tracking,
    name: str,
    training_id: str,
    parameters: dict[str, Any],
    datasets: Sequence[TrainingData],
) -> TrainingLog:
    """The log of the one MLflow run that this training has there, if MLflow answers now or later.

    Whoever opens it calls `finish` at the end, also of a training that failed.
    """
    return TrainingLog(tracking, _Training(name, training_id, parameters, datasets))


class TrainingLog:
    """One training's MLflow run. Nothing here raises for MLflow's sake; only `finish` waits."""

    def __init__(self, tracking: Tracking, training: _Training) -> None:
        self.run_id: str | None = None  # None as long as MLflow has not answered
        self._tracking, self._training = tracking, training
        self._waiting: deque[EpochFigures] = deque()
        self._there: set[int] = set()  # epochs that MLflow has
        self._warned = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mlflow")
        self._sending: Future[None] = self._thread.submit(self._send)
        self._sending.result()

    def epoch(self, figures: EpochFigures) -> None:
        """Send the epoch, and those that still wait; returns at once."""
        self.catch_up([figures])

    def catch_up(self, history: Iterable[EpochFigures]) -> None:
        """Send the epochs that MLflow does not have yet; returns at once."""
        self._waiting.extend(history)
        if self._sending.done():  # else that one, or the next, takes them along
            self._sending = self._thread.submit(self._send)

    def finish(self, status: Literal["FINISHED", "FAILED", "KILLED"] = "FINISHED") -> None:
        """Send what still waits and end the MLflow run; waits for it."""
        self._thread.shutdown(cancel_futures=True)
        self._send(status)

    @contextmanager
    def system_metrics(self, seconds: float = 10) -> Iterator[None]:
        """Meanwhile send CPU, memory and GPU so often, until MLflow does not answer."""
        logger = logging.getLogger(MONITOR)
        logger.disabled = True  # what MLflow's own thread warns of is told here already
        monitor = self._start_monitor(seconds)
        try:
            yield
        finally:
            if monitor is not None:
                monitor.finish()
            logger.disabled = False

    def _start_monitor(self, seconds: float) -> SystemMetricsMonitor | None:
        monitor = None
        if self.run_id is not None:
            with self._forgiving():
                from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

                monitor = SystemMetricsMonitor(
                    self.run_id, seconds, resume_logging=True, tracking_uri=self._tracking.uri
                )
                monitor.start()
        return monitor

    def _send(self, status: str | None = None) -> None:
        with self._forgiving():
            from mlflow.tracking import MlflowClient

            client = MlflowClient(tracking_uri=self._tracking.uri)
            run_id = self.run_id or self._open(client)
            while self._waiting:
                self._log(client, run_id, self._waiting[0])
                self._waiting.popleft()
            if status is not None:
                client.set_terminated(run_id, status)

    def _open(self, client: MlflowClient) -> str:
        whose = {TRAINING_ID: self._training.training_id}
        run = find_or_create(client, self._tracking, self._training.name, whose)
        _describe(client, run, self._training)
        run_id: str = run.info.run_id
        self._there = {point.step for point in client.get_metric_history(run_id, EPOCH)}
        self.run_id = run_id  # last: what failed on the way is done again
        return run_id

    def _log(self, client: MlflowClient, run_id: str, figures: EpochFigures) -> None:
        if figures.epoch in self._there:
            return
        if figures.picture is not None:
            _log_picture(client, run_id, figures.epoch, figures.picture)
        _log_metrics(client, run_id, figures)
        self._there.add(figures.epoch)

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """The first failure is one line, the others are silent."""
        try:
            yield
        except Exception as error:  # MLflow's own, and those of every store that it keeps files in
            if not self._warned:
                self._warned = True
                words, _ = describe_safely(error)
                uri = without_secrets(self._tracking.uri)
                log.warning(
                    "MLflow at %s failed (%s); the training goes on, and tells it later",
                    *(uri, words[:300]),
                )


def _describe(client: MlflowClient, run: Run, training: _Training) -> None:
    from mlflow.entities import Param

    run_id = run.info.run_id
    if run.info.status != "RUNNING":  # it ended, and continues
        client.update_run(run_id, "RUNNING")
    parameters = [  # a parameter is written once
        Param(key, value[:LONGEST])
        for key, value in flatten(training.parameters)
        if key not in run.data.params
    ]
    client.log_batch(run_id, params=parameters)
    client.log_inputs(run_id, [_dataset(data) for data in training.datasets])


def _dataset(data: TrainingData) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=data.name[-100:],
        digest=data.digest[:32],
        source_type="local",
        source=json.dumps({"uri": data.source}),
        profile=json.dumps(dict(data.rows)),
    )
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", data.context)])


def _log_metrics(client: MlflowClient, run_id: str, figures: EpochFigures) -> None:
    from mlflow.entities import Metric

    then = int(figures.ended * 1000)
    metrics = {**figures.metrics, EPOCH: figures.epoch}
    client.log_batch(
        run_id,
        metrics=[Metric(name, value, then, figures.epoch) for name, value in metrics.items()],
    )


def _log_picture(client: MlflowClient, run_id: str, epoch: int, picture: bytes) -> None:
    with TemporaryDirectory(prefix="sightline-") as folder:
        file = Path(folder) / f"epoch-{epoch:03d}.png"
        file.write_bytes(picture)
        client.log_artifact(run_id, str(file), PICTURES)
