"""The registry of attribution methods: name, version, sign rule, cost, and what makes the map.

A method is named as it is typed: `grad_cam`, `rise:masks=500`, `captum:GuidedBackprop`. Arguments
that have their default value are no part of the name. A user's own, `path/to/file.py:function`, is
called `file.py:function`. Settings check names, so that torch is imported only where a map is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from models.arguments import format_arguments, parse_arguments, parse_settings
from models.errors import UserError, list_names, suggest
from models.methods.settings import FAMILIES, Cost, MethodSettings, Sign

if TYPE_CHECKING:
    from torch import Tensor

    from models.network.capture import Capture
    from models.network.question import Question

CAPTUM = "captum"  # prefix of Captum's attributions
OWN = re.compile(r"[\w.-]+\.py:\w+")  # name of a user's method


@dataclass(frozen=True)
class Method:
    """One attribution method. A change of its numbers raises `version`, which all parts carry."""

    name: str
    version: int
    sign: Sign
    cost: Cost | None  # None where nobody said

    @property
    def address(self) -> str:
        """What it is found by, where it is asked for."""
        return self.name

    @property
    def specification(self) -> list[object]:
        """What makes its numbers."""
        return [self.name, self.version]


@dataclass(frozen=True)
class PassMethod(Method):
    """A map that follows from the one pass in which the image is predicted."""

    reads: Literal["layer", "image", "biases"]  # whose gradient; all but the layer's cost more
    map_Bhw: Callable[[Capture], Tensor]


@dataclass(frozen=True)
class NetworkMethod(Method):
    """A map for which the method runs the network by itself."""

    settings: Any  # a frozen dataclass; of a user's own, its address
    map_Bhw: Callable[[Question], Tensor]
    looks_inside: bool = False  # needs a layer with cells
    layer: str = ""  # another one than the classifier's
    needs_statistics: bool = False  # of the layer's activations over the data
    follows: bool = True  # needs a gradient of the logits with respect to the picture

    @property
    def specification(self) -> list[object]:
        return [*super().specification, asdict(self.settings)]


@dataclass(frozen=True)
class UserMethod(NetworkMethod):
    """A user's own function: its settings are its address, its numbers are what its code makes."""

    @property
    def address(self) -> str:
        return str(self.settings)

    @property
    def specification(self) -> list[object]:
        from models.methods.user_method import digests_of

        return [self.name, self.version, digests_of(self.address)]


def _of_layer(name: str) -> PassMethod:
    """The function of this name in models/methods/cam.py."""

    def map_Bhw(seen: Capture) -> Tensor:
        from models.methods import cam

        found: Tensor = getattr(cam, name)(seen.activation_BDhw, seen.gradient_BDhw)
        return found

    return PassMethod(name, 1, "relu", Cost(1, 0), "layer", map_Bhw)  # back to the last layer


def _of_image(name: str) -> PassMethod:
    """The function of this name in models/methods/gradients.py."""

    def map_BHW(seen: Capture) -> Tensor:
        from models.methods import gradients

        found: Tensor = getattr(gradients, name)(*_image(seen, name))
        return found

    return PassMethod(name, 1, "absolute", Cost(1, 1), "image", map_BHW)


def _full_grad(seen: Capture) -> Tensor:
    from models.methods.full_grad import full_grad

    return full_grad(*_image(seen, "full_grad"), seen.terms)


def _image(seen: Capture, name: str) -> tuple[Tensor, Tensor]:
    if seen.image_BCHW is None or seen.image_gradient_BCHW is None:
        raise ValueError(f"{name} needs a capture with to_image=True")
    return seen.image_BCHW, seen.image_gradient_BCHW


PASS_METHODS: dict[str, PassMethod] = {
    method.name: method
    for method in (
        *map(_of_layer, ("grad_cam", "grad_cam_pp", "hires_cam", "layer_cam")),
        *map(_of_image, ("saliency", "input_x_gradient")),
        PassMethod("full_grad", 1, "relu", Cost(1, 1), "biases", _full_grad),
    )
}
# What one short backward gives; maps of pixels are dearer to compute and to store.
LAYER_METHODS = tuple(name for name, method in PASS_METHODS.items() if method.reads == "layer")
NAMES = (*PASS_METHODS, *FAMILIES)


def find_methods(names: Sequence[str]) -> tuple[Method, ...]:
    """The methods of these names, in this order."""
    return tuple(map(find_method, names))


def method_names(addresses: Sequence[str]) -> list[str]:
    """What methods that are known by these addresses are called in folders, tables and pages."""
    return [_own_name(name) if is_user_method(name) else name for name in addresses]


def is_user_method(name: str) -> bool:
    return ".py:" in name


def find_method(name: str) -> Method:
    """`rise:masks=500` as a method; its own name is the shortest that means the same."""
    if is_user_method(name):
        return _of_user(name)
    family, _, rest = name.partition(":")
    if family == CAPTUM:
        return _of_captum(rest)
    if family in PASS_METHODS:
        if rest:
            raise UserError(f"method {family} takes no arguments, found {rest!r}: drop them")
        return PASS_METHODS[family]
    if family in FAMILIES:
        given = parse_arguments(rest)
        return _of_settings(family, parse_settings(f"method {family}", FAMILIES[family], given))
    raise UserError(
        f"unknown method {name!r}{suggest(name, NAMES)}; known are {list_names(NAMES)}, "
        "captum:NAME and path/to/file.py:function"
    )


def _of_settings(family: str, settings: MethodSettings) -> NetworkMethod:
    return NetworkMethod(
        name=":".join([family, *format_arguments(settings)]),
        version=settings.version,
        sign=settings.sign,
        cost=settings.cost,
        settings=settings,
        map_Bhw=settings.map_Bhw,
        looks_inside=settings.looks_inside,
        layer=settings.layer,
        needs_statistics=settings.needs_statistics,
        follows=settings.follows,
    )


def _of_captum(rest: str) -> NetworkMethod:
    from models.methods import captum_methods

    name, _, arguments = rest.partition(":")
    given = parse_arguments(arguments)
    asked_for = captum_methods.captum_method(name, given)
    return NetworkMethod(
        ":".join([CAPTUM, name, *(f"{key}={given[key]}" for key in sorted(given))]),
        1,
        "absolute",
        None,
        asked_for,
        lambda asked: captum_methods.explain(asked, asked_for),
        looks_inside=asked_for.looks_inside,
        follows=False,  # those that need a gradient say so when they are tried
    )


def _of_user(address: str) -> UserMethod:
    """Nothing of it is loaded yet."""

    def map_Bhw(asked: Question) -> Tensor:
        from models.methods import user_method

        return user_method.explain(asked, address)

    return UserMethod(
        _own_name(address), 1, "absolute", None, str(Path(address)), map_Bhw, follows=False
    )


def _own_name(address: str) -> str:
    """File and function: the same on every machine, and fit for a folder and a metric."""
    name = Path(address).name
    if OWN.fullmatch(name) is None:
        raise UserError(
            f"method {address!r} is not understood: give path/to/file.py:function, the file and "
            "the function named with letters, digits, '_', '-' and '.'"
        )
    return name
