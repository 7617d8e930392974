"""Every bias of a network, and the gradient where it is added.

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
    """What the module adds to each channel (D) in evaluation mode; None if it adds nothing."""
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
    """Each run of a layer with a bias, in the order of the forward, with its edge in the graph.

    `torch.autograd.grad` accepts such an edge like a tensor (with allow_unused: the logits may not
    depend on it). It stays the edge of the original output even where a ReLU overwrites the values
    in place, so that no output is copied or held.
    """
    edges: list[tuple[nn.Module, GradientEdge]] = []

    def record(module: nn.Module, output: object) -> Tensor | None:
        if not isinstance(output, Tensor) or not output.requires_grad:
            return None
        edges.append((module, get_gradient_edge(output)))
        # An in-place operation on a view would replace its edge.
        return output.clone() if output._is_view() else None

    handles = [_hook(module, record) for module in biased_layers(network).values()]
    try:
        yield edges
    finally:
        for handle in handles:
            handle.remove()
        edges.clear()


def term_of(module: nn.Module, gradient: Tensor) -> Term:
    """A layer's bias and the gradient at its output, channels as the second dimension."""
    bias_D = bias_of(module)
    if bias_D is None:
        raise ValueError(f"{type(module).__name__} adds no bias")
    is_last = isinstance(module, nn.Linear | nn.LayerNorm) and not _is_planar(module)
    return bias_D, gradient.movedim(-1, 1) if is_last else gradient


def _shift_of(module: Any) -> Tensor | None:
    """What a BatchNorm adds implicitly, since it subtracts its running mean."""
    # By name too: frozen ones of torchvision and timm do not derive from torch's.
    is_batch_norm = isinstance(module, _NormBase) or "BatchNorm" in type(module).__name__
    if not is_batch_norm or getattr(module, "running_mean", None) is None:
        return None
    shift_D: Tensor = -module.running_mean * torch.rsqrt(module.running_var + module.eps)
    return shift_D if module.weight is None else shift_D * module.weight


def _hook(
    module: nn.Module, record: Callable[[nn.Module, object], Tensor | None]
) -> RemovableHandle:
    """Hook right after the bias is added: in timm's norms, before the activation inside them."""
    is_active = all(isinstance(getattr(module, name, None), nn.Module) for name in ("drop", "act"))
    target = module.get_submodule("drop") if is_active else module
    return target.register_forward_hook(lambda _, __, output: record(module, output))


def _is_planar(module: nn.Module) -> bool:
    """torchvision's and timm's LayerNorm2d, which keep the channels as the second dimension."""
    return "2d" in type(module).__name__
