"""The registry of attribution methods: name, version, sign rule and a function of one capture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from models import cam
from models.capture import Capture
from models.mistakes import Mistake, nearest, shown


class MethodMistake(Mistake):
    """A method that the registry does not hold."""


@dataclass(frozen=True)
class Method:
    """One attribution method. A change of its numbers raises `version`, which all parts carry."""

    name: str
    version: int
    sign: str  # how energy is read: "relu" (maps are never negative) or "absolute"
    map_Bhw: Callable[[Capture], Tensor]


def _cam(function: Callable[[Tensor, Tensor], Tensor]) -> Method:
    return Method(
        name=function.__name__,
        version=1,
        sign="relu",
        map_Bhw=lambda seen: function(seen.activation_BDhw, seen.gradient_BDhw),
    )


METHODS: dict[str, Method] = {
    method.name: method
    for method in map(_cam, (cam.grad_cam, cam.grad_cam_pp, cam.hires_cam, cam.layer_cam))
}


def find_methods(names: Sequence[str]) -> tuple[Method, ...]:
    """The methods of these names, in this order."""
    for name in names:
        if name not in METHODS:
            raise MethodMistake(
                f"unknown method {name!r}{nearest(name, METHODS)}; known are {shown(METHODS)}"
            )
    return tuple(METHODS[name] for name in names)
