"""A training as an MLflow run: parameters, data, and the figures and the picture of each epoch.

A training has exactly one, however often it was killed: it is found again by its tag. A separate
thread talks to MLflow, so that a slow or absent server delays no step and stops nothing: its first
failure is reported in one line, and what it missed is sent once it answers, or when the training
continues.
"""

from __future__ import annotations

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

from models.mlflow_failures import describe_failure
from tasks.tracking.mlflow_client import (
    InputData,
    connect,
    dataset_input,
    find_or_create_run,
    metrics_at,
    new_parameters,
)
from tasks.tracking.settings import Tracking

if TYPE_CHECKING:  # importing MLflow takes seconds
    from mlflow.entities import Run
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
    from mlflow.tracking import MlflowClient

Status = Literal["FINISHED", "FAILED", "KILLED"]

TRAINING_ID = "sightline.training_id"  # tag
EPOCH = "epoch"  # metric, sent with the others of an epoch: MLflow has all of them or none
PICTURES = "maps"  # in the run's artifacts
MONITOR = "mlflow.system_metrics.system_metrics_monitor"

log = logging.getLogger("sightline")


@dataclass(frozen=True)
class TrainingStart:
    """Name, parameters and data of a training."""

    name: str
    training_id: str
    parameters: dict[str, Any]
    datasets: Sequence[InputData]


@dataclass(frozen=True)
class EpochFigures:
    """Results of an epoch; sent twice with the same time, they stay the same points in MLflow."""

    epoch: int
    metrics: Mapping[str, float]  # losses by part, validation figures, learning rate, seconds
    picture: bytes | None = None  # PNG: the same held-out images each epoch, with their maps
    ended: float = field(default_factory=time.time)  # seconds since 1970


@contextmanager
def log_training(tracking: Tracking, start: TrainingStart) -> Iterator[TrainingLog]:
    """The training's MLflow run, with system metrics; it ends with the status of the block."""
    training_log = TrainingLog(tracking, start)
    status: Status = "FAILED"
    try:
        with training_log.system_metrics():
            yield training_log
        status = "FINISHED"
    finally:
        training_log.finish(status)


class TrainingLog:
    """The one MLflow run of a training, if MLflow answers now or later.

    It raises no failure of MLflow. Only `finish` waits for MLflow; call it at the end, also of a
    training that failed.
    """

    def __init__(self, tracking: Tracking, start: TrainingStart) -> None:
        self.run_id: str | None = None  # None until MLflow answers
        self._tracking, self._start = tracking, start
        self._unsent: deque[EpochFigures] = deque()
        self._logged: set[int] = set()  # epochs that MLflow has
        self._warned = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mlflow")
        self._sending: Future[None] = self._thread.submit(self._send)
        self._sending.result()

    def send(self, history: Iterable[EpochFigures]) -> None:
        """Send the epochs that MLflow does not have yet; returns at once."""
        self._unsent.extend(history)
        if self._sending.done():  # otherwise the current or the next request includes them
            self._sending = self._thread.submit(self._send)

    def finish(self, status: Status = "FINISHED") -> None:
        """Send the rest, end the MLflow run, and wait for it."""
        self._thread.shutdown(cancel_futures=True)
        self._send(status)

    @contextmanager
    def system_metrics(self, seconds: float = 10) -> Iterator[None]:
        """Send CPU, memory and GPU use at this interval, until MLflow stops answering."""
        logger = logging.getLogger(MONITOR)
        logger.disabled = True  # its failures are reported here already
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
            with self._tolerate_failures():
                from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

                monitor = SystemMetricsMonitor(
                    self.run_id, seconds, resume_logging=True, tracking_uri=self._tracking.uri
                )
                monitor.start()
        return monitor

    def _send(self, status: Status | None = None) -> None:
        with self._tolerate_failures():
            client = connect(self._tracking)
            run_id = self.run_id or self._open(client)
            while self._unsent:
                self._log_epoch(client, run_id, self._unsent[0])
                self._unsent.popleft()
            if status is not None:
                client.set_terminated(run_id, status)

    def _open(self, client: MlflowClient) -> str:
        tags = {TRAINING_ID: self._start.training_id}
        run = find_or_create_run(client, self._tracking, self._start.name, tags)
        _log_start(client, run, self._start)
        run_id: str = run.info.run_id
        self._logged = {point.step for point in client.get_metric_history(run_id, EPOCH)}
        self.run_id = run_id  # last, so that a failure above is tried again
        return run_id

    def _log_epoch(self, client: MlflowClient, run_id: str, figures: EpochFigures) -> None:
        if figures.epoch in self._logged:
            return
        if figures.picture is not None:
            _log_picture(client, run_id, figures.epoch, figures.picture)
        values = {**figures.metrics, EPOCH: figures.epoch}
        client.log_batch(run_id, metrics=metrics_at(values, figures.ended, figures.epoch))
        self._logged.add(figures.epoch)

    @contextmanager
    def _tolerate_failures(self) -> Iterator[None]:
        """Log the first failure in one line and ignore the others."""
        try:
            yield
        except Exception as error:  # MLflow's own, and those of its file stores
            if not self._warned:
                self._warned = True
                message = describe_failure(self._tracking.uri, error)
                log.warning("%s; the training continues and sends it later", message)


def _log_start(client: MlflowClient, run: Run, start: TrainingStart) -> None:
    run_id = run.info.run_id
    if run.info.status != "RUNNING":  # a training that continues
        client.update_run(run_id, "RUNNING")
    client.log_batch(run_id, params=new_parameters(run, start.parameters))
    client.log_inputs(run_id, [dataset_input(data) for data in start.datasets])


def _log_picture(client: MlflowClient, run_id: str, epoch: int, picture: bytes) -> None:
    with TemporaryDirectory(prefix="sightline-") as folder:
        file = Path(folder) / f"epoch-{epoch:03d}.png"
        file.write_bytes(picture)
        client.log_artifact(run_id, str(file), PICTURES)
