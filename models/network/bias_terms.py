"""Every bias of a network, and the gradient at the place where it is added.

That holds for convolutions, linear layers and BatchNorm with its running statistics. LayerNorm and
GroupNorm give the bias that they add. Shapes: B images, D channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.utils.hooks import RemovableHandle

Term = tuple[Tensor, Tensor]  # a bias (D) and the gradient where it is added (B, D, ...)
BIASED = (_ConvNd, nn.Linear, _NormBase, nn.LayerNorm, nn.GroupNorm)


def bias_of(module: nn.Module) -> Tensor | None:
    """What the module adds to each of its channels (D) in evaluation mode; None if nothing."""
    bias_D = getattr(module, "bias", None)
    shift_D = _shift_of(module)
    if shift_D is not None:
        return (shift_D if bias_D is None else shift_D + bias_D).detach()
    if isinstance(module, BIASED) and isinstance(bias_D, Tensor) and bias_D.ndim == 1:
        return bias_D.detach()
    return None


def biased_layers(network: nn.Module) -> dict[str, nn.Module]:
    """The modules that add a bias, by name."""
    modules = network.named_modules()
    return {name: module for name, module in modules if bias_of(module) is not None}


@contextmanager
def bias_outputs(network: nn.Module) -> Iterator[list[tuple[nn.Module, GradientEdge]]]:
    """Each run of a layer with a bias, in the order of the forward, with its place in the graph.

    `torch.autograd.grad` takes such a place as it takes a tensor (with allow_unused: heads may not
    count). It stays that of the output as it was, also where a later ReLU overwrites the values, so
    that no output is copied or held.
    """
    places: list[tuple[nn.Module, GradientEdge]] = []

    def take(module: nn.Module, output: object) -> Tensor | None:
        if not isinstance(output, Tensor) or not output.requires_grad:
            return None
        places.append((module, get_gradient_edge(output)))
        # What overwrites a view would take its place in the graph.
        return output.clone() if output._is_view() else None

    handles = [_hook(module, take) for module in biased_layers(network).values()]
    try:
        yield places
    finally:
        for handle in handles:
            handle.remove()
        places.clear()


def term_of(module: nn.Module, gradient: Tensor) -> Term:
    """A layer's bias and the gradient at its output, channels brought to the second place."""
    bias_D = bias_of(module)
    if bias_D is None:
        raise ValueError(f"{type(module).__name__} adds no bias")
    is_last = isinstance(module, nn.Linear | nn.LayerNorm) and not _is_planar(module)
    return bias_D, gradient.movedim(-1, 1) if is_last else gradient


def _shift_of(module: Any) -> Tensor | None:
    """What a BatchNorm adds implicitly, since it subtracts its running mean."""
    # By name too: frozen ones of torchvision and timm derive from none of torch's.
    is_batch_norm = isinstance(module, _NormBase) or "BatchNorm" in type(module).__name__
    if not is_batch_norm or getattr(module, "running_mean", None) is None:
        return None
    shift_D: Tensor = -module.running_mean * torch.rsqrt(module.running_var + module.eps)
    return shift_D if module.weight is None else shift_D * module.weight


def _hook(module: nn.Module, take: Callable[[nn.Module, object], Tensor | None]) -> RemovableHandle:
    """Where the bias has just been added: in timm's norms, before the activation inside them."""
    is_active = all(isinstance(getattr(module, name, None), nn.Module) for name in ("drop", "act"))
    place = module.get_submodule("drop") if is_active else module
    return place.register_forward_hook(lambda _, __, output: take(module, output))


def _is_planar(module: nn.Module) -> bool:
    """torchvision's and timm's LayerNorm2d, which keep the channels in the second place."""
    return "2d" in type(module).__name__
