"""The input and output of a training objective: batch, network in training, loss.

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
    """Images of one step, normalised, and what is known of them."""

    image_BCHW: Tensor
    soft_label_BK: Tensor  # probabilities to learn: one class, or the model's own before training
    mask_BHW: Tensor  # the foreground's share of each pixel; zeros where it is unknown
    known_B: Tensor  # is the foreground known?
    other_BCHW: Tensor | None = None  # other images' backgrounds, for objectives that exchange them
    chance_B: Tensor | None = None  # uniform from 0 to 1, drawn anew for each image and step
    row_B: Tensor | None = None  # rows of the training set
    flipped_B: Tensor | None = None  # mirrored against the picture of that row
    step: int = 0
    steps: int = 1

    @property
    def target_B(self) -> Tensor:
        """The class to learn."""
        return self.soft_label_BK.argmax(1)

    def on_other_backgrounds(self, share: float) -> Batch:
        """A random share of the images with a known foreground, on their other background."""
        if self.other_BCHW is None or self.chance_B is None:
            raise ValueError("this objective exchanges backgrounds: the batch has none")
        moved_B = self.known_B & (self.chance_B < share)
        keep_BHW = self.mask_BHW.masked_fill(~moved_B[:, None, None], 1)
        return replace(
            self, image_BCHW=exchange_background(self.image_BCHW, keep_BHW, self.other_BCHW)
        )


@dataclass(frozen=True)
class Learner:
    """The network in training, its layers with cells, and what an objective remembers."""

    network: nn.Module
    grids: tuple[Grid, ...] = ()
    memory: dict[str, Tensor] = field(default_factory=dict)  # kept in the checkpoints

    @contextmanager
    def capture_outputs(self) -> Iterator[list[list[Tensor]]]:
        """Yields a list per grid; each forward pass adds the layer's output, with its graph."""
        with ExitStack() as stack:
            yield [
                stack.enter_context(
                    record_output(self.network.get_submodule(grid.layer), cut=False)
                )
                for grid in self.grids
            ]


@dataclass(frozen=True)
class Loss:
    """The loss to minimise, and its parts before they are weighted."""

    total: Tensor
    parts: Mapping[str, Tensor]


@dataclass(frozen=True)
class PlainBatch:
    """Some training images without augmentation."""

    row_B: Tensor
    image_BCHW: Tensor
    target_B: Tensor


Sweep = Callable[[], Iterator[PlainBatch]]  # over the whole training set, in evaluation mode


class Objective(ABC):
    """One form of an objective: its settings, what it needs, and its loss."""

    exchanges: ClassVar[bool] = False  # puts objects on other images' backgrounds
    needs_groups: ClassVar[bool] = False  # draws every group equally often
    trains: ClassVar[Literal["all", "head"]] = "all"

    @property
    def needs_masks(self) -> bool:
        """Must the foregrounds of at least some images be known?"""
        return self.exchanges

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers whose outputs it reads; an empty name is the classifier's own."""
        return ()

    def prepare(self, learner: Learner, sweep: Sweep, epoch: int) -> None:  # noqa: B027 - most keep nothing
        """Called before each epoch, from 0; may fill the learner's memory."""

    @abstractmethod
    def loss(self, learner: Learner, batch: Batch) -> Loss:
        """The loss of a batch; the network learns from its `total`."""


def classification_loss(logits_BK: Tensor, batch: Batch) -> Tensor:
    """Mean cross entropy with the soft labels."""
    return cross_entropy(at_least_float32(logits_BK), batch.soft_label_BK)


def at_least_float32(value: Tensor) -> Tensor:
    """Half precision is too coarse for what is squared and divided."""
    return value.to(torch.promote_types(value.dtype, torch.float32))


@contextmanager
def differentiable_twice() -> Iterator[None]:
    """Fused attention has no second derivative; plain attention has."""
    with sdpa_kernel(SDPBackend.MATH):
        yield


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Inside, batch normalisation uses its running statistics: images do not mix."""
    training = [module for module in network.modules() if _mixes(module)]
    for module in training:
        module.eval()
    try:
        yield
    finally:
        for module in training:
            module.train()


def mixes_images(network: nn.Module) -> bool:
    """Do an image's logits depend on the other images of its batch, in the current mode?"""
    return any(map(_mixes, network.modules()))


def _mixes(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.training


def mean_of(value_B: Tensor, counted_B: Tensor) -> Tensor:
    """Mean over the counted images; 0, without a gradient, if there are none."""
    return torch.where(counted_B, value_B, 0).sum() / counted_B.sum().clamp(min=1)
