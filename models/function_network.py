"""A plain function of pictures as a network, and the networks that it uses.

Shapes: B images, C colours, H W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

from torch import Tensor, nn
from torch.fx import GraphModule

PACKAGES = {"site-packages", "dist-packages"}  # folders of installed packages
DEEPEST = 6  # steps from a function to a network that it uses


class FunctionNetwork(nn.Module):
    """A function that gives logits (B, K): without layers, and computed where the function wants.

    The networks that it uses are put in evaluation mode once. They are no layers of this one: what
    the function does around them is unknown.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = (function,)  # a bare network would become a layer
        self.networks = tuple(networks_in(function))
        for network in self.networks:
            allow_modes(network)
            network.eval()

    def forward(self, image_BCHW: Tensor) -> Tensor:
        return self.function[0](image_BCHW)


def allow_modes(network: nn.Module) -> None:
    """Let an exported program, which has one mode, be asked for it; it refuses by default."""
    if isinstance(network, GraphModule):
        for name in ("train", "eval"):
            vars(network).pop(name, None)


def networks_in(function: object) -> list[nn.Module]:
    """The networks that a function or another object refers to, in a fixed order."""
    found: dict[int, nn.Module] = {}
    seen: set[int] = set()
    waiting = [(function, 0)]
    while waiting:
        value, depth = waiting.pop()
        if id(value) in seen or depth > DEEPEST:
            continue
        seen.add(id(value))
        if isinstance(value, nn.Module):
            found[id(value)] = value
        else:
            waiting += [(inner, depth + 1) for inner in _referred(value)]
    return list(found.values())


def _referred(value: object) -> list[Any]:
    """What a value holds or, if it is a function of the user's, uses."""
    if isinstance(value, partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, FunctionType):
        return _used_by(value)
    if isinstance(value, list | tuple | dict):
        return list(value.values() if isinstance(value, dict) else value)
    if isinstance(value, type | ModuleType):
        return []
    return list(getattr(value, "__dict__", {}).values())


def _used_by(function: FunctionType) -> list[Any]:
    """Values in its closure, its defaults, and the global names in its code."""
    if PACKAGES & set(Path(function.__code__.co_filename).parts):
        return []
    cells = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # it is empty
            cells.append(cell.cell_contents)
    names = [name for name in function.__code__.co_names if name in function.__globals__]
    return [
        *cells,
        *(function.__defaults__ or ()),
        *(function.__globals__[name] for name in names),
    ]
