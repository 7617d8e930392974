"""Work on a cluster: shards and layer statistics are submitted, retried and counted."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from distributed import Client, Future, KilledWorker, as_completed, get_worker

from models.addresses import as_os_errors
from models.errors import UserError, describe_error, describe_os_error
from tasks.attribution.job import Job, UnfinishedShard
from tasks.attribution.layer_statistics import gather_moments
from tasks.attribution.retry_policy import RetryPolicy
from tasks.attribution.shard import ShardResult, attribute_shard
from tasks.execution.cluster import ModelPlugin, cancel, count_workers, has_gpus, plugin_name
from tasks.execution.silence_watch import SilenceWatch
from tasks.execution.worker_deaths import ShardFailures, check_deaths
from tasks.schema import StepCost

log = logging.getLogger("sightline")

WINDOW = 3  # shards submitted per worker: no worker waits, and the coordinator holds few
RECOUNT = 5.0  # seconds until the workers are counted again


@dataclass
class Progress:
    """Progress of a run, in images."""

    total: int
    computed: int = 0
    reused: int = 0
    failed: int = 0
    devices: set[str] = field(default_factory=set)
    steps: dict[str, StepCost] = field(default_factory=dict)  # by name
    broken: int = 0  # shards that raised
    reason: str = ""  # of the first of them

    @property
    def done(self) -> int:
        return self.computed + self.reused + self.failed

    def add_error(self, shard: int, error: Exception) -> None:
        """Count a shard that could not be computed; the others go on, and the end reports it."""
        self.broken += 1
        if self.broken > 1:
            return
        self.reason = _describe(error)
        if not isinstance(error, OSError | KilledWorker | UserError):  # a bug of ours
            log.error("a shard failed", exc_info=error, extra={"shard": shard})

    def add(self, shard: ShardResult) -> None:
        """Count a shard that was unfinished when it was submitted."""
        self.failed += shard.failed
        if not shard.device:  # finished meanwhile, by a worker that died before it reported
            self.computed += shard.reused
            return
        self.computed += shard.computed
        self.reused += shard.reused
        self.devices.add(shard.device)
        self.steps = add_steps(self.steps, shard.steps)


def add_steps(before: Mapping[str, StepCost], steps: Iterable[StepCost]) -> dict[str, StepCost]:
    """The costs of each step, added up."""
    total = dict(before)
    for step in steps:
        total[step.name] = total[step.name] + step if step.name in total else step
    return total


def _describe(error: Exception) -> str:
    """Why a shard could not be computed; a bug of ours by its exception."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, KilledWorker):
        return "its worker died again and again"
    return describe_os_error(error) if isinstance(error, OSError) else describe_error(error)


def attribute_shards(
    client: Client,
    job: Job,
    shards: Iterable[UnfinishedShard],
    progress: Progress,
    on_progress: Callable[[], None],
) -> None:
    """Run the shards on the cluster, a few at a time, and count what comes back."""
    queue = _ShardQueue(client, job)
    waiting = iter(shards)
    try:
        queue.fill(waiting)
        for shard, result in queue.results():
            if isinstance(result, ShardResult):
                progress.add(result)
            elif not (isinstance(result, KilledWorker) and queue.submit_again(shard.number)):
                progress.add_error(shard.number, result)
            queue.fill(waiting)
            on_progress()
    except BaseException:
        queue.cancel()
        raise


def gather_layer_statistics(client: Client, job: Job, missing: Sequence[tuple[str, int]]) -> None:
    """Compute the missing parts of the statistics that methods need before the first shard."""
    if not missing:
        return
    log.info("computing the layer statistics of %s", ", ".join(sorted({it for it, _ in missing})))
    resources = {"GPU": 1} if has_gpus(client) else None
    running: dict[Future, tuple[str, int]] = {}
    deaths: Counter[tuple[str, int]] = Counter()
    finished = as_completed(loop=client.loop)

    def submit(layer: str, part: int) -> None:
        future = client.submit(_run_moments, job, layer, part, pure=False, resources=resources)
        running[future] = (layer, part)
        finished.add(future)

    try:
        for layer, part in missing:
            submit(layer, part)
        with SilenceWatch(client, lambda: list(running)) as watch:
            for future in finished:
                watch.end_silence()
                layer, part = running.pop(future)
                try:
                    future.result()
                except KilledWorker:
                    deaths[layer, part] += 1
                    check_deaths(layer, deaths[layer, part])
                    submit(layer, part)
    except BaseException:
        cancel(client, running)
        raise


class _ShardQueue:
    """Shards under way: the future of each, and the failures of those that killed a worker."""

    def __init__(self, client: Client, job: Job) -> None:
        self.client, self.job = client, job
        self.resources = {"GPU": 1} if has_gpus(client) else None
        self.running: dict[Future, UnfinishedShard] = {}
        self.failures: dict[int, ShardFailures] = {}
        self.finished = as_completed(loop=client.loop)
        self.workers, self.counted = 0, -math.inf

    def fill(self, waiting: Iterator[UnfinishedShard]) -> None:
        """Submit until every worker has enough; they are counted anew, since they come and go."""
        now = time.monotonic()
        if now - self.counted >= RECOUNT:
            self.counted = now
            with suppress(OSError):  # whether the scheduler is away, the results say
                self.workers = count_workers(self.client)
        room = WINDOW * max(1, self.workers) - len(self.running)
        for shard in islice(waiting, max(0, room)):
            self.submit(shard)

    def submit(self, shard: UnfinishedShard, policy: RetryPolicy = RetryPolicy()) -> None:
        future = self.client.submit(
            _run_shard, self.job, shard, policy, pure=False, resources=self.resources
        )
        self.running[future] = shard
        self.finished.add(future)

    def submit_again(self, shard: int) -> bool:
        """Retry a shard whose worker died, more carefully; False when that is of no use."""
        failures = self.failures.setdefault(shard, ShardFailures())
        policy = failures.add_death(self.job.run, shard)
        if policy is not None:
            self.submit(UnfinishedShard(shard), policy)
        return policy is not None

    def results(self) -> Iterator[tuple[UnfinishedShard, ShardResult | Exception]]:
        """Each shard as it ends, with its result or its exception; raises where the scheduler has
        forgotten them."""
        with SilenceWatch(self.client, lambda: list(self.running)) as watch:
            for future in self.finished:
                watch.end_silence()
                shard = self.running.pop(future)
                try:
                    yield shard, future.result()
                except CancelledError:
                    raise
                except Exception as error:
                    yield shard, error

    def cancel(self) -> None:
        cancel(self.client, self.running)


def _run_moments(job: Job, layer: str, part: int) -> None:
    worker = get_worker()
    plugin: ModelPlugin = worker.plugins[plugin_name(job)]
    with plugin.lock, as_os_errors():  # those of storage clients cannot be unpickled
        gather_moments(job, layer, part, plugin.load(worker))


def _run_shard(job: Job, shard: UnfinishedShard, policy: RetryPolicy) -> ShardResult:
    worker = get_worker()
    plugin: ModelPlugin = worker.plugins[plugin_name(job)]
    with plugin.lock, as_os_errors():
        classifier = plugin.load(worker)
        return attribute_shard(job, shard.number, classifier, policy, shard.is_new)
