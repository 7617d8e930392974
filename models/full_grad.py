"""FullGrad (Srinivas and Fleuret 2019): the gradient of the picture and of every bias.

A piecewise linear network's logit is exactly its input times gradient plus each bias times the
gradient at that layer's output. That holds for convolutions, linear layers and BatchNorm with its
running statistics. LayerNorm and GroupNorm give the bias that they add, as the paper asks of every
bias; networks with them, or with smooth activations, are not piecewise linear and do not add up.
Shapes: B images, C colours, H W pixels, D channels, h w cells of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional
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


def full_grad(image_BCHW: Tensor, image_gradient_BCHW: Tensor, terms: Iterable[Term]) -> Tensor:
    """map_BHW >= 0 as the authors' code sums it: magnitudes, each term from 0 to 1 over an image's
    channels and cells, enlarged. Terms without planes (linear layers, tokens) have no place."""
    size = image_BCHW.shape[2:]
    colours_C = image_BCHW.new_ones(image_BCHW.shape[1])
    map_BHW = _plane(colours_C, image_BCHW * image_gradient_BCHW)
    for bias_D, gradient in terms:
        if gradient.ndim == 4 and len(gradient) == len(image_BCHW):
            plane_B1hw = _plane(bias_D, gradient)[:, None]
            map_BHW += functional.interpolate(plane_B1hw, size=size, mode="bilinear")[:, 0]
    return map_BHW


def complete(image_BCHW: Tensor, image_gradient_BCHW: Tensor, terms: Iterable[Term]) -> Tensor:
    """(B): the sum of all contributions, the target's logit where the network is piecewise linear.

    Proposition 1 of the paper. With terms of all layers, also those that the map leaves out.
    """
    total_B = (image_BCHW * image_gradient_BCHW).sum((1, 2, 3))
    for bias_D, gradient in terms:
        total_B = total_B + (gradient.movedim(1, -1) @ bias_D).reshape(len(total_B), -1).sum(1)
    return total_B


def _shift_of(module: Any) -> Tensor | None:
    """What a BatchNorm adds implicitly, since it subtracts its running mean."""
    # By name too: frozen ones of torchvision and timm derive from none of torch's.
    is_batch_norm = isinstance(module, _NormBase) or "BatchNorm" in type(module).__name__
    if not is_batch_norm or getattr(module, "running_mean", None) is None:
        return None
    shift_D: Tensor = -module.running_mean * torch.rsqrt(module.running_var + module.eps)
    return shift_D if module.weight is None else shift_D * module.weight


def _plane(bias_D: Tensor, gradient_BDhw: Tensor) -> Tensor:
    """(B, h, w): the sum over channels of |bias * gradient|, from 0 to 1 over an image's numbers.

    Sums, smallest and largest values are formed without that product, which is large.
    """
    size_BDhw, weight_D = gradient_BDhw.abs(), bias_D.abs()
    total_Bhw = torch.einsum("bdhw,d->bhw", size_BDhw, weight_D)
    low_B = (size_BDhw.amin((2, 3)) * weight_D).amin(1)[:, None, None]
    high_B = (size_BDhw.amax((2, 3)) * weight_D).amax(1)[:, None, None]
    scaled_Bhw = (total_Bhw - len(weight_D) * low_B) / (high_B - low_B)
    return torch.where(high_B == low_B, 0, scaled_Bhw)


def _hook(module: nn.Module, take: Callable[[nn.Module, object], Tensor | None]) -> RemovableHandle:
    """Where the bias has just been added: in timm's norms, before the activation inside them."""
    is_active = all(isinstance(getattr(module, name, None), nn.Module) for name in ("drop", "act"))
    place = module.get_submodule("drop") if is_active else module
    return place.register_forward_hook(lambda _, __, output: take(module, output))


def _is_planar(module: nn.Module) -> bool:
    """torchvision's and timm's LayerNorm2d, which keep the channels in the second place."""
    return "2d" in type(module).__name__
