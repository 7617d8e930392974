"""One forward and one backward: all that predictions, CAMs and the maps of pixels need.

Shapes: B images, C colours, H W pixels, K classes, D feature channels, h w cells of the layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from models.errors import UserError
from models.network.bias_terms import Term, bias_outputs, term_of
from models.network.grid import Grid

Place = tuple[nn.Module, GradientEdge]  # a layer with a bias, and where it adds it
PICTURE = "the picture by a gradient: choose other --methods"


@dataclass(frozen=True)
class Capture:
    """What one pass leaves: tensors without a graph, on the device of the images."""

    logits_BK: Tensor
    target_B: Tensor  # the class explained
    activation_BDhw: Tensor  # without channels (D=0) where the network has no layer with cells
    gradient_BDhw: Tensor  # of the target's logit with respect to the activation
    image_BCHW: Tensor | None = None  # as the network got it; only where its gradient was asked for
    image_gradient_BCHW: Tensor | None = None
    terms: tuple[Term, ...] = ()  # of layers with a bias; only where they were asked for

    def only(self, kept_B: Tensor) -> Capture:
        """The same of some of the images."""
        there = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        kept = {name: value[kept_B] for name, value in there.items()}
        terms = tuple(_some(kept_B, term) for term in self.terms)
        return Capture(**kept, terms=terms)


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


def capture(  # noqa: PLR0913 - what is explained, and how far back
    network: nn.Module,
    grid: Grid | None,
    image_BCHW: Tensor,
    target_B: Tensor | None = None,
    *,
    to_image: bool = False,
    biases: bool = False,
) -> Capture:
    """Logits, activations and gradients of one batch; the target is the prediction unless given.

    The backward stops at the grid's layer, or with `to_image` goes on to the image (twice as dear),
    with `biases` by way of every layer that has one. Without a grid nothing inside is looked at.
    """
    with (
        as_found(network),
        _layer_of(network, grid, cut=not to_image) as outputs,
        _biased(network, biases) as places,
        torch.enable_grad(),
    ):
        image_BCHW = image_BCHW.detach().requires_grad_(to_image)
        # A copy where the image is needed afterwards: some networks scale theirs in place.
        logits_BK = network(image_BCHW.clone() if to_image else image_BCHW)
        if grid is not None and not outputs:
            raise UserError(
                f"layer {grid.layer!r} does not run in this network: name another --layer"
            )
        target_B = logits_BK.argmax(1) if target_B is None else target_B
        score = logits_BK.gather(1, target_B[:, None]).sum()  # images do not mix in evaluation mode
        sources = {PICTURE: image_BCHW} if to_image else {}
        if grid is not None:
            sources[f"layer {grid.layer!r} by a gradient: name another --layer"] = outputs[-1]
        gradients, of_places = _gradients(score, sources, [place for _, place in places])
        return Capture(
            logits_BK.detach(),
            target_B,
            *_in_cells(grid, image_BCHW, [*outputs[-1:], *gradients[len(sources) - 1 :]]),
            image_BCHW.detach() if to_image else None,
            gradients[0] if to_image else None,
            tuple(
                term_of(module, gradient)
                for (module, _), gradient in zip(places, of_places, strict=True)
                if gradient is not None
            ),
        )


def _layer_of(
    network: nn.Module, grid: Grid | None, *, cut: bool
) -> AbstractContextManager[list[Tensor]]:
    nothing: list[Tensor] = []
    if grid is None:
        return nullcontext(nothing)
    return output_of(network.get_submodule(grid.layer), cut=cut)


def _biased(network: nn.Module, wanted: bool) -> AbstractContextManager[list[Place]]:
    nothing: list[Place] = []
    return bias_outputs(network) if wanted else nullcontext(nothing)


def _in_cells(
    grid: Grid | None, image_BCHW: Tensor, output_and_gradient: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Activation and gradient as (B, D, h, w); no channels without a grid."""
    if grid is None:
        nothing_B000 = image_BCHW.new_zeros(len(image_BCHW), 0, 0, 0)
        return nothing_B000, nothing_B000
    output, gradient = output_and_gradient
    return grid.arrange(output.detach()), grid.arrange(gradient)


def _gradients(
    score: Tensor, sources: Mapping[str, Tensor], places: Sequence[GradientEdge]
) -> tuple[list[Tensor], Sequence[Tensor | None]]:
    """Of the score, with respect to each source and at each place of the graph.

    The sources' names end the line that refuses one; what lies beside the way may be a place.
    """
    found: Sequence[Tensor | None] = [None] * (len(sources) + len(places))
    if score.requires_grad:
        wanted: list[Any] = [*sources.values(), *places]  # torch takes both, its types do not
        found = torch.autograd.grad(score, wanted, allow_unused=True)
    for name, gradient in zip(sources, found, strict=False):
        if gradient is None:
            raise UserError(f"the logits do not follow from {name}")
    of_sources = [gradient for gradient in found[: len(sources)] if gradient is not None]
    return of_sources, found[len(sources) :]


def _some(kept_B: Tensor, term: Term) -> Term:
    """A term of some of the images; one that is not laid out by images stays."""
    bias_D, gradient = term
    return bias_D, gradient[kept_B] if len(gradient) == len(kept_B) else gradient
