"""How long an audit takes on so many workers: foretold from what its parts cost.

    shard   = costs.shard + size x costs.image            one worker, one shard
    compute = max(all shards dispatched one after another, and the last one computed;
                  the last worker's first shard dispatched, and its share of all shards computed)
    total   = costs.start + compute + images x costs.serial

Workers compute side by side; the coordinator and the scheduler handle one shard after another, and
the catalog, the flags and the page are one process's work. Shards are alike, and no worker dies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SIZES = tuple(1 << power for power in range(4, 14))  # of shards, in images
ENOUGH = 0.95  # of the workers' time: a size that leaves so much to images is as good as any


@dataclass(frozen=True)
class Costs:
    """Seconds that each part of an audit takes."""

    image: float  # of a worker, an image: read, decode, pass, encode
    shard: float  # of a worker, a shard, besides its images: rows, fingerprints, files, messages
    dispatch: float  # of the coordinator or the scheduler, a shard: submitted, collected, counted
    serial: float = 0.0  # of one process, an image: catalog, flags, figures, page
    start: float = 0.0  # once: workers start and load the model

    def of_shard(self, size: int) -> float:
        """What a shard of so many images takes a worker."""
        return self.shard + size * self.image


@dataclass(frozen=True)
class Forecast:
    """What is foretold of an audit."""

    compute: float  # seconds in which shards are computed
    total: float  # seconds of everything
    images_per_second: float  # while shards are computed
    efficiency: float  # share of the workers' time, while shards are computed, that images take
    speedup: float  # of everything, over one worker


def foretell(costs: Costs, workers: int, images: int, size: int) -> Forecast:
    """An audit of so many images by so many workers, in shards of this size."""
    compute = _compute(costs, workers, images, size)
    rest = costs.start + images * costs.serial
    alone = _compute(costs, 1, images, size) + rest
    return Forecast(
        compute=compute,
        total=compute + rest,
        images_per_second=images / compute,
        efficiency=images * costs.image / (workers * compute),
        speedup=alone / (compute + rest),
    )


def saturating_workers(costs: Costs, size: int) -> float:
    """So many workers keep the coordinator busy: more of them wait for it."""
    return costs.of_shard(size) / costs.dispatch


def best_size(costs: Costs, workers: int, images: int) -> int:
    """The smallest shards with which images take nearly the whole of the workers' time, since what
    a dead worker loses is a shard; else those with which they take most of it."""
    shares = {size: foretell(costs, workers, images, size).efficiency for size in SIZES}
    most = max(SIZES, key=lambda size: shares[size])
    return next((size for size in SIZES if shares[size] >= ENOUGH), most)


def _compute(costs: Costs, workers: int, images: int, size: int) -> float:
    shards = math.ceil(images / size)
    each = costs.of_shard(min(size, images))
    dispatched = shards * costs.dispatch + each
    computed = min(workers, shards) * costs.dispatch + math.ceil(shards / workers) * each
    return max(dispatched, computed)
