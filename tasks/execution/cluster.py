"""Dask: a local cluster or an existing one, with the model loaded once on each worker."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import dask
import torch
from dask.system import CPU_COUNT  # what the container and the affinity allow
from distributed import Client, Future, LocalCluster, Security, Worker, WorkerPlugin
from distributed.comm import CommClosedError

from models.classifier.classifier import Classifier, load_classifier
from models.errors import UnfinishedRun, UserError
from tasks.attribution.job import Job
from tasks.execution.scheduler_address import TIMEOUT, check_scheduler, security_of
from tasks.execution.settings import ComputeSettings
from tasks.execution.worker_environment import ENVIRONMENT, environment_as_found
from tasks.execution.worker_versions import check_version, check_workers, own_versions

log = logging.getLogger("sightline")

DASK_SETTINGS: dict[str, Any] = {
    "distributed.worker.preload": [
        "tasks.execution.worker_logging",
        "tasks.execution.worker_signals",
    ],
    "distributed.worker.profile.enabled": False,  # it interrupts every thread repeatedly
    "distributed.admin.tick.interval": "500ms",  # the monitoring costs more than the work
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.scheduler.http.routes": [],  # pages that any user of the machine could read
    "distributed.worker.http.routes": [],
    "distributed.scheduler.active-memory-manager.start": False,  # no result stays on a worker
    # A death is reported at once, to narrow down its cause; only running tasks are blamed for it.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-saturation": 1.0,
    # By default a cluster drops a worker that is not back 15 seconds after it died, and the run
    # waits for ever: on a busy machine, importing torch takes longer.
    "distributed.deploy.lost-worker-timeout": "365 days",
    # Key by key: a mapping would replace Dask's own OMP_NUM_THREADS=1.
    **{f"distributed.nanny.pre-spawn-environ.{key}": value for key, value in ENVIRONMENT.items()},
}
WORKER_TIMEOUT = 30  # seconds for the first worker of an existing cluster


class ModelPlugin(WorkerPlugin):  # type: ignore[misc]
    """Loads the classifier once on each worker, also on one that was restarted."""

    def __init__(self, job: Job) -> None:
        self.name = plugin_name(job)
        self.settings = job.model
        self.digest = job.identity.model
        self.memory_format = job.attribution.memory_format
        self.versions = own_versions()

    def setup(self, worker: Worker) -> None:
        self.lock = threading.Lock()  # hooks belong to one pass: threads of a worker take turns
        self.classifier: Classifier | None = None
        self.load(worker)

    def load(self, worker: Worker) -> Classifier:
        """The classifier; the next shard tries again where a restarted worker could not read it."""
        if self.classifier is not None:
            return self.classifier
        for package, found in own_versions().items():  # of workers that came later
            check_version(worker.address, package, found, self.versions[package])
        classifier = self._read(worker)
        if classifier.digest != self.digest:
            raise UserError(
                f"worker {worker.address} reads another model at {self.settings.address}: "
                "give an address that means the same file on every worker"
            )
        move_to_device(classifier, _device_of(worker), self.memory_format)
        self.classifier = classifier
        return classifier

    def _read(self, worker: Worker) -> Classifier:
        try:
            return load_classifier(self.settings)
        except UserError as error:
            raise UserError(
                f"worker {worker.address} cannot load the model ({error}): give an address that "
                "means the same file on every worker, such as s3://"
            ) from error


def plugin_name(job: Job) -> str:
    """One name per run: audits that share a cluster keep their models apart."""
    return f"sightline {job.identity.model} {job.run.path}"


def move_to_device(classifier: Classifier, device: str, memory_format: str) -> None:
    """Move the network, in place, to its device and memory format."""
    network = classifier.network.to(device)
    if memory_format == "channels_last":
        network.to(memory_format=torch.channels_last)


@contextmanager
def open_client(compute: ComputeSettings, scratch: str) -> Iterator[Client]:
    """A client of the given scheduler, of workers that end with the block, or of this process."""
    if compute.dask is None:
        with _local_client(compute, scratch) as client:
            yield client
        return
    security = security_of(compute)
    check_scheduler(compute.dask, security)
    with Client(compute.dask, security=security, timeout=TIMEOUT, set_as_default=False) as client:
        _await_workers(client, compute.dask)
        check_workers(client)
        log.info("Dask's page: %s", client.dashboard_link)
        try:
            yield client
        except (CancelledError, CommClosedError) as error:  # of futures that nobody cancelled
            raise UnfinishedRun(
                f"the Dask scheduler at {compute.dask} went away, and what it knew is lost; what "
                "was computed is kept, and the same command continues when it answers again"
            ) from error


@contextmanager
def _local_client(compute: ComputeSettings, scratch: str) -> Iterator[Client]:
    """On Ctrl-C it does not wait for the shards under way, as closing a cluster does."""
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(DASK_SETTINGS))
        stack.enter_context(environment_as_found())
        if compute.workers == 0:
            stack.enter_context(one_thread())
        cluster = stack.enter_context(_local_cluster(compute, scratch))
        client = stack.enter_context(Client(cluster, set_as_default=False))
        try:
            yield client
        except KeyboardInterrupt:
            if compute.workers == 0:  # a thread, which ends with this process
                cluster.shutdown_on_close = False
                stack.pop_all()
            else:
                _kill_workers(cluster)
            raise


def _kill_workers(cluster: LocalCluster) -> None:
    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        with suppress(ProcessLookupError):
            os.kill(nanny.pid, signal.SIGKILL)


def _local_cluster(compute: ComputeSettings, scratch: str) -> LocalCluster:
    """Worker processes, or one worker that is a thread of this process."""
    in_processes = compute.workers != 0
    return LocalCluster(
        n_workers=local_workers(compute),
        threads_per_worker=1,
        processes=in_processes,
        host="127.0.0.1" if in_processes else None,
        dashboard_address="127.0.0.1:0",  # not the default, any address and a fixed port
        worker_dashboard_address="127.0.0.1:0",
        local_directory=scratch,
        # Whoever reaches a scheduler can run code: only who has these keys reaches this one.
        security=Security.temporary() if in_processes else None,
        resources={"GPU": 1} if torch.cuda.is_available() else None,
        silence_logs=logging.CRITICAL,  # we report failures ourselves, once
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """As in a worker process, so that sums are added in the same order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _await_workers(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=WORKER_TIMEOUT)
    except TimeoutError as error:
        raise UserError(
            f"the Dask scheduler at {address} has had no worker for {WORKER_TIMEOUT} s: start one "
            f"(dask worker {address} --nthreads 1), or leave --dask out for a local cluster"
        ) from error


@contextmanager
def model_on_workers(client: Client, job: Job) -> Iterator[None]:
    """Every worker has the job's classifier inside the block, and none afterwards.

    A scheduler that is away, was started again or gave this client up knows nothing of it any more;
    which of many errors says so depends on the moment, and what ended the block is what is told.
    """
    client.register_plugin(ModelPlugin(job))
    try:
        yield
    finally:
        with suppress(Exception):
            client.unregister_worker_plugin(plugin_name(job))


def cancel(client: Client, futures: Iterable[Future]) -> None:
    """Stop what is under way; a scheduler that is away or gave this client up has nothing."""
    with suppress(Exception):  # as above: which one depends on the moment
        client.cancel(list(futures), force=True)


def count_workers(client: Client) -> int:
    """All workers of the cluster, local or not."""
    return len(client.nthreads())


def local_workers(compute: ComputeSettings) -> int:
    """Processes of a local cluster: `compute.workers`, else one per GPU, else one per core."""
    if compute.workers is not None:
        return max(1, compute.workers)
    count: int = torch.cuda.device_count() or CPU_COUNT
    return count


def decode_threads(compute: ComputeSettings) -> int:
    """Threads that decode images beside each worker's own."""
    cores: int = CPU_COUNT // local_workers(compute)
    return min(8, max(1, cores - 1))


def _device_of(worker: Worker) -> str:
    """Local workers are numbered and share the GPUs by their number."""
    if not torch.cuda.is_available():
        return "cpu"
    number = int(worker.name) if str(worker.name).isdigit() else 0
    return f"cuda:{number % torch.cuda.device_count()}"


def has_gpus(client: Client) -> bool:
    """Do workers offer GPUs as a resource?"""
    workers: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    return any("GPU" in worker["resources"] for worker in workers.values())
