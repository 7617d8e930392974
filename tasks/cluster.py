"""Dask: our own cluster or somebody else's, a model on each worker, shards in, counts out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import dask
import torch
from dask.system import CPU_COUNT  # what the container and the affinity allow
from distributed import (
    Client,
    Future,
    KilledWorker,
    LocalCluster,
    Worker,
    WorkerPlugin,
    as_completed,
    get_worker,
)
from pydantic import BaseModel, ConfigDict, Field

from models.classifier import Classifier, load_classifier
from models.mistakes import Mistake, told
from tasks.attribute import ShardDone, attribute_shard
from tasks.narrow import Care, Suspicion
from tasks.shard import Job
from tasks.survey import survey_part

log = logging.getLogger("sightline")

# Dask gives every freed tensor's memory back at once, and the next batch asks for it again: with
# these, a worker keeps up to half a GiB and computes 1.4 times as fast. Key by key: a mapping in
# their place would drop Dask's own OMP_NUM_THREADS=1.
ALLOCATOR = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(512 << 20),
}
WORKERS: dict[str, Any] = {
    "distributed.worker.profile.enabled": False,  # it stops every thread again and again
    "distributed.admin.tick.interval": "500ms",  # what watches the loops costs more than they do
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.scheduler.active-memory-manager.start": False,  # no result stays on a worker
    # A death is told at once, to narrow down its cause; and only what runs is blamed for it.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-saturation": 1.0,
    **{f"distributed.nanny.pre-spawn-environ.{key}": value for key, value in ALLOCATOR.items()},
}
PATIENCE = 30  # seconds for the first worker of somebody else's cluster
WINDOW = 3  # shards under way for each worker: none waits, and the coordinator holds few


class ClusterMistake(Mistake):
    """A Dask scheduler that cannot be used."""


class ComputeSettings(BaseModel):
    """Where the work is done. Changes no number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int | None = Field(
        None, ge=1, description="Processes of the local Dask cluster; one a GPU, else one a core."
    )
    dask: str | None = Field(None, description="Address of an existing Dask scheduler.")
    batch_size: int = Field(16, ge=1, description="Images a forward pass.")
    max_failures: int | None = Field(
        None, ge=0, description="Stop, with everything so far kept, after more failures than this."
    )


class ModelPlugin(WorkerPlugin):  # type: ignore[misc]
    """Loads the classifier once on each worker, also on one that is started again."""

    def __init__(self, job: Job) -> None:
        self.name = plugin_name(job)
        self.settings = job.model
        self.digest: str = job.identity["model"]
        self.memory_format = job.attribution.memory_format

    def setup(self, worker: Worker) -> None:
        self.turn = threading.Lock()  # hooks belong to one pass: threads of a worker take turns
        self.classifier: Classifier | None = None
        self.load(worker)

    def load(self, worker: Worker) -> Classifier:
        """The classifier; again by the next shard where a restarted worker could not read it."""
        if self.classifier is not None:
            return self.classifier
        classifier = load_classifier(self.settings)
        if classifier.digest != self.digest:
            raise ClusterMistake(
                f"worker {worker.address} reads another model at {self.settings.address}: "
                "give an address that means the same file everywhere"
            )
        place(classifier, _device_of(worker), self.memory_format)
        self.classifier = classifier
        return classifier


def plugin_name(job: Job) -> str:
    """One name a run: audits that share a cluster keep their models apart."""
    return f"sightline {job.identity['model']} {job.run.path}"


@dataclass
class Progress:
    """What was done so far, for those who wait; counts images."""

    total: int
    computed: int = 0
    reused: int = 0
    failed: int = 0
    devices: set[str] = field(default_factory=set)
    broken: int = 0  # shards that raised
    reason: str = ""  # of the first of them

    @property
    def done(self) -> int:
        return self.computed + self.reused + self.failed

    def lose(self, error: Exception) -> None:
        """A shard that could not be computed: told at the end, the other shards go on."""
        self.broken += 1
        if self.broken > 1:
            return
        self.reason = told(error)
        if not isinstance(error, OSError | KilledWorker):  # ours: for whoever mends it
            log.error("a shard failed", exc_info=error)

    def add(self, shard: ShardDone) -> None:
        self.computed += shard.computed
        self.reused += shard.reused
        self.failed += shard.failed
        self.devices.add(shard.device)


def place(classifier: Classifier, device: str, memory_format: str) -> None:
    """Move the network, in place, to where and how it computes."""
    network = classifier.network.to(device)
    if memory_format == "channels_last":
        network.to(memory_format=torch.channels_last)


def attribute_shards(
    client: Client, job: Job, shards: Iterable[int], progress: Progress, told: Callable[[], None]
) -> None:
    """Run the shards on the cluster, a few at a time, and keep only what they say of themselves."""
    crew = _Crew(client, job)
    waiting = iter(shards)
    try:
        for shard in islice(waiting, WINDOW * max(1, count_workers(client))):
            crew.submit(shard)
        for shard, result in crew.results():
            if isinstance(result, ShardDone):
                progress.add(crew.settled(result))
            elif not (isinstance(result, KilledWorker) and crew.submit_again(shard)):
                progress.lose(result)
            if not crew.has(shard):
                for following in islice(waiting, 1):
                    crew.submit(following)
            told()
    except BaseException:
        crew.cancel()
        raise


def survey_layers(client: Client, job: Job, wanted: Sequence[tuple[str, int]]) -> None:
    """Survey the activations that methods must know before the first shard."""
    resources = {"GPU": 1} if _has_gpus(client) else None
    futures = [
        client.submit(_run_survey, job, layer, part, pure=False, resources=resources)
        for layer, part in wanted
    ]
    if futures:
        log.info("surveying the activations of %s", ", ".join(sorted({name for name, _ in wanted})))
    try:
        for future in futures:
            future.result()
    except BaseException:
        client.cancel(futures, force=True)
        raise


class _Crew:
    """Shards under way: which future is which, and what is known of those that killed a worker."""

    def __init__(self, client: Client, job: Job) -> None:
        self.client, self.job = client, job
        self.resources = {"GPU": 1} if _has_gpus(client) else None
        self.running: dict[Future, int] = {}
        self.suspicions: dict[int, Suspicion] = {}
        self.finished = as_completed(loop=client.loop)

    def submit(self, shard: int, care: Care = Care()) -> None:
        future = self.client.submit(
            _run_shard, self.job, shard, care, pure=False, resources=self.resources
        )
        self.running[future] = shard
        self.finished.add(future)

    def submit_again(self, shard: int) -> bool:
        """Try a shard whose worker died with more care; False when that is of no use."""
        suspicion = self.suspicions.setdefault(shard, Suspicion())
        care = suspicion.after_death(self.job.run, shard)
        if care is not None:
            self.submit(shard, care)
        return care is not None

    def settled(self, done: ShardDone) -> ShardDone:
        """A shard that its worker had finished when it died is no less computed by this command."""
        if done.shard in self.suspicions and not done.computed:
            return replace(done, computed=done.reused, reused=0)
        return done

    def has(self, shard: int) -> bool:
        return shard in self.running.values()

    def results(self) -> Iterator[tuple[int, ShardDone | Exception]]:
        """Each shard that ended, as it ends, with what it says or the exception of its worker."""
        for future in self.finished:
            shard = self.running.pop(future)
            try:
                yield shard, future.result()
            except Exception as error:
                yield shard, error

    def cancel(self) -> None:
        self.client.cancel(list(self.running), force=True)


def _run_survey(job: Job, layer: str, part: int) -> None:
    worker = get_worker()
    plugin: ModelPlugin = worker.plugins[plugin_name(job)]
    with plugin.turn:
        survey_part(job, layer, part, plugin.load(worker))


def _run_shard(job: Job, shard: int, care: Care) -> ShardDone:
    worker = get_worker()
    plugin: ModelPlugin = worker.plugins[plugin_name(job)]
    with plugin.turn:
        return attribute_shard(job, shard, plugin.load(worker), care)


@contextmanager
def open_client(compute: ComputeSettings, scratch: str) -> Iterator[Client]:
    """A client of the named scheduler, or of a local cluster that ends with the block."""
    if compute.dask is not None:
        try:
            client = Client(compute.dask, timeout=10, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ClusterMistake(
                f"no Dask scheduler answers at {compute.dask}: start one (dask scheduler), "
                "or leave --dask out for a local cluster"
            ) from error
        with client:
            _await_workers(client, compute.dask)
            yield client
        return
    with (
        dask.config.set(WORKERS),
        LocalCluster(
            n_workers=local_workers(compute),
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # else any address and a fixed port
            local_directory=scratch,
            resources={"GPU": 1} if torch.cuda.is_available() else None,
            silence_logs=logging.CRITICAL,  # what fails is told by us, once
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _await_workers(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError as error:
        raise ClusterMistake(
            f"the Dask scheduler at {address} has had no worker for {PATIENCE} s: start one "
            f"(dask worker {address} --nthreads 1), or leave --dask out for a local cluster"
        ) from error


@contextmanager
def with_model(client: Client, job: Job) -> Iterator[None]:
    """The job's classifier on every worker inside; gone from them afterwards."""
    client.register_plugin(ModelPlugin(job))
    try:
        yield
    finally:
        client.unregister_worker_plugin(plugin_name(job))


def count_workers(client: Client) -> int:
    """Workers of the cluster, also of somebody else's."""
    return len(client.scheduler_info(n_workers=-1)["workers"])


def local_workers(compute: ComputeSettings) -> int:
    """Processes of a local cluster: what the user says, else one a GPU, else one a core."""
    if compute.workers is not None:
        return compute.workers
    count: int = torch.cuda.device_count() or CPU_COUNT
    return count


def decode_threads(compute: ComputeSettings) -> int:
    """Threads that decode beside each worker's computing."""
    cores: int = CPU_COUNT // local_workers(compute)
    return min(8, max(1, cores - 1))


def _device_of(worker: Worker) -> str:
    """Local workers are numbered and share the cards by their number."""
    if not torch.cuda.is_available():
        return "cpu"
    number = int(worker.name) if str(worker.name).isdigit() else 0
    return f"cuda:{number % torch.cuda.device_count()}"


def _has_gpus(client: Client) -> bool:
    workers: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    return any("GPU" in worker["resources"] for worker in workers.values())
