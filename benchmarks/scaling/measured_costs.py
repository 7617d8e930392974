"""The costs that the study measured last, in costs.json beside it: forecasts start from them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.scaling.model import Costs

FILE = Path(__file__).with_name("costs.json")


@dataclass(frozen=True)
class MeasuredCosts:
    """Seconds, and requests to S3."""

    date: str
    image: dict[str, float]  # by subject: of a worker, an image
    read: dict[str, float]  # by subject: of that, to read and decode it
    forward: dict[str, float]  # by subject: a bare forward pass
    shard: float  # of a worker, besides its images
    coordinator: float  # a shard
    scheduler: float  # a shard
    worker: float  # a shard, for Dask's messages
    one_process: dict[str, float]  # by step, an image
    start: float  # of two workers, once
    bytes_per_image: float  # stored
    requests_per_shard: float

    def of(self, subject: str) -> Costs:
        """On a cluster whose scheduler has a process of its own: the busier of the two decides."""
        return self._costs(self.image[subject], max(self.coordinator, self.scheduler))

    def of_local(self, subject: str) -> Costs:
        """On one machine, where both are one process."""
        return self._costs(self.image[subject], self.coordinator + self.scheduler)

    def of_image(self, seconds: float) -> Costs:
        """Of any network and any worker, from what an image takes."""
        return self._costs(seconds, max(self.coordinator, self.scheduler))

    def _costs(self, image: float, dispatch: float) -> Costs:
        return Costs(
            image=image,
            shard=self.shard + self.worker,
            dispatch=dispatch,
            serial=sum(self.one_process.values()),
            start=self.start,
        )

    def write(self) -> None:
        FILE.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def read_costs() -> MeasuredCosts:
    return MeasuredCosts(**json.loads(FILE.read_text(encoding="utf-8")))
