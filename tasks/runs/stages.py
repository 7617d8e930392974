"""The stages of an audit: what each writes for a shard of the catalog, and in which folder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pyarrow as pa

from tasks import schema


@dataclass(frozen=True)
class Stage:
    """A kind of part. A stage of each method is asked `.of(method)`, and lies in a folder each."""

    name: str  # of its folder; old runs have the same
    columns: pa.Schema | None = field(default=None, compare=False)  # None: its writer's own
    intervenes: bool = False  # made from changed pictures
    has_failures: bool = False  # keeps what failed beside its parts, and vouches for it
    method: str = ""
    estimated: bool = False  # as if annotated images had estimates alone, to judge these

    def of(self, method: str) -> Stage:
        return replace(self, method=method)

    def from_estimates(self) -> Stage:
        return replace(self, estimated=True)

    def is_one_of(self, *stages: Stage) -> bool:
        """Of whatever method, and by whatever foregrounds."""
        return self.name in {stage.name for stage in stages}

    @property
    def folder(self) -> str:
        """Inside the run folder."""
        estimated = ESTIMATED if self.estimated else ""
        return "/".join(filter(None, (estimated, self.name, self.method)))

    @property
    def failures(self) -> Stage | None:
        """What failed in it; None for what vouches for no failure."""
        if not self.has_failures or self.estimated:
            return None
        return FAILURES.of(self.method or self.name)


ESTIMATED = "estimated"  # folder

PREDICTIONS = Stage("predictions", schema.PREDICTIONS, has_failures=True)
FEATURES = Stage("features", schema.FEATURES)
MAPS = Stage("maps", schema.maps_schema(1, 1), has_failures=True)  # of each method
SCORES = Stage("scores", schema.SCORES)  # of each method
FAITHFULNESS = Stage("merits", schema.MERITS)  # of each method
SANITY = Stage("trials", schema.TRIALS)  # of each method
INTERVENTIONS = Stage("interventions", schema.INTERVENTIONS, intervenes=True, has_failures=True)
DONOR_PREDICTIONS = Stage("votes", intervenes=True)  # one part a run
FOREGROUNDS = Stage("foregrounds", schema.FOREGROUNDS)
LAYER_STATISTICS = Stage("statistics")  # of each layer
FAILURES = Stage("failures", schema.FAILURES)  # of predictions, interventions, and each method

STAGES = (
    *(PREDICTIONS, FEATURES, MAPS, SCORES, FAITHFULNESS, SANITY, INTERVENTIONS),
    *(DONOR_PREDICTIONS, FOREGROUNDS, LAYER_STATISTICS, FAILURES),
)
