"""One forward and one backward that stops at a layer: all that predictions and CAMs need.

Shapes: B images, C colours, H W pixels, K classes, D feature channels, h w cells of the layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.mistakes import Mistake


class CaptureMistake(Mistake):
    """The layer or the network cannot give what a map needs."""


@dataclass(frozen=True)
class Capture:
    """What one pass leaves: tensors without a graph, on the device of the images."""

    logits_BK: Tensor
    target_B: Tensor  # the class explained
    activation_BDhw: Tensor
    gradient_BDhw: Tensor  # of the target's logit with respect to the activation


@contextmanager
def as_found(network: nn.Module) -> Iterator[None]:
    """Evaluation mode and frozen weights inside; every mode and flag as found afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    flags = [(weight, weight.requires_grad) for weight in network.parameters()]
    network.eval()
    network.requires_grad_(False)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for weight, flag in flags:
            weight.requires_grad_(flag)


@contextmanager
def cut_at(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Start the graph at the layer's output: the trunk before it builds none and keeps nothing.

    Yields the list that the forward fills; emptied on leaving, so that no tensor outlives the pass.
    """
    outputs: list[Tensor] = []

    def cut(_: nn.Module, __: object, output: Tensor) -> Tensor:
        leaf = output.detach().requires_grad_(True)
        outputs.append(leaf)
        return leaf.clone()  # what follows may work in place (DenseNet's last ReLU does)

    handle = layer.register_forward_hook(cut)
    try:
        yield outputs
    finally:
        handle.remove()
        outputs.clear()


def capture(
    network: nn.Module, layer: str, image_BCHW: Tensor, target_B: Tensor | None = None
) -> Capture:
    """Logits, activations and gradients of one batch; the target is the prediction unless given."""
    with as_found(network), cut_at(network.get_submodule(layer)) as outputs, torch.enable_grad():
        logits_BK = network(image_BCHW)
        if not outputs:
            raise CaptureMistake(
                f"layer {layer!r} does not run in this network: name another --layer"
            )
        target_B = logits_BK.argmax(1) if target_B is None else target_B
        score = logits_BK.gather(1, target_B[:, None]).sum()  # images do not mix in evaluation mode
        activation_BDhw = outputs[-1]
        gradient_BDhw = _gradient(score, activation_BDhw, layer)
        return Capture(logits_BK.detach(), target_B, activation_BDhw.detach(), gradient_BDhw)


def _gradient(score: Tensor, activation_BDhw: Tensor, layer: str) -> Tensor:
    if score.requires_grad:
        (gradient_BDhw,) = torch.autograd.grad(score, activation_BDhw, allow_unused=True)
        if gradient_BDhw is not None:
            return gradient_BDhw
    raise CaptureMistake(
        f"the logits do not follow from layer {layer!r} by a gradient: name another --layer"
    )
