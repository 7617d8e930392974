"""The model of an audit's costs, at its limits and against a simulation of the queue."""

from __future__ import annotations

import heapq
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scaling.model import (
    SIZES,
    Costs,
    best_size,
    foretell,
    saturating_workers,
)

COSTS = Costs(image=0.1, shard=0.2, dispatch=0.005, serial=0.0001, start=10)
MANY = 1_000_000

seconds = st.floats(1e-4, 10)
some_costs = st.builds(Costs, image=seconds, shard=seconds, dispatch=seconds)
counts = st.integers(1, 3_000)


def simulate(costs: Costs, workers: int, images: int, size: int) -> float:
    """Shards leave the coordinator one by one, each to the worker that is free first."""
    free = [0.0] * workers
    end = 0.0
    for shard in range(math.ceil(images / size)):
        submitted = (shard + 1) * costs.dispatch
        end = max(submitted, heapq.heappop(free)) + costs.of_shard(min(size, images))
        heapq.heappush(free, end)
    return max(free)


@given(some_costs, st.integers(1, 40), counts, st.sampled_from((1, 16, 256)))
def test_computing_takes_what_a_simulated_queue_takes(
    costs: Costs, workers: int, images: int, size: int
) -> None:
    """Between them lies at most the first round, in which workers wait for their first shard."""
    foretold = foretell(costs, workers, images, size).compute
    simulated = simulate(costs, workers, images, size)
    first_round = workers * costs.dispatch
    assert simulated - 1e-6 * simulated <= foretold <= simulated + first_round + 1e-6 * simulated


def test_one_worker_computes_every_shard_itself() -> None:
    found = foretell(COSTS, 1, 1_024, 256)
    assert found.compute == pytest.approx(0.005 + 4 * (0.2 + 25.6))
    assert found.total == pytest.approx(found.compute + 10 + 0.1024)
    assert found.speedup == 1


def test_endless_workers_leave_the_coordinator_and_one_shard() -> None:
    found = foretell(COSTS, 10**9, MANY, 256)
    assert found.compute == pytest.approx(math.ceil(MANY / 256) * 0.005 + 25.8)


def test_a_coordinator_that_costs_nothing_is_never_saturated() -> None:
    free = replace(COSTS, dispatch=1e-12, shard=0.0, serial=0.0, start=0.0)
    found = foretell(free, 64, 64 * 256 * 10, 256)
    assert found.efficiency == pytest.approx(1)
    assert found.speedup == pytest.approx(64)


@given(some_costs, st.integers(1, 2_000), st.integers(1, 2_000), counts, st.sampled_from(SIZES))
def test_more_workers_never_take_longer_than_their_first_shards(
    costs: Costs, some: int, more: int, images: int, size: int
) -> None:
    """What a worker adds at worst is the dispatch of one shard more before all have one."""
    few = foretell(costs, some, images, size).compute
    many = foretell(costs, some + more, images, size).compute
    assert many <= few + more * costs.dispatch + 1e-6 * few


@given(some_costs, st.integers(1, 2_000), counts, st.sampled_from(SIZES))
def test_no_efficiency_exceeds_the_whole(
    costs: Costs, workers: int, images: int, size: int
) -> None:
    found = foretell(costs, workers, images, size)
    assert 0 < found.efficiency <= 1
    assert found.speedup <= workers * (1 + 1e-9)


def test_from_the_saturating_number_on_workers_add_nothing() -> None:
    enough = round(saturating_workers(COSTS, 256))
    assert enough == 5_160
    at, beyond = (foretell(COSTS, count, 10**7, 256) for count in (enough, 4 * enough))
    assert beyond.compute == pytest.approx(at.compute, rel=0.15)
    half = foretell(COSTS, enough // 2, 10**7, 256)
    assert half.compute == pytest.approx(2 * at.compute, rel=0.15)


def test_the_best_shards_grow_with_what_a_shard_costs() -> None:
    small, large = (best_size(replace(COSTS, shard=cost), 8, MANY) for cost in (0.05, 5.0))
    assert small < large
    assert foretell(COSTS, 8, MANY, best_size(COSTS, 8, MANY)).efficiency >= 0.95


def test_few_images_make_small_shards_best() -> None:
    """Else most workers have none."""
    assert best_size(COSTS, 512, 10_000) < best_size(COSTS, 2, 10_000)
