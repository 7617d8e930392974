"""Saliency guided by an information bottleneck (IB-SGL, BMVC 2022), in two forms.

The map of the class, gradient * activation of the last layer with cells, is pulled to the map of
the information bottleneck, and off the map of the strongest other class. The gradient is a
constant: only what makes the activation learns from the maps. `code` is what the authors' program
does, without its mistakes; `paper` is the printed algorithm: the activation takes a step down the
maps' loss, and the network is pulled to where the step ends.
Shapes: B images, K classes, D channels, h w cells, N images of the training set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

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
    learn_answers,
    mean_of,
    precise,
)

CHOICES = {
    "refresh": ("never", "epoch", "step"),
    "suppress": ("correct", "always", "wrong"),
    "maps": ("spatial", "rows"),
}
BOTTLENECK = IbaSettings()
KEPT_MAPS = "ib_map_Nhw"
KEPT_STATISTICS = {name: f"ib_{name}" for name in ("mean_Dhw", "deviation_Dhw", "active_Dhw")}
LEAST = 1e-6  # between a map's largest and smallest value, where it says something
TEMPERATURE = 0.1  # of a map from 0 to 1 as a distribution over its cells
SHARPNESS, HIGH = 100.0, 0.55  # where the class's map is high: as the authors' program has it
STEP = 0.1  # of the activation, as a share of its length


@dataclass(frozen=True)
class Guide:
    """What the maps of a batch are made with and held against; constants."""

    gradient_BDhw: Tensor  # of the target's logit
    rival_BDhw: Tensor  # of the strongest other class's
    bottleneck_Bhw: Tensor  # 0 to 1; zeros where it is flat
    suppressed_B: Tensor  # bool


@dataclass(frozen=True)
class IbsglCode(Objective):
    """Cross entropy of answers, cross entropy of maps and the overlap with the rival's map."""

    beta: float = 1.0  # weight of the overlap, among maps
    mu: float = 1.0  # weight of what maps say, against the answers
    maps: str = "spatial"  # as distributions over all cells, or over each row's as in the program
    suppress: str = "correct"  # answers whose rival's map is pushed off
    refresh: str = "epoch"  # how often the bottleneck's maps are made anew
    layer: str = ""  # the classifier's unless named

    surveys: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                hint = suggest(value, known)
                raise UserError(f"ibsgl: {name}={value}{hint}: it is one of {list_names(known)}")

    @property
    def layers(self) -> tuple[str, ...]:
        return (self.layer,)

    def prepare(self, learner: Learner, sweep: Sweep, epoch: int) -> None:
        if epoch and self.refresh == "never":
            return
        statistics = survey(learner, sweep)
        for name, kept in KEPT_STATISTICS.items():
            learner.memory[kept] = getattr(statistics, name)
        if self.refresh != "step":
            learner.memory[KEPT_MAPS] = maps_of_all(learner, sweep)

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        answers, activation_BDhw, guide = self._look(learner, batch)
        match, overlap = self._terms(activation_BDhw, guide)
        return Loss(
            answers + self.mu * (match + self.beta * overlap),
            {"cross_entropy": answers, "maps": match, "overlap": overlap},
        )

    def _look(self, learner: Learner, batch: Batch) -> tuple[Tensor, Tensor, Guide]:
        """Cross entropy of the answers, the layer's activation with its graph, and the guide."""
        bottleneck_Bhw = self._bottleneck(learner, batch)
        (grid,), target_B = learner.grids, batch.target_B
        with learner.watched() as outputs:
            logits_BK = precise(learner.network(batch.image_BCHW))
            output = outputs[0][-1]
            own_BDhw, rival_BDhw = (
                precise(grid.arrange(gradient_of(logits_BK, class_B, output)))
                for class_B in (target_B, rival(logits_BK, target_B))
            )
        suppressed_B = self._suppressed(logits_BK.argmax(1) == target_B)
        guide = Guide(own_BDhw, rival_BDhw, bottleneck_Bhw, suppressed_B)
        return learn_answers(logits_BK, batch), precise(grid.arrange(output)), guide

    def _suppressed(self, right_B: Tensor) -> Tensor:
        if self.suppress == "always":
            return torch.ones_like(right_B)
        return right_B if self.suppress == "correct" else ~right_B

    def _bottleneck(self, learner: Learner, batch: Batch) -> Tensor:
        if self.refresh == "step":
            return bottleneck(learner, batch.image_BCHW, batch.target_B)
        return kept(learner, batch)

    def _terms(self, activation_BDhw: Tensor, guide: Guide) -> tuple[Tensor, Tensor]:
        """Cross entropy of maps; overlap of the class's map with its rival's. Means of images."""
        own_Bhw, says_B = unit(saliency(activation_BDhw, guide.gradient_BDhw))
        rival_Bhw, _ = unit(saliency(activation_BDhw, guide.rival_BDhw))
        counted_B = says_B & (guide.bottleneck_Bhw.amax((1, 2)) > 0)
        match = spatial if self.maps == "spatial" else rows
        overlap_B = overlap(own_Bhw, rival_Bhw, guide.bottleneck_Bhw) * guide.suppressed_B
        return (
            mean_of(match(own_Bhw, guide.bottleneck_Bhw), counted_B),
            mean_of(overlap_B, counted_B),
        )


@dataclass(frozen=True)
class IbsglPaper(IbsglCode):
    """Cross entropy of answers, and how far the activation is from where the maps' step ends."""

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        answers, activation_BDhw, guide = self._look(learner, batch)
        free_BDhw = activation_BDhw.detach().requires_grad_(True)
        match, overlap = self._terms(free_BDhw, guide)
        distance = divergence(activation_BDhw, stepped(free_BDhw, match + self.beta * overlap))
        parts = {"maps": match.detach(), "overlap": overlap.detach(), "distance": distance}
        return Loss(answers + self.mu * distance, {"cross_entropy": answers, **parts})


def saliency(activation_BDhw: Tensor, gradient_BDhw: Tensor) -> Tensor:
    """S: what each cell gives to the class's logit, with its sign."""
    return (gradient_BDhw * activation_BDhw).sum(1)


def rival(logits_BK: Tensor, target_B: Tensor) -> Tensor:
    """(B,): the strongest class other than the target."""
    return logits_BK.scatter(1, target_B[:, None], -torch.inf).argmax(1)


def gradient_of(logits_BK: Tensor, class_B: Tensor, output: Tensor) -> Tensor:
    """Of each image's class with respect to the layer's output, of first order: a constant."""
    score = logits_BK.gather(1, class_B[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, output, retain_graph=True)
    return gradient


def unit(map_Bhw: Tensor) -> tuple[Tensor, Tensor]:
    """From 0 to 1, zeros where the map is flat; which maps are not."""
    low_B11, high_B11 = map_Bhw.amin((1, 2), keepdim=True), map_Bhw.amax((1, 2), keepdim=True)
    range_B11 = high_B11 - low_B11
    says_B11 = range_B11 > LEAST
    unit_Bhw = torch.where(says_B11, (map_Bhw - low_B11) / range_B11.clamp(min=LEAST), 0)
    return unit_Bhw, says_B11[:, 0, 0]


def spatial(map_Bhw: Tensor, wanted_Bhw: Tensor) -> Tensor:
    """(B,): cross entropy of both as distributions over all cells."""
    wanted_BN = wanted_Bhw.flatten(1)
    share_BN = wanted_BN / wanted_BN.sum(1, keepdim=True).clamp(min=LEAST)
    return -(share_BN * (map_Bhw.flatten(1) / TEMPERATURE).log_softmax(1)).sum(1)


def rows(map_Bhw: Tensor, wanted_Bhw: Tensor) -> Tensor:
    """(B,): each row a sample, its columns classes, what is wanted of them not normalised."""
    return -(wanted_Bhw * map_Bhw.log_softmax(2)).sum(2).mean(1)


def overlap(own_Bhw: Tensor, rival_Bhw: Tensor, bottleneck_Bhw: Tensor) -> Tensor:
    """(B,): what both maps share where the class's is high, of what they have together."""
    high_Bhw = torch.sigmoid(
        SHARPNESS * (own_Bhw - HIGH * bottleneck_Bhw.amax((1, 2), keepdim=True))
    )
    shared_B = (torch.minimum(own_Bhw, rival_Bhw) * high_Bhw).sum((1, 2))
    return shared_B / (own_Bhw + rival_Bhw).sum((1, 2)).clamp(min=LEAST)


def stepped(activation_BDhw: Tensor, loss: Tensor) -> Tensor:
    """A': the activation a step down the loss, a tenth of each image's length; a constant."""
    (gradient_BDhw,) = torch.autograd.grad(loss, activation_BDhw)
    length_B, slope_B = (
        value_BDhw.flatten(1).norm(dim=1) for value_BDhw in (activation_BDhw, gradient_BDhw)
    )
    rate_B = torch.where(slope_B > 0, STEP * length_B / slope_B, 0)
    return (activation_BDhw - rate_B[:, None, None, None] * gradient_BDhw).detach()


def divergence(activation_BDhw: Tensor, wanted_BDhw: Tensor) -> Tensor:
    """KL(P(A) || P(A')) over the cells of each channel, mean of channels and images."""
    own_BDN, wanted_BDN = (
        value_BDhw.flatten(2).log_softmax(2) for value_BDhw in (activation_BDhw, wanted_BDhw)
    )
    return (own_BDN.exp() * (own_BDN - wanted_BDN)).sum(2).mean()


def survey(learner: Learner, sweep: Sweep) -> Statistics:
    """Of the layer's activations over the training set."""
    moments: Moments | None = None
    for glance_moments in _moments(learner, sweep):
        moments = glance_moments if moments is None else moments.merge(glance_moments)
    if moments is None:
        raise ValueError("the training set is empty")
    return moments.statistics()


def _moments(learner: Learner, sweep: Sweep) -> Iterator[Moments]:
    for glance in sweep():
        with as_found(learner.network), torch.no_grad(), learner.watched() as outputs:
            learner.network(glance.image_BCHW)
            yield Moments.of(learner.grids[0].arrange(outputs[0][-1]))


def maps_of_all(learner: Learner, sweep: Sweep) -> Tensor:
    """ib_map_Nhw: the bottleneck's maps of the training set, each in its place."""
    found = [
        (glance.row_B.cpu(), bottleneck(learner, glance.image_BCHW, glance.target_B).cpu())
        for glance in sweep()
    ]
    row_N, map_Nhw = (torch.cat(values) for values in zip(*found, strict=True))
    placed_Nhw = map_Nhw.new_zeros(int(row_N.max()) + 1, *map_Nhw.shape[1:])
    placed_Nhw[row_N] = map_Nhw
    return placed_Nhw


def bottleneck(learner: Learner, image_BCHW: Tensor, target_B: Tensor) -> Tensor:
    """map_Bhw from 0 to 1 of the answer's class, the network as found; zeros where flat."""
    (grid,) = learner.grids
    statistics = Statistics(*(learner.memory[kept] for kept in KEPT_STATISTICS.values()))
    request = ExplainRequest(
        learner.network, image_BCHW.detach(), target_B, grid=grid, statistics=statistics
    )
    device = image_BCHW.device.type
    with as_found(learner.network), torch.autocast(device, enabled=False):
        map_Bhw, _ = unit(iba(request, BOTTLENECK))
    return map_Bhw


def kept(learner: Learner, batch: Batch) -> Tensor:
    """The maps of the batch's images from memory, mirrored where the image is."""
    if batch.row_B is None or batch.flipped_B is None:
        raise ValueError("this objective remembers images: the batch says not which they are")
    map_Nhw = learner.memory[KEPT_MAPS]
    map_Bhw = map_Nhw[batch.row_B.to(map_Nhw.device)].to(batch.image_BCHW)
    return torch.where(batch.flipped_B[:, None, None], map_Bhw.flip(2), map_Bhw)
