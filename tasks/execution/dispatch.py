"""Shards and surveys under way on a cluster: submitted, tried again with more care, counted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from distributed import Client, Future, KilledWorker, as_completed, get_worker

from models.errors import describe_error
from tasks.attribution.job import Job
from tasks.attribution.layer_statistics import survey_part
from tasks.attribution.retries import RetryPolicy, ShardFailures
from tasks.attribution.shard import ShardResult, attribute_shard
from tasks.execution.cluster import ModelPlugin, count_workers, has_gpus, plugin_name

log = logging.getLogger("sightline")

WINDOW = 3  # shards under way for each worker: none waits, and the coordinator holds few


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
        """A shard that could not be computed: reported at the end, the other shards go on."""
        self.broken += 1
        if self.broken > 1:
            return
        self.reason = describe_error(error)
        if not isinstance(error, OSError | KilledWorker):  # ours: for whoever mends it
            log.error("a shard failed", exc_info=error)

    def add(self, shard: ShardResult) -> None:
        self.computed += shard.computed
        self.reused += shard.reused
        self.failed += shard.failed
        self.devices.add(shard.device)


def attribute_shards(
    client: Client,
    job: Job,
    shards: Iterable[int],
    progress: Progress,
    on_progress: Callable[[], None],
) -> None:
    """Run the shards on the cluster, a few at a time, and keep only what they say of themselves."""
    queue = _ShardQueue(client, job)
    waiting = iter(shards)
    try:
        for shard in islice(waiting, WINDOW * max(1, count_workers(client))):
            queue.submit(shard)
        for shard, result in queue.results():
            if isinstance(result, ShardResult):
                progress.add(queue.correct(result))
            elif not (isinstance(result, KilledWorker) and queue.submit_again(shard)):
                progress.lose(result)
            if not queue.has(shard):
                for following in islice(waiting, 1):
                    queue.submit(following)
            on_progress()
    except BaseException:
        queue.cancel()
        raise


def survey_layers(client: Client, job: Job, wanted: Sequence[tuple[str, int]]) -> None:
    """Survey the activations that methods must know before the first shard."""
    resources = {"GPU": 1} if has_gpus(client) else None
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


class _ShardQueue:
    """Shards under way: which future is which, and what is known of those that killed a worker."""

    def __init__(self, client: Client, job: Job) -> None:
        self.client, self.job = client, job
        self.resources = {"GPU": 1} if has_gpus(client) else None
        self.running: dict[Future, int] = {}
        self.suspicions: dict[int, ShardFailures] = {}
        self.finished = as_completed(loop=client.loop)

    def submit(self, shard: int, care: RetryPolicy = RetryPolicy()) -> None:
        future = self.client.submit(
            _run_shard, self.job, shard, care, pure=False, resources=self.resources
        )
        self.running[future] = shard
        self.finished.add(future)

    def submit_again(self, shard: int) -> bool:
        """Try a shard whose worker died with more care; False when that is of no use."""
        suspicion = self.suspicions.setdefault(shard, ShardFailures())
        care = suspicion.after_death(self.job.run, shard)
        if care is not None:
            self.submit(shard, care)
        return care is not None

    def correct(self, done: ShardResult) -> ShardResult:
        """A shard that its worker had finished when it died is no less computed by this command."""
        if done.shard in self.suspicions and not done.computed:
            return replace(done, computed=done.reused, reused=0)
        return done

    def has(self, shard: int) -> bool:
        return shard in self.running.values()

    def results(self) -> Iterator[tuple[int, ShardResult | Exception]]:
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


def _run_shard(job: Job, shard: int, care: RetryPolicy) -> ShardResult:
    worker = get_worker()
    plugin: ModelPlugin = worker.plugins[plugin_name(job)]
    with plugin.turn:
        return attribute_shard(job, shard, plugin.load(worker), care)
