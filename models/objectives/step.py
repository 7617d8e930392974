"""What an objective is given in a training step, and what it gives back.

Shapes: B images, C=3 colours, H W pixels, K classes, N images of the training set.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm

from models.interventions import exchange_background
from models.network.capture import record_output
from models.network.grid import Grid


@dataclass(frozen=True)
class Batch:
    """Images of one step, as the network reads them, and what is known of them."""

    image_BCHW: Tensor
    answer_BK: Tensor  # what to answer, as probabilities: one class, or the model's own before
    mask_BHW: Tensor  # the foreground's share of each pixel; zeros where it is not known
    known_B: Tensor  # is the foreground known?
    other_BCHW: Tensor | None = None  # other images' backgrounds, for objectives that exchange them
    chance_B: Tensor | None = None  # uniform in 0 to 1, drawn anew for each image and step
    row_B: Tensor | None = None  # places in the training set
    flipped_B: Tensor | None = None  # mirrored against the picture that lies there
    step: int = 0
    steps: int = 1

    @property
    def target_B(self) -> Tensor:
        """The class to learn."""
        return self.answer_BK.argmax(1)

    def on_other_backgrounds(self, share: float) -> Batch:
        """So many images of known foreground, drawn anew, on their other background."""
        if self.other_BCHW is None or self.chance_B is None:
            raise ValueError("this objective exchanges backgrounds: the batch brought none")
        moved_B = self.known_B & (self.chance_B < share)
        keep_BHW = self.mask_BHW.masked_fill(~moved_B[:, None, None], 1)
        return replace(
            self, image_BCHW=exchange_background(self.image_BCHW, keep_BHW, self.other_BCHW)
        )


@dataclass(frozen=True)
class Learner:
    """The network in training, its layers with cells, and what an objective keeps meanwhile."""

    network: nn.Module
    grids: tuple[Grid, ...] = ()
    memory: dict[str, Tensor] = field(default_factory=dict)  # goes into the checkpoints

    @contextmanager
    def watched(self) -> Iterator[list[list[Tensor]]]:
        """Yields the outputs of each grid's layer, with their graph, as a forward fills them."""
        with ExitStack() as stack:
            yield [
                stack.enter_context(
                    record_output(self.network.get_submodule(grid.layer), cut=False)
                )
                for grid in self.grids
            ]


@dataclass(frozen=True)
class Loss:
    """What is descended, and the parts that it is made of, before their weights."""

    total: Tensor
    parts: Mapping[str, Tensor]


@dataclass(frozen=True)
class PlainBatch:
    """Some training images as they lie there, not moved by augmentation."""

    row_B: Tensor
    image_BCHW: Tensor
    target_B: Tensor


Sweep = Callable[[], Iterator[PlainBatch]]  # over the whole training set, in evaluation mode


class Objective(ABC):
    """A family's settings, which know how to judge a step. What it needs is known before."""

    exchanges: ClassVar[bool] = False  # puts objects on other images' backgrounds
    needs_groups: ClassVar[bool] = False  # draws as many images of each group
    surveys: ClassVar[bool] = False  # explains the whole training set between epochs
    trains: ClassVar[Literal["all", "head"]] = "all"

    @property
    def needs_masks(self) -> bool:
        """Must at least some images' foregrounds be known?"""
        return self.exchanges

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that are looked into; an empty name is the classifier's own."""
        return ()

    def prepare(self, learner: Learner, sweep: Sweep, epoch: int) -> None:  # noqa: B027 - most keep nothing
        """Before an epoch, counted from 0: what `surveys` keeps in the learner's memory."""

    @abstractmethod
    def loss(self, learner: Learner, batch: Batch) -> Loss:
        """Judge the batch; the network's weights get their gradient from `total`."""


def learn_answers(logits_BK: Tensor, batch: Batch) -> Tensor:
    """Mean cross entropy with what is to be answered."""
    return cross_entropy(precise(logits_BK), batch.answer_BK)


def precise(value: Tensor) -> Tensor:
    """In single precision at least: what is squared and divided does not fit a half."""
    return value.to(torch.promote_types(value.dtype, torch.float32))


@contextmanager
def differentiable_twice() -> Iterator[None]:
    """Fused attention has no second derivative; the plain one has."""
    with sdpa_kernel(SDPBackend.MATH):
        yield


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Batch normalisation by its running statistics inside: images do not mix."""
    training = [module for module in network.modules() if _mixes(module)]
    for module in training:
        module.eval()
    try:
        yield
    finally:
        for module in training:
            module.train()


def mixes_images(network: nn.Module) -> bool:
    """Does an image's answer depend on the others of its batch now?"""
    return any(map(_mixes, network.modules()))


def _mixes(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.training


def mean_of(value_B: Tensor, counted_B: Tensor) -> Tensor:
    """Over the images that count; 0, without a gradient, where none does."""
    return torch.where(counted_B, value_B, 0).sum() / counted_B.sum().clamp(min=1)
