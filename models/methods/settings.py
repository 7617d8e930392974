"""Arguments, cost and traits of the methods that run the network by themselves.

To add one, write its map in a file of its own, and a class here that takes its arguments. Torch is
imported when a map is made: names are checked without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from models.errors import UserError, list_names

if TYPE_CHECKING:
    from torch import Tensor

    from models.network.question import Question

Sign = Literal["relu", "absolute"]  # energy: maps are never negative, or magnitudes count
Form = Literal["softmax", "logit", "margin"]
FORMS: tuple[Form, ...] = get_args(Form)


@dataclass(frozen=True)
class Cost:
    """Passes of the whole network that one image takes."""

    forwards: float
    backwards: float


class MethodSettings:
    """One method with its arguments, which are the fields of a frozen dataclass."""

    version: ClassVar[int] = 1  # a change of the method's numbers raises it
    sign: ClassVar[Sign] = "relu"
    looks_inside: ClassVar[bool] = False  # needs a layer with cells
    needs_statistics: ClassVar[bool] = False  # of the layer's activations over the data
    follows: ClassVar[bool] = True  # needs a gradient of the logits with respect to the picture
    layer: str = ""  # another one than the classifier's

    @property
    def cost(self) -> Cost:
        raise NotImplementedError

    def map_Bhw(self, asked: Question) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class IntegratedGradientsSettings(MethodSettings):
    """How finely the path from the mean of the data to the picture is walked."""

    steps: int = 32  # passes forward and back an image

    sign = "absolute"

    def __post_init__(self) -> None:
        _need_one("integrated_gradients", steps=self.steps)

    @property
    def cost(self) -> Cost:
        return Cost(self.steps, self.steps)

    def map_Bhw(self, asked: Question) -> Tensor:
        from models.methods.path_gradients import integrated_gradients

        return integrated_gradients(asked, self)


@dataclass(frozen=True)
class SmoothGradSettings(MethodSettings):
    """What noise is added; the same draws for every image."""

    draws: int = 25  # passes forward and back an image
    noise: float = 0.15  # deviation, as a share of the image's range of values
    seed: int = 0

    def __post_init__(self) -> None:
        _need_one("smooth_grad", draws=self.draws)
        if not 0 <= self.noise < math.inf:
            raise UserError(f"smooth_grad: noise={self.noise}: it must be 0 or more, and finite")

    @property
    def cost(self) -> Cost:
        return Cost(self.draws, self.draws)

    def map_Bhw(self, asked: Question) -> Tensor:
        from models.methods.path_gradients import smooth_grad

        return smooth_grad(asked, self)


@dataclass(frozen=True)
class VjpSettings(MethodSettings):
    """Which direction of the logits is followed back to the picture."""

    form: Form = "softmax"  # of half the squared probabilities (S-IB), the target, or its margin

    sign = "absolute"

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UserError(f"vjp: form={self.form}: known are {list_names(FORMS)}")

    @property
    def cost(self) -> Cost:
        return Cost(1, 1)

    def map_Bhw(self, asked: Question) -> Tensor:
        from models.methods.vjp import vjp

        return vjp(asked, self)


@dataclass(frozen=True)
class RiseSettings(MethodSettings):
    """What masks are drawn; the same for every image."""

    masks: int = 4000  # passes forward an image
    cells: int = 7  # a side of a mask, each kept or not
    keep: float = 0.5  # probability that a cell is kept
    seed: int = 0

    follows = False

    def __post_init__(self) -> None:
        _need_one("rise", masks=self.masks, cells=self.cells)
        if not 0 < self.keep < 1:
            raise UserError(f"rise: keep={self.keep}: it must lie between 0 and 1")

    @property
    def cost(self) -> Cost:
        return Cost(self.masks, 0)

    def map_Bhw(self, asked: Question) -> Tensor:
        from models.methods.rise import rise

        return rise(asked, self)


@dataclass(frozen=True)
class IbaSettings(MethodSettings):
    """How the bottleneck is fitted; the noise is the same for every image."""

    beta: float = 1.0  # what a nat in the mean element costs, against the cross entropy
    steps: int = 10  # of Adam, for each image anew
    copies: int = 10  # noise drawn afresh in each step
    rate: float = 1.0
    sigma: float = 1.0  # cells; how smooth the share that passes is
    seed: int = 0
    layer: str = ""  # where the bottleneck is; the classifier's layer unless named

    looks_inside = True
    needs_statistics = True
    follows = False

    def __post_init__(self) -> None:
        _need_one("iba", steps=self.steps, copies=self.copies)
        _need_above_zero("iba", beta=self.beta, rate=self.rate)
        _need_width("iba", self.sigma)

    @property
    def cost(self) -> Cost:
        return Cost(1, 0)  # all else runs the head alone

    def map_Bhw(self, asked: Question) -> Tensor:
        from models.methods.iba import iba

        return iba(asked, self)


@dataclass(frozen=True)
class IbisaSettings(MethodSettings):
    """How masks are optimised; the draws are the same for every image."""

    steps: int = 10  # passes forward and back an image
    beta: float = 10.0  # what it costs that all cells pass, against the log probabilities
    cells: int = 32  # a side
    sigma: float = 1.0  # cells; how smooth the probabilities are
    rate: float = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        _need_one("ibisa", steps=self.steps, cells=self.cells)
        _need_above_zero("ibisa", beta=self.beta, rate=self.rate)
        _need_width("ibisa", self.sigma)

    @property
    def cost(self) -> Cost:
        return Cost(self.steps, self.steps)

    def map_Bhw(self, asked: Question) -> Tensor:
        from models.methods.ibisa import ibisa

        return ibisa(asked, self)


# By name; each is asked for with its arguments, as in rise:masks=500.
FAMILIES: dict[str, type[Any]] = {
    "integrated_gradients": IntegratedGradientsSettings,
    "smooth_grad": SmoothGradSettings,
    "vjp": VjpSettings,
    "rise": RiseSettings,
    "iba": IbaSettings,
    "ibisa": IbisaSettings,
}


def _need_one(method: str, **counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise UserError(f"{method}: {name}={value}: at least 1 is needed")


def _need_above_zero(method: str, **numbers: float) -> None:
    for name, value in numbers.items():
        if not 0 < value < math.inf:
            raise UserError(f"{method}: {name}={value}: it must be above 0")


def _need_width(method: str, sigma: float) -> None:
    if not 0 <= sigma < math.inf:
        raise UserError(f"{method}: sigma={sigma}: it must be 0 (not smooth) or more")
