"""One forward and one backward: all that predictions, CAMs and the maps of pixels need.

Shapes: B images, C colours, H W pixels, K classes, D feature channels, h w cells of the layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.grid import Grid
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
    image_BCHW: Tensor | None = None  # as the network got it; only where its gradient was asked for
    image_gradient_BCHW: Tensor | None = None

    def only(self, kept_B: Tensor) -> Capture:
        """The same of some of the images."""
        there = {name: value for name, value in vars(self).items() if value is not None}
        return Capture(**{name: value[kept_B] for name, value in there.items()})


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
def output_of(layer: nn.Module, *, cut: bool) -> Iterator[list[Tensor]]:
    """The layer's outputs; with `cut` the graph starts there, and the trunk keeps nothing.

    Yields the list that the forward fills; emptied on leaving, so that no tensor outlives the pass.
    """
    outputs: list[Tensor] = []

    def take(_: nn.Module, __: object, output: Tensor) -> Tensor:
        is_start = cut or not output.requires_grad
        outputs.append(output.detach().requires_grad_(True) if is_start else output)
        return outputs[-1].clone()  # what follows may work in place (DenseNet's last ReLU does)

    handle = layer.register_forward_hook(take)
    try:
        yield outputs
    finally:
        handle.remove()
        outputs.clear()


def capture(
    network: nn.Module,
    grid: Grid,
    image_BCHW: Tensor,
    target_B: Tensor | None = None,
    *,
    to_image: bool = False,
) -> Capture:
    """Logits, activations and gradients of one batch; the target is the prediction unless given.

    The backward stops at the grid's layer, or with `to_image` goes on to the image (twice as dear).
    """
    layer = network.get_submodule(grid.layer)
    with as_found(network), output_of(layer, cut=not to_image) as outputs, torch.enable_grad():
        image_BCHW = image_BCHW.detach().requires_grad_(to_image)
        # A copy where the image is needed afterwards: some networks scale theirs in place.
        logits_BK = network(image_BCHW.clone() if to_image else image_BCHW)
        if not outputs:
            raise CaptureMistake(
                f"layer {grid.layer!r} does not run in this network: name another --layer"
            )
        target_B = logits_BK.argmax(1) if target_B is None else target_B
        score = logits_BK.gather(1, target_B[:, None]).sum()  # images do not mix in evaluation mode
        sources = {f"layer {grid.layer!r} by a gradient: name another --layer": outputs[-1]}
        if to_image:
            sources["the picture by a gradient: choose other --methods"] = image_BCHW
        gradient, *image_gradient = _gradients(score, sources)
        return Capture(
            logits_BK.detach(),
            target_B,
            grid.arrange(outputs[-1].detach()),
            grid.arrange(gradient),
            image_BCHW.detach() if to_image else None,
            *image_gradient,
        )


def _gradients(score: Tensor, sources: Mapping[str, Tensor]) -> list[Tensor]:
    """Of the score, with respect to each source; the names end the line that refuses one."""
    found: Sequence[Tensor | None] = [None] * len(sources)
    if score.requires_grad:
        found = torch.autograd.grad(score, list(sources.values()), allow_unused=True)
    for name, gradient in zip(sources, found, strict=True):
        if gradient is None:
            raise CaptureMistake(f"the logits do not follow from {name}")
    return [gradient for gradient in found if gradient is not None]
