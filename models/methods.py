"""The registry of attribution methods: name, version, sign rule and a function of one capture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from models import cam, gradients
from models.capture import Capture, capture
from models.grid import Grid
from models.mistakes import Mistake, nearest, shown


class MethodMistake(Mistake):
    """A method that the registry does not hold."""


@dataclass(frozen=True)
class Method:
    """One attribution method. A change of its numbers raises `version`, which all parts carry."""

    name: str
    version: int
    sign: Literal["relu", "absolute"]  # energy: maps are never negative, or magnitudes count
    reads: Literal["layer", "image"]  # whose gradient; that of the image costs a longer backward
    map_Bhw: Callable[[Capture], Tensor]


def _of_layer(function: Callable[[Tensor, Tensor], Tensor]) -> Method:
    return Method(
        name=function.__name__,
        version=1,
        sign="relu",
        reads="layer",
        map_Bhw=lambda seen: function(seen.activation_BDhw, seen.gradient_BDhw),
    )


def _of_image(function: Callable[[Tensor, Tensor], Tensor]) -> Method:
    def map_BHW(seen: Capture) -> Tensor:
        if seen.image_BCHW is None or seen.image_gradient_BCHW is None:
            raise ValueError(f"{function.__name__} needs a capture with to_image=True")
        return function(seen.image_BCHW, seen.image_gradient_BCHW)

    return Method(
        name=function.__name__, version=1, sign="absolute", reads="image", map_Bhw=map_BHW
    )


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        *map(_of_layer, (cam.grad_cam, cam.grad_cam_pp, cam.hires_cam, cam.layer_cam)),
        *map(_of_image, (gradients.saliency, gradients.input_x_gradient)),
    )
}
# What one short backward gives; maps of pixels are dearer to compute and to store.
LAYER_METHODS = tuple(name for name, method in METHODS.items() if method.reads == "layer")


def find_methods(names: Sequence[str]) -> tuple[Method, ...]:
    """The methods of these names, in this order."""
    for name in names:
        if name not in METHODS:
            raise MethodMistake(
                f"unknown method {name!r}{nearest(name, METHODS)}; known are {shown(METHODS)}"
            )
    return tuple(METHODS[name] for name in names)


def reads_image(methods: Sequence[Method]) -> bool:
    """Does the pass for these methods have to go back to the image?"""
    return any(method.reads == "image" for method in methods)


def check_methods(
    methods: Sequence[Method], network: nn.Module, grid: Grid, image_BCHW: Tensor
) -> None:
    """Refuse methods whose gradient does not come through the network; one pass."""
    capture(network, grid, image_BCHW, to_image=reads_image(methods))
