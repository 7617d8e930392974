"""The registry of attribution methods: name, version, sign rule, cost, and the map's function.

A method is named as it is typed: `grad_cam`, `rise:masks=500`, `captum:GuidedBackprop`. Arguments
with their default values are not part of the name. A user's own, `path/to/file.py:function`, is
called `file.py:function`. Settings check names, so torch is imported only when a map is made.
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
    from models.network.explain_request import ExplainRequest

CAPTUM = "captum"  # prefix of Captum's methods
USER_METHOD_NAME = re.compile(r"[\w.-]+\.py:\w+")


@dataclass(frozen=True)
class Method:
    """One attribution method. A change of its numbers raises `version`, which all parts record."""

    name: str
    version: int
    sign: Sign
    cost: Cost | None  # None if unknown

    @property
    def address(self) -> str:
        """What `find_method` finds it by."""
        return self.name

    @property
    def specification(self) -> list[object]:
        """All that its numbers depend on."""
        return [self.name, self.version]


@dataclass(frozen=True)
class PassMethod(Method):
    """A map made from the one pass that predicts the image."""

    reads: Literal["layer", "image", "biases"]  # whose gradient; all but the layer's cost more
    map_Bhw: Callable[[Capture], Tensor]


@dataclass(frozen=True)
class NetworkMethod(Method):
    """A map for which the method runs the network itself."""

    settings: Any  # a frozen dataclass; for a user's method, its address
    map_Bhw: Callable[[ExplainRequest], Tensor]
    needs_layer: bool = False  # a layer with cells
    layer: str = ""  # the classifier's by default
    needs_statistics: bool = False  # of the layer's activations over the data
    needs_gradient: bool = True  # of the logits with respect to the picture

    @property
    def specification(self) -> list[object]:
        return [*super().specification, asdict(self.settings)]


@dataclass(frozen=True)
class UserMethod(NetworkMethod):
    """A user's own function: its settings are its address, its numbers depend on its code."""

    @property
    def address(self) -> str:
        return str(self.settings)

    @property
    def specification(self) -> list[object]:
        from models.methods.user_method import digests_of

        return [self.name, self.version, digests_of(self.address)]


def _layer_method(name: str) -> PassMethod:
    """The function of this name in models/methods/cam.py."""

    def map_Bhw(captured: Capture) -> Tensor:
        from models.methods import cam

        result: Tensor = getattr(cam, name)(captured.activation_BDhw, captured.gradient_BDhw)
        return result

    return PassMethod(name, 1, "relu", Cost(1, 0), "layer", map_Bhw)  # back to the last layer


def _image_method(name: str) -> PassMethod:
    """The function of this name in models/methods/gradients.py."""

    def map_Bhw(captured: Capture) -> Tensor:
        from models.methods import gradients

        result: Tensor = getattr(gradients, name)(*_image_and_gradient(captured, name))
        return result

    return PassMethod(name, 1, "absolute", Cost(1, 1), "image", map_Bhw)


def _full_grad(captured: Capture) -> Tensor:
    from models.methods.full_grad import full_grad

    return full_grad(*_image_and_gradient(captured, "full_grad"), captured.terms)


def _image_and_gradient(captured: Capture, name: str) -> tuple[Tensor, Tensor]:
    if captured.image_BCHW is None or captured.image_gradient_BCHW is None:
        raise ValueError(f"{name} needs a capture with to_image=True")
    return captured.image_BCHW, captured.image_gradient_BCHW


PASS_METHODS: dict[str, PassMethod] = {
    method.name: method
    for method in (
        *map(_layer_method, ("grad_cam", "grad_cam_pp", "hires_cam", "layer_cam")),
        *map(_image_method, ("saliency", "input_x_gradient")),
        PassMethod("full_grad", 1, "relu", Cost(1, 1), "biases", _full_grad),
    )
}
# These need only a short backward; pixel maps cost more to compute and to store.
LAYER_METHODS = tuple(name for name, method in PASS_METHODS.items() if method.reads == "layer")
NAMES = (*PASS_METHODS, *FAMILIES)


def find_methods(names: Sequence[str]) -> tuple[Method, ...]:
    """The methods of these names, in this order."""
    return tuple(map(find_method, names))


def method_names(addresses: Sequence[str]) -> list[str]:
    """The names in folders, tables and pages of methods with these addresses."""
    return [_short_name(name) if is_user_method(name) else name for name in addresses]


def is_user_method(name: str) -> bool:
    return ".py:" in name


def find_method(name: str) -> Method:
    """The method that `rise:masks=500` names; its own name is the shortest equivalent."""
    if is_user_method(name):
        return _user_method(name)
    family, _, rest = name.partition(":")
    if family == CAPTUM:
        return _captum_method(rest)
    if family in PASS_METHODS:
        if rest:
            raise UserError(f"method {family} takes no arguments, got {rest!r}: drop them")
        return PASS_METHODS[family]
    if family in FAMILIES:
        settings = parse_settings(f"method {family}", FAMILIES[family], parse_arguments(rest))
        return _settings_method(family, settings)
    raise UserError(
        f"unknown method {name!r}{suggest(name, NAMES)}; known are {list_names(NAMES)}, "
        "captum:NAME and path/to/file.py:function"
    )


def _settings_method(family: str, settings: MethodSettings) -> NetworkMethod:
    return NetworkMethod(
        name=":".join([family, *format_arguments(settings)]),
        version=settings.version,
        sign=settings.sign,
        cost=settings.cost,
        settings=settings,
        map_Bhw=settings.map_Bhw,
        needs_layer=settings.needs_layer,
        layer=settings.layer,
        needs_statistics=settings.needs_statistics,
        needs_gradient=settings.needs_gradient,
    )


def _captum_method(rest: str) -> NetworkMethod:
    from models.methods import captum_methods

    name, _, text = rest.partition(":")
    arguments = parse_arguments(text)
    method = captum_methods.captum_method(name, arguments)
    return NetworkMethod(
        ":".join([CAPTUM, name, *(f"{key}={arguments[key]}" for key in sorted(arguments))]),
        1,
        "absolute",
        None,
        method,
        lambda request: captum_methods.explain(request, method),
        needs_layer=method.needs_layer,
        needs_gradient=False,  # whether one is needed shows when the method is tried
    )


def _user_method(address: str) -> UserMethod:
    """Not loaded until it is used."""

    def map_Bhw(request: ExplainRequest) -> Tensor:
        from models.methods import user_method

        return user_method.explain(request, address)

    return UserMethod(
        _short_name(address), 1, "absolute", None, str(Path(address)), map_Bhw, needs_gradient=False
    )


def _short_name(address: str) -> str:
    """File and function: the same on every machine, and fit for a folder and a metric."""
    name = Path(address).name
    if USER_METHOD_NAME.fullmatch(name) is None:
        raise UserError(
            f"method {address!r} is not understood: give path/to/file.py:function, the file and "
            "the function named with letters, digits, '_', '-' and '.'"
        )
    return name
