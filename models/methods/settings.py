"""Arguments, costs and needs of the methods that run the network themselves.

To add one, write its map in a file of its own, and a class here with its arguments. Torch is
imported when a map is made: names are checked without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from models.errors import UserError, list_names
from models.limits import LARGEST_SEED, MOST_CELLS, MOST_PASSES

if TYPE_CHECKING:
    from torch import Tensor

    from models.network.explain_request import ExplainRequest

Sign = Literal["relu", "absolute"]  # maps are never negative, or their magnitudes count as energy
Form = Literal["softmax", "logit", "margin"]
FORMS: tuple[Form, ...] = get_args(Form)
MOST_DRAWS = 250_000_000  # random numbers at once: a gigabyte
SMALLEST, LARGEST = 1e-9, 1e6  # of weights and rates


@dataclass(frozen=True)
class Cost:
    """Passes of the whole network per image."""

    forwards: float
    backwards: float


class MethodSettings:
    """One method with its arguments, which are the fields of a frozen dataclass."""

    version: ClassVar[int] = 1  # a change of the method's numbers raises it
    sign: ClassVar[Sign] = "relu"
    needs_layer: ClassVar[bool] = False  # a layer with cells
    needs_statistics: ClassVar[bool] = False  # of the layer's activations over the data
    needs_gradient: ClassVar[bool] = True  # of the logits with respect to the picture
    layer: str = ""  # the classifier's by default

    @property
    def cost(self) -> Cost:
        raise NotImplementedError

    def map_Bhw(self, request: ExplainRequest) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class IntegratedGradientsSettings(MethodSettings):
    """How many steps the path from the mean of the data to the picture has."""

    steps: int = 32  # passes forward and back per image

    sign = "absolute"

    def __post_init__(self) -> None:
        _check_counts("integrated_gradients", steps=self.steps)

    @property
    def cost(self) -> Cost:
        return Cost(self.steps, self.steps)

    def map_Bhw(self, request: ExplainRequest) -> Tensor:
        from models.methods.path_gradients import integrated_gradients

        return integrated_gradients(request, self)


@dataclass(frozen=True)
class SmoothGradSettings(MethodSettings):
    """How much noise is added; the same draws for every image."""

    draws: int = 25  # passes forward and back per image
    noise: float = 0.15  # deviation, as a share of the image's range of values
    seed: int = 0

    def __post_init__(self) -> None:
        _check_counts("smooth_grad", draws=self.draws)
        _check_seed("smooth_grad", self.seed)
        if not 0 <= self.noise <= LARGEST:
            raise UserError(f"smooth_grad: noise={self.noise}: it must be from 0 to {LARGEST:g}")

    @property
    def cost(self) -> Cost:
        return Cost(self.draws, self.draws)

    def map_Bhw(self, request: ExplainRequest) -> Tensor:
        from models.methods.path_gradients import smooth_grad

        return smooth_grad(request, self)


@dataclass(frozen=True)
class VjpSettings(MethodSettings):
    """Which direction of the logits is propagated back to the picture."""

    form: Form = "softmax"  # of half the squared probabilities (S-IB), the target, or its margin

    sign = "absolute"

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UserError(f"vjp: form={self.form}: known are {list_names(FORMS)}")

    @property
    def cost(self) -> Cost:
        return Cost(1, 1)

    def map_Bhw(self, request: ExplainRequest) -> Tensor:
        from models.methods.vjp import vjp

        return vjp(request, self)


@dataclass(frozen=True)
class RiseSettings(MethodSettings):
    """How masks are drawn; the same for every image."""

    masks: int = 4000  # passes forward per image
    cells: int = 7  # per side of a mask, each kept or not
    keep: float = 0.5  # probability that a cell is kept
    seed: int = 0

    needs_gradient = False

    def __post_init__(self) -> None:
        _check_counts("rise", masks=self.masks)
        _check_cells("rise", self.cells)
        if self.masks * self.cells**2 > MOST_DRAWS:
            raise UserError(
                f"rise: {self.masks:,} masks of {self.cells}x{self.cells} cells do not fit into "
                "memory: give fewer masks or cells"
            )
        _check_seed("rise", self.seed)
        if not 0 < self.keep < 1:
            raise UserError(f"rise: keep={self.keep}: it must lie between 0 and 1")

    @property
    def cost(self) -> Cost:
        return Cost(self.masks, 0)

    def map_Bhw(self, request: ExplainRequest) -> Tensor:
        from models.methods.rise import rise

        return rise(request, self)


@dataclass(frozen=True)
class IbaSettings(MethodSettings):
    """How the bottleneck is fitted; the noise is the same for every image."""

    beta: float = 1.0  # weight of the mean nats per element, against the cross entropy
    steps: int = 10  # of Adam, for each image
    copies: int = 10  # noise samples in each step
    rate: float = 1.0
    sigma: float = 1.0  # in cells, of the smoothing of the share that passes
    seed: int = 0
    layer: str = ""  # of the bottleneck; the classifier's by default

    needs_layer = True
    needs_statistics = True
    needs_gradient = False

    def __post_init__(self) -> None:
        _check_counts("iba", steps=self.steps, copies=self.copies)
        _check_seed("iba", self.seed)
        _check_above_zero("iba", beta=self.beta, rate=self.rate)
        _check_sigma("iba", self.sigma)

    @property
    def cost(self) -> Cost:
        return Cost(1, 0)  # all other passes run the head alone

    def map_Bhw(self, request: ExplainRequest) -> Tensor:
        from models.methods.iba import iba

        return iba(request, self)


@dataclass(frozen=True)
class IbisaSettings(MethodSettings):
    """How masks are optimised; the draws are the same for every image."""

    steps: int = 10  # passes forward and back per image
    beta: float = 10.0  # weight of the share of cells that pass, against the log probabilities
    cells: int = 32  # per side
    sigma: float = 1.0  # in cells, of the smoothing of the probabilities
    rate: float = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        _check_counts("ibisa", steps=self.steps)
        _check_cells("ibisa", self.cells)
        _check_seed("ibisa", self.seed)
        _check_above_zero("ibisa", beta=self.beta, rate=self.rate)
        _check_sigma("ibisa", self.sigma)

    @property
    def cost(self) -> Cost:
        return Cost(self.steps, self.steps)

    def map_Bhw(self, request: ExplainRequest) -> Tensor:
        from models.methods.ibisa import ibisa

        return ibisa(request, self)


# By name; the settings are the arguments, as in rise:masks=500.
FAMILIES: dict[str, type[Any]] = {
    "integrated_gradients": IntegratedGradientsSettings,
    "smooth_grad": SmoothGradSettings,
    "vjp": VjpSettings,
    "rise": RiseSettings,
    "iba": IbaSettings,
    "ibisa": IbisaSettings,
}


def _check_counts(method: str, **counts: int) -> None:
    for name, value in counts.items():
        if not 1 <= value <= MOST_PASSES:
            raise UserError(f"{method}: {name}={value}: it must be from 1 to {MOST_PASSES:,}")


def _check_cells(method: str, cells: int) -> None:
    if not 1 <= cells <= MOST_CELLS:
        raise UserError(f"{method}: cells={cells}: it must be from 1 to {MOST_CELLS:,}")


def _check_seed(method: str, seed: int) -> None:
    if not 0 <= seed <= LARGEST_SEED:
        raise UserError(f"{method}: seed={seed}: it must be from 0 to {LARGEST_SEED:,}")


def _check_above_zero(method: str, **numbers: float) -> None:
    for name, value in numbers.items():
        if not SMALLEST <= value <= LARGEST:
            raise UserError(
                f"{method}: {name}={value}: it must be above 0, from {SMALLEST:g} to {LARGEST:g}"
            )


def _check_sigma(method: str, sigma: float) -> None:
    if not 0 <= sigma <= MOST_CELLS:
        raise UserError(
            f"{method}: sigma={sigma}: it must be from 0 (no smoothing) to {MOST_CELLS:,}"
        )
