"""What to compute for each batch of a shard, and what each method needs for it.

Shapes: B images, C=3 channels, H W pixels, M masks, h w cells of the map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from models.classifier.classifier import Classifier
from models.methods.registry import Method, NetworkMethod, find_methods
from models.network.explain_request import ExplainRequest
from models.network.grid import Grid
from models.network.layers import cached_grid
from models.network.statistics import Statistics
from tasks.attribution.settings import AttributionSettings
from tasks.interventions.intervene import Interventions
from tasks.runs.stages import FOREGROUNDS, INTERVENTIONS, Stage


@dataclass(frozen=True)
class Plan:
    """What to compute for each batch of a shard."""

    classifier: Classifier
    attribution: AttributionSettings
    stages: frozenset[Stage]
    interventions: Interventions | None = None
    statistics: Mapping[str, Statistics] = field(default_factory=dict)  # by layer
    room: int = 64  # pictures in one call of the network that keeps what a gradient needs
    tested: bool = False  # do sanity checks run on these images?

    @property
    def intervenes(self) -> bool:
        return self.wants(INTERVENTIONS)

    @property
    def judges_estimates(self) -> bool:
        return self.wants(FOREGROUNDS) or any(stage.estimated for stage in self.stages)

    @cached_property
    def methods(self) -> tuple[Method, ...]:
        names = {stage.method for stage in self.stages}
        return tuple(m for m in find_methods(self.attribution.methods) if m.name in names)

    def wants(self, *stages: Stage) -> bool:
        """Is one of these stages to be written, for any method?"""
        return any(stage.is_one_of(*stages) for stage in self.stages)

    def other_masks(self, cells: tuple[int, int]) -> Tensor | None:
        """Some donors' masks, on a map's cells."""
        if self.interventions is None:
            return None
        return self.interventions.pool.masks_on(cells).to(self.device)

    def explain_request(
        self, method: Method, image_BCHW: Tensor, target_B: Tensor
    ) -> ExplainRequest:
        """What the method needs to explain these images."""
        grid = self._grid(method)
        statistics = None if grid is None else self.statistics.get(grid.layer)
        return ExplainRequest(
            self.classifier.network,
            image_BCHW,
            target_B,
            self.room,
            grid,
            None if statistics is None else statistics.to(self.device),
        )

    def _grid(self, method: Method) -> Grid | None:
        if isinstance(method, NetworkMethod) and method.layer:
            classifier = self.classifier
            return cached_grid(classifier.network, method.layer, classifier.preprocessing.size)
        return self.classifier.grid

    @property
    def device(self) -> torch.device:
        return self.classifier.device
