"""What each part of an audit costs, and whether the model foretells what is then measured.

python -m benchmarks.scaling.study [--quick] [--json|--markdown]. Work is CPU time of one thread;
shards that only sleep, and audits by one and by two workers, are timed by the clock. The costs are
kept in costs.json, from which `python -m benchmarks.scaling.foretell` foretells.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import psutil

from benchmarks.measure import Figure, at_most, main
from benchmarks.scaling.measured_costs import MeasuredCosts
from benchmarks.scaling.model import Costs, foretell
from benchmarks.scaling.one_process import measure_one_process
from benchmarks.scaling.orchestration import Measured, SleepingCluster, sleeping_cluster
from benchmarks.scaling.storage import Requests, measure_requests
from benchmarks.scaling.subjects import Subject, resnet18, small_network
from benchmarks.scaling.work import Work, measure_work, stored_bytes
from tasks.execution.attribution_stage import attribute_run
from tasks.execution.settings import ComputeSettings
from tasks.runs.folder import RunFolder

FIRST = 3  # shards; the first predicts the donors, too
REQUESTS = 20  # to S3 a shard, at most
CLOSE = 1.15  # times what was foretold, at most, and at least its inverse


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    pictures: int  # of 64 px
    sizes: tuple[int, int]  # of their shards
    photographs: int
    photograph_sizes: tuple[int, int]
    rounds: int
    trivial: int  # shards that do nothing, a round
    sleeping: tuple[tuple[int, float, int], ...]  # workers, seconds a shard, shards
    lengths: tuple[int, int]  # images of the runs that one process works on
    audited: int  # images, by one and by two workers

    @property
    def shard(self) -> int:
        """Images of each of the shards of that audit."""
        return max(1, self.audited // 16)


WHOLE = Scale(
    pictures=1_024,
    sizes=(8, 136),
    photographs=200,
    photograph_sizes=(4, 20),
    rounds=5,
    trivial=400,
    sleeping=((8, 0.2, 320), (64, 1.0, 640), (64, 0.05, 640)),
    lengths=(2_000, 50_000),
    audited=1_024,
)
QUICK = Scale(64, (4, 12), 12, (2, 4), 2, 40, ((8, 0.05, 40),), (500, 8_000), 64)


def run(quick: bool) -> list[Figure]:
    """Everything; --quick: roughly, and kept nowhere."""
    scale = QUICK if quick else WHOLE
    with tempfile.TemporaryDirectory() as folder:
        figures, costs = measure(scale, Path(folder))
    if not quick:
        costs.write()
    return figures


def measure(scale: Scale, folder: Path) -> tuple[list[Figure], MeasuredCosts]:
    """The figures, and the costs that they add up to."""
    small = small_network(_made(folder / "small"), scale.pictures)
    large = resnet18(_made(folder / "large"), scale.photographs)
    work = {
        small.name: measure_work(small, folder / "work", scale.sizes, scale.rounds),
        large.name: measure_work(large, folder / "large", scale.photograph_sizes, scale.rounds),
    }
    requests = measure_requests(small, (4, 12), (4, 8))
    stored = stored_bytes(small, _made(folder / "stored"), min(scale.pictures, 256))
    steps = measure_one_process(folder / "one", scale.lengths)
    trivial, sleeping = _sleep(scale, folder / "clusters")
    of_most = trivial[max(trivial)]
    audits = _audit(small, _made(folder / "audits"), scale)
    costs = MeasuredCosts(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        image={name: median(it.image) for name, it in work.items()},
        read={name: median(it.read) for name, it in work.items()},
        forward={name: median(it.forward) for name, it in work.items()},
        shard=median(work[small.name].shard),
        coordinator=median(it.coordinator for it in of_most),
        scheduler=median(it.scheduler for it in of_most),
        worker=median(it.workers for it in of_most),
        one_process=steps,
        start=median(it.start for it in audits),
        bytes_per_image=stored,
        requests_per_shard=requests.shard,
    )
    figures = [figure for name, it in work.items() for figure in _of_work(name, it)]
    alone = _ms(work[small.name].shard)
    figures.append(at_most(None, f"{small.name}: ms a shard besides its images", alone))
    figures += [*_of_storage(requests, stored), *_of_steps(steps), *_of_shards(trivial)]
    figures += [*sleeping, *_of_audits(audits, costs.of_local(small.name), scale)]
    return figures, costs


def _sleep(scale: Scale, folder: Path) -> tuple[dict[int, list[Measured]], list[Figure]]:
    """By workers, shards that do nothing; and those that sleep, beside what is foretold from the
    former on two workers in the same round."""
    counts = sorted({2, *(workers for workers, _, _ in scale.sleeping)})
    trivial: dict[int, list[Measured]] = {count: [] for count in counts}
    ratios: dict[tuple[int, float, int], list[float]] = {case: [] for case in scale.sleeping}
    with ExitStack() as stack:
        clusters = {
            count: stack.enter_context(sleeping_cluster(_made(folder / f"{count}"), count))
            for count in counts
        }
        for cluster in clusters.values():  # the scheduler imports what the first shard names
            cluster.compute(3 * cluster.workers, 0)
        for _ in range(scale.rounds):
            for count, cluster in clusters.items():
                trivial[count].append(cluster.compute(scale.trivial, 0))
            for case in scale.sleeping:
                ratios[case].append(_beside_foretold(clusters[case[0]], case, trivial[2][-1]))
    return trivial, [_of_sleep(case, found) for case, found in ratios.items()]


def _beside_foretold(
    cluster: SleepingCluster, case: tuple[int, float, int], trivial: Measured
) -> float:
    """Measured seconds, times those foretold."""
    workers, seconds, shards = case
    costs = Costs(image=seconds, shard=trivial.workers, dispatch=trivial.wall)
    return cluster.compute(shards, seconds).seconds / foretell(costs, workers, shards, 1).compute


def _of_sleep(case: tuple[int, float, int], found: list[float]) -> Figure:
    workers, seconds, shards = case
    name = f"{shards} shards that sleep {seconds:g} s on {workers} workers: seconds, times foretold"
    figure = at_most(CLOSE, name, found)
    return replace(
        figure,
        goal=f"from {1 / CLOSE:.2f} to {CLOSE:g}",
        holds=1 / CLOSE <= figure.value <= CLOSE,
    )


@dataclass(frozen=True)
class _Audit:
    """A real one, of real workers."""

    workers: int
    seconds: float  # while shards are computed
    start: float  # seconds until then
    cpu: float  # seconds of the workers a shard, without the first shards


def _audit(subject: Subject, folder: Path, scale: Scale) -> list[_Audit]:
    """By one worker and by two, in turns; the first of each warms the disk's cache."""
    found = []
    for turn in range(3):
        for workers in (1, 2) if turn % 2 else (2, 1):
            run = subject.prepare(str(folder / f"{workers}-{turn}"), scale.shard, scale.audited)
            audit = _audit_once(run, workers, str(folder / "dask"))
            if turn:
                found.append(audit)
    return found


def _audit_once(run: RunFolder, workers: int, scratch: str) -> _Audit:
    spent: list[float] = []  # CPU seconds when each shard was counted
    start = time.perf_counter()
    cost = attribute_run(
        run, ComputeSettings(workers=workers), scratch, lambda _: spent.append(_spent())
    )
    whole = time.perf_counter() - start
    cpu = (spent[-1] - spent[FIRST]) / (len(spent) - 1 - FIRST)
    return _Audit(workers, cost.seconds, whole - cost.seconds, cpu)


def _spent() -> float:
    """CPU seconds of the processes that this one has started and that run."""
    times = [process.cpu_times() for process in psutil.Process().children(recursive=True)]
    return float(sum(it.user + it.system for it in times))


def _of_audits(audits: list[_Audit], costs: Costs, scale: Scale) -> Iterator[Figure]:
    seconds = {count: [it.seconds for it in audits if it.workers == count] for count in (1, 2)}
    size = scale.shard
    for count, found in seconds.items():
        foretold = foretell(costs, count, scale.audited, size).compute
        name = f"{scale.audited:,} images, {count} worker{'s' * (count > 1)}"
        yield Figure(f"{name}: images a second", scale.audited / median(found))
        yield at_most(None, f"{name}: seconds, times foretold", [it / foretold for it in found])
        cpu = [it.cpu / costs.of_shard(size) for it in audits if it.workers == count]
        yield at_most(None, f"{name}: CPU seconds of workers a shard, times foretold", cpu)
    pairs = zip(seconds[1], seconds[2], strict=True)
    yield at_most(None, "2 workers, times the speed of 1", [one / two for one, two in pairs])
    yield at_most(None, "seconds until the first shard", [it.start for it in audits])


def _of_work(name: str, work: Work) -> Iterator[Figure]:
    yield at_most(None, f"{name}: ms an image", _ms(work.image))
    yield at_most(None, f"{name}: ms of it to read and decode picture and mask", _ms(work.read))
    yield at_most(None, f"{name}: ms of a forward pass", _ms(work.forward))
    yield at_most(None, f"{name}: forward passes that the rest takes", work.passes)


def _of_storage(requests: Requests, stored: float) -> Iterator[Figure]:
    yield Figure("bytes stored an image", stored)
    yield Figure("requests to S3 an image and its mask", requests.image)
    of_worker = Figure("requests to S3 a shard, of its worker", requests.shard)
    yield replace(of_worker, goal=f"at most {REQUESTS}", holds=requests.shard <= REQUESTS)
    yield Figure("requests to S3 a shard, for flags, figures and page", requests.figures)
    yield Figure("requests to S3 to find 3 unfinished shards", requests.search)


def _of_steps(steps: dict[str, float]) -> Iterator[Figure]:
    for step, seconds in steps.items():
        yield Figure(f"one process, {step}: µs an image", 1e6 * seconds)


def _of_shards(trivial: dict[int, list[Measured]]) -> Iterator[Figure]:
    for count, found in trivial.items():
        name = f"shards that do nothing, {count} workers"
        for part in fields(Measured)[1:]:
            kind = "ms on the clock" if part.name == "wall" else f"CPU ms of the {part.name}"
            yield at_most(None, f"{name}: {kind}", _ms([getattr(it, part.name) for it in found]))


def _ms(seconds: list[float]) -> list[float]:
    return [1e3 * it for it in seconds]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main(run)
