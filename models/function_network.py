"""A plain function of pictures as a network, and the networks that it uses.

Shapes: B images, C colours, H W pixels, K classes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from torch import Tensor, nn
from torch.fx import GraphModule


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
    """The networks that a function or another callable refers to, at any depth."""
    found: dict[int, nn.Module] = {}
    seen: dict[int, object] = {}
    waiting = [function]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if isinstance(value, nn.Module):
            found[id(value)] = value
        else:
            waiting += _referred(value)
    return list(found.values())


def _referred(value: object) -> Iterator[Any]:
    """What a callable holds, in a fixed order; nothing for values of other kinds."""
    if isinstance(value, partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, FunctionType):
        used = inspect.getclosurevars(value)
        yield from (*used.nonlocals.values(), *used.globals.values(), *(value.__defaults__ or ()))
    elif isinstance(value, list | tuple):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()
    elif callable(value) and not inspect.isclass(value):
        yield from getattr(value, "__dict__", {}).values()
