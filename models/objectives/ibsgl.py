"""Saliency guided by an information bottleneck (IB-SGL, BMVC 2022), in two forms.

The map of the class, gradient * activation of the last layer with cells, is pulled towards the map
of the information bottleneck and pushed away from the map of the strongest other class. The
gradient is a constant: only the layers up to the activation learn from the maps. `code` is what the
authors' program does, without its bugs; `paper` is the printed algorithm: the activation takes a
step down the maps' loss, and the network is pulled to where that step ends.
Shapes: B images, K classes, D channels, h w cells, N images of the training set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from models.errors import UserError, list_names, suggest
from models.methods.iba import iba
from models.methods.settings import IbaSettings
from models.network.capture import as_found
from models.network.explain_request import ExplainRequest
from models.network.statistics import Moments, Statistics
from models.objectives.step import (
    Batch,
    Learner,
    Loss,
    Objective,
    Sweep,
    at_least_float32,
    classification_loss,
    mean_of,
)

CHOICES = {
    "refresh": ("never", "epoch", "step"),
    "suppress": ("correct", "always", "wrong"),
    "maps": ("spatial", "rows"),
}
BOTTLENECK = IbaSettings()
MAPS_KEY = "ib_map_Nhw"
STATISTICS_KEYS = {name: f"ib_{name}" for name in ("mean_Dhw", "deviation_Dhw", "active_Dhw")}
MIN_RANGE = 1e-6  # between a map's largest and smallest value; below it the map is flat
TEMPERATURE = 0.1  # of a map from 0 to 1 as a distribution over its cells
SHARPNESS, HIGH = 100.0, 0.55  # of the sigmoid that finds high cells, as in the authors' program
STEP = 0.1  # of the activation, as a share of its length


@dataclass(frozen=True)
class Guide:
    """The constants that the maps of a batch are made with and compared to."""

    gradient_BDhw: Tensor  # of the target's logit
    rival_BDhw: Tensor  # of the strongest other class's
    bottleneck_Bhw: Tensor  # 0 to 1; zeros where it is flat
    suppressed_B: Tensor  # bool


@dataclass(frozen=True)
class IbsglCode(Objective):
    """Cross entropy of predictions and of maps, and the overlap with the rival class's map."""

    beta: float = 1.0  # weight of the overlap within the maps' loss
    mu: float = 1.0  # weight of the maps' loss
    maps: str = "spatial"  # as distributions over all cells, or over each row's as in the program
    suppress: str = "correct"  # predictions whose rival's map is pushed away
    refresh: str = "epoch"  # how often the bottleneck's maps are made anew
    layer: str = ""  # by default the classifier's

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                hint = suggest(value, allowed)
                raise UserError(f"ibsgl: {name}={value}{hint}: it is one of {list_names(allowed)}")

    @property
    def layers(self) -> tuple[str, ...]:
        return (self.layer,)

    def prepare(self, learner: Learner, sweep: Sweep, epoch: int) -> None:
        if epoch and self.refresh == "never":
            return
        statistics = layer_statistics(learner, sweep)
        for name, key in STATISTICS_KEYS.items():
            learner.memory[key] = getattr(statistics, name)
        if self.refresh != "step":
            learner.memory[MAPS_KEY] = compute_all_maps(learner, sweep)

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        cross_entropy, activation_BDhw, guide = self._forward(learner, batch)
        match, overlap = self._terms(activation_BDhw, guide)
        return Loss(
            cross_entropy + self.mu * (match + self.beta * overlap),
            {"cross_entropy": cross_entropy, "maps": match, "overlap": overlap},
        )

    def _forward(self, learner: Learner, batch: Batch) -> tuple[Tensor, Tensor, Guide]:
        """Cross entropy, the layer's activation with its graph, and the guide."""
        bottleneck_Bhw = self._bottleneck(learner, batch)
        (grid,), target_B = learner.grids, batch.target_B
        with learner.capture_outputs() as outputs:
            logits_BK = at_least_float32(learner.network(batch.image_BCHW))
            output = outputs[0][-1]
            own_BDhw, rival_BDhw = (
                at_least_float32(grid.arrange(gradient_of(logits_BK, class_B, output)))
                for class_B in (target_B, rival_class(logits_BK, target_B))
            )
        suppressed_B = self._suppressed(logits_BK.argmax(1) == target_B)
        guide = Guide(own_BDhw, rival_BDhw, bottleneck_Bhw, suppressed_B)
        return classification_loss(logits_BK, batch), at_least_float32(grid.arrange(output)), guide

    def _suppressed(self, correct_B: Tensor) -> Tensor:
        if self.suppress == "always":
            return torch.ones_like(correct_B)
        return correct_B if self.suppress == "correct" else ~correct_B

    def _bottleneck(self, learner: Learner, batch: Batch) -> Tensor:
        if self.refresh == "step":
            return bottleneck_maps(learner, batch.image_BCHW, batch.target_B)
        return recall_maps(learner, batch)

    def _terms(self, activation_BDhw: Tensor, guide: Guide) -> tuple[Tensor, Tensor]:
        """Cross entropy of maps; overlap of the class's map with its rival's. Means over images."""
        own_Bhw, varies_B = scale_to_unit(saliency(activation_BDhw, guide.gradient_BDhw))
        rival_Bhw, _ = scale_to_unit(saliency(activation_BDhw, guide.rival_BDhw))
        counted_B = varies_B & (guide.bottleneck_Bhw.amax((1, 2)) > 0)
        compare_maps = spatial_cross_entropy if self.maps == "spatial" else row_cross_entropy
        overlap_B = map_overlap(own_Bhw, rival_Bhw, guide.bottleneck_Bhw) * guide.suppressed_B
        return (
            mean_of(compare_maps(own_Bhw, guide.bottleneck_Bhw), counted_B),
            mean_of(overlap_B, counted_B),
        )


@dataclass(frozen=True)
class IbsglPaper(IbsglCode):
    """Cross entropy, and how far the activation is from where the maps' step ends."""

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        cross_entropy, activation_BDhw, guide = self._forward(learner, batch)
        free_BDhw = activation_BDhw.detach().requires_grad_(True)
        match, overlap = self._terms(free_BDhw, guide)
        goal_BDhw = step_down(free_BDhw, match + self.beta * overlap)
        distance = cell_divergence(activation_BDhw, goal_BDhw)
        parts = {"maps": match.detach(), "overlap": overlap.detach(), "distance": distance}
        return Loss(cross_entropy + self.mu * distance, {"cross_entropy": cross_entropy, **parts})


def saliency(activation_BDhw: Tensor, gradient_BDhw: Tensor) -> Tensor:
    """S: what each cell contributes to the class's logit, with its sign."""
    return (gradient_BDhw * activation_BDhw).sum(1)


def rival_class(logits_BK: Tensor, target_B: Tensor) -> Tensor:
    """(B,): the strongest class other than the target."""
    return logits_BK.scatter(1, target_B[:, None], -torch.inf).argmax(1)


def gradient_of(logits_BK: Tensor, class_B: Tensor, output: Tensor) -> Tensor:
    """Of each image's class logit with respect to the layer's output, first order: a constant."""
    score = logits_BK.gather(1, class_B[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, output, retain_graph=True)
    return gradient


def scale_to_unit(map_Bhw: Tensor) -> tuple[Tensor, Tensor]:
    """The maps from 0 to 1, zeros where flat; which maps are not flat."""
    low_B11, high_B11 = map_Bhw.amin((1, 2), keepdim=True), map_Bhw.amax((1, 2), keepdim=True)
    range_B11 = high_B11 - low_B11
    varies_B11 = range_B11 > MIN_RANGE
    unit_Bhw = torch.where(varies_B11, (map_Bhw - low_B11) / range_B11.clamp(min=MIN_RANGE), 0)
    return unit_Bhw, varies_B11[:, 0, 0]


def spatial_cross_entropy(map_Bhw: Tensor, reference_Bhw: Tensor) -> Tensor:
    """(B,): cross entropy of both as distributions over all cells."""
    reference_BN = reference_Bhw.flatten(1)
    share_BN = reference_BN / reference_BN.sum(1, keepdim=True).clamp(min=MIN_RANGE)
    return -(share_BN * (map_Bhw.flatten(1) / TEMPERATURE).log_softmax(1)).sum(1)


def row_cross_entropy(map_Bhw: Tensor, reference_Bhw: Tensor) -> Tensor:
    """(B,): each row a sample, its columns the classes; the reference is not normalised."""
    return -(reference_Bhw * map_Bhw.log_softmax(2)).sum(2).mean(1)


def map_overlap(own_Bhw: Tensor, rival_Bhw: Tensor, bottleneck_Bhw: Tensor) -> Tensor:
    """(B,): what both maps share where the class's is high, divided by their sum."""
    high_Bhw = torch.sigmoid(
        SHARPNESS * (own_Bhw - HIGH * bottleneck_Bhw.amax((1, 2), keepdim=True))
    )
    shared_B = (torch.minimum(own_Bhw, rival_Bhw) * high_Bhw).sum((1, 2))
    return shared_B / (own_Bhw + rival_Bhw).sum((1, 2)).clamp(min=MIN_RANGE)


def step_down(activation_BDhw: Tensor, loss: Tensor) -> Tensor:
    """A': the activation after a step down the loss, a tenth of its length; a constant."""
    (gradient_BDhw,) = torch.autograd.grad(loss, activation_BDhw)
    length_B, slope_B = (
        value_BDhw.flatten(1).norm(dim=1) for value_BDhw in (activation_BDhw, gradient_BDhw)
    )
    rate_B = torch.where(slope_B > 0, STEP * length_B / slope_B, 0)
    return (activation_BDhw - rate_B[:, None, None, None] * gradient_BDhw).detach()


def cell_divergence(activation_BDhw: Tensor, goal_BDhw: Tensor) -> Tensor:
    """KL(P(A) || P(A')) over the cells of each channel, mean over channels and images."""
    own_BDN, goal_BDN = (
        value_BDhw.flatten(2).log_softmax(2) for value_BDhw in (activation_BDhw, goal_BDhw)
    )
    return (own_BDN.exp() * (own_BDN - goal_BDN)).sum(2).mean()


def layer_statistics(learner: Learner, sweep: Sweep) -> Statistics:
    """Of the layer's activations over the training set."""
    moments: Moments | None = None
    for batch_moments in _moments(learner, sweep):
        moments = batch_moments if moments is None else moments.merge(batch_moments)
    if moments is None:
        raise ValueError("the training set is empty")
    return moments.statistics()


def _moments(learner: Learner, sweep: Sweep) -> Iterator[Moments]:
    for batch in sweep():
        with as_found(learner.network), torch.no_grad(), learner.capture_outputs() as outputs:
            learner.network(batch.image_BCHW)
            yield Moments.of(learner.grids[0].arrange(outputs[0][-1]))


def compute_all_maps(learner: Learner, sweep: Sweep) -> Tensor:
    """ib_map_Nhw: the bottleneck's maps, indexed by row of the training set."""
    pairs = [
        (batch.row_B.cpu(), bottleneck_maps(learner, batch.image_BCHW, batch.target_B).cpu())
        for batch in sweep()
    ]
    row_N, map_Nhw = (torch.cat(values) for values in zip(*pairs, strict=True))
    by_row_Nhw = map_Nhw.new_zeros(int(row_N.max()) + 1, *map_Nhw.shape[1:])
    by_row_Nhw[row_N] = map_Nhw
    return by_row_Nhw


def bottleneck_maps(learner: Learner, image_BCHW: Tensor, target_B: Tensor) -> Tensor:
    """map_Bhw of the target class from 0 to 1, zeros where flat; leaves the network as found."""
    (grid,) = learner.grids
    statistics = Statistics(*(learner.memory[key] for key in STATISTICS_KEYS.values()))
    request = ExplainRequest(
        learner.network, image_BCHW.detach(), target_B, grid=grid, statistics=statistics
    )
    device = image_BCHW.device.type
    with as_found(learner.network), torch.autocast(device, enabled=False):
        map_Bhw, _ = scale_to_unit(iba(request, BOTTLENECK))
    return map_Bhw


def recall_maps(learner: Learner, batch: Batch) -> Tensor:
    """The maps of the batch's images from memory, mirrored where the image is."""
    if batch.row_B is None or batch.flipped_B is None:
        raise ValueError("this objective remembers images: the batch does not identify its own")
    map_Nhw = learner.memory[MAPS_KEY]
    map_Bhw = map_Nhw[batch.row_B.to(map_Nhw.device)].to(batch.image_BCHW)
    return torch.where(batch.flipped_B[:, None, None], map_Bhw.flip(2), map_Bhw)
