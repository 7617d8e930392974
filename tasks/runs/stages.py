"""The stages of an audit: which parts each writes, and in which folder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pyarrow as pa

from tasks import schema


@dataclass(frozen=True)
class Stage:
    """A kind of part. Some stages write parts per method: `.of(method)`, each in its own folder."""

    name: str  # of its folder: old runs have the same one
    columns: pa.Schema | None = field(default=None, compare=False)  # None: its writer has them
    intervenes: bool = False  # made from changed pictures
    has_failures: bool = False  # has a failures folder, which is complete when its part is
    method: str = ""
    estimated: bool = False  # made from estimates instead of annotations, to evaluate these

    def of(self, method: str) -> Stage:
        return replace(self, method=method)

    def from_estimates(self) -> Stage:
        return replace(self, estimated=True)

    def is_one_of(self, *stages: Stage) -> bool:
        """With any method, from annotations or estimates."""
        return self.name in {stage.name for stage in stages}

    @property
    def folder(self) -> str:
        """Inside the run folder."""
        estimated = ESTIMATED if self.estimated else ""
        return "/".join(filter(None, (estimated, self.name, self.method)))

    @property
    def failures(self) -> Stage | None:
        """The stage of its failures; None where it keeps none."""
        if not self.has_failures or self.estimated:
            return None
        return FAILURES.of(self.method or self.name)


ESTIMATED = "estimated"  # folder

PREDICTIONS = Stage("predictions", schema.PREDICTIONS, has_failures=True)
FEATURES = Stage("features", schema.FEATURES)
MAPS = Stage("maps", schema.maps_schema(1, 1), has_failures=True)  # per method
SCORES = Stage("scores", schema.SCORES)  # per method
FAITHFULNESS = Stage("merits", schema.MERITS)  # per method
SANITY = Stage("trials", schema.TRIALS)  # per method
INTERVENTIONS = Stage("interventions", schema.INTERVENTIONS, intervenes=True, has_failures=True)
DONOR_PREDICTIONS = Stage("votes", intervenes=True)  # one part per run
FOREGROUNDS = Stage("foregrounds", schema.FOREGROUNDS)
ATTENDED_BACKGROUND = Stage("attended_background", schema.ATTENDED_BACKGROUND)  # of one method
PICTURE_PROPERTIES = Stage("picture_properties", schema.PICTURE_PROPERTIES)
PATTERN_TRIALS = Stage("pattern_trials", schema.PATTERN_TRIALS)  # a part per trial
LAYER_STATISTICS = Stage("statistics")  # per layer
FAILURES = Stage("failures", schema.FAILURES)  # of predictions, interventions, and each method
PREDICT = "predict"  # in the failures of predictions: the model's own
FAILED_PREDICTIONS = FAILURES.of(PREDICTIONS.name)

STAGES = (
    *(PREDICTIONS, FEATURES, MAPS, SCORES, FAITHFULNESS, SANITY, INTERVENTIONS),
    *(DONOR_PREDICTIONS, FOREGROUNDS, ATTENDED_BACKGROUND, PICTURE_PROPERTIES),
    *(PATTERN_TRIALS, LAYER_STATISTICS, FAILURES),
)
