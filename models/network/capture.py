"""One forward and one backward: all that predictions, CAMs and pixel maps need.

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

BiasOutput = tuple[nn.Module, GradientEdge]  # a layer with a bias and the edge of its output
PICTURE = "the picture by a gradient: choose other --methods"


@dataclass(frozen=True)
class Capture:
    """The results of one pass: tensors without a graph, on the device of the images."""

    logits_BK: Tensor
    target_B: Tensor  # the class explained
    activation_BDhw: Tensor  # without channels (D=0) if the network has no layer with cells
    gradient_BDhw: Tensor  # of the target's logit with respect to the activation
    image_BCHW: Tensor | None = None  # as the network got it; only with its gradient
    image_gradient_BCHW: Tensor | None = None
    terms: tuple[Term, ...] = ()  # of layers with a bias; only on request

    def select(self, is_kept_B: Tensor) -> Capture:
        """The capture of some of the images."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        selected = {name: value[is_kept_B] for name, value in tensors.items()}
        terms = tuple(_select_term(is_kept_B, term) for term in self.terms)
        return Capture(**selected, terms=terms)


@contextmanager
def as_found(network: nn.Module) -> Iterator[None]:
    """Evaluation mode and frozen weights inside; every mode and flag is restored afterwards."""
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
def record_output(layer: nn.Module, *, cut: bool) -> Iterator[list[Tensor]]:
    """The layer's outputs; with `cut` the graph starts there, and the trunk keeps nothing.

    Yields the list that the forward fills; cleared at the end, so that no tensor outlives the pass.
    """
    outputs: list[Tensor] = []

    def record(_: nn.Module, __: object, output: Tensor) -> Tensor:
        is_start = cut or not output.requires_grad
        outputs.append(output.detach().requires_grad_(True) if is_start else output)
        return outputs[-1].clone()  # later layers may work in place (DenseNet's last ReLU does)

    handle = layer.register_forward_hook(record)
    try:
        yield outputs
    finally:
        handle.remove()
        outputs.clear()


def capture(  # noqa: PLR0913 - the inputs, and how far back the gradient goes
    network: nn.Module,
    grid: Grid | None,
    image_BCHW: Tensor,
    target_B: Tensor | None = None,
    *,
    to_image: bool = False,
    biases: bool = False,
) -> Capture:
    """Logits, activations and gradients of one batch; the target is the prediction by default.

    The backward stops at the grid's layer, or with `to_image` goes on to the image (at twice the
    cost); `biases` keeps the gradient of every layer that has one. Without a grid, no layer is
    recorded.
    """
    with (
        as_found(network),
        record_layer(network, grid, cut=not to_image) as outputs,
        _record_biases(network, biases) as biased,
        torch.enable_grad(),
    ):
        image_BCHW = image_BCHW.detach().requires_grad_(to_image)
        # A copy if the image is needed afterwards: some networks scale theirs in place.
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
        gradients, edge_gradients = _gradients(score, sources, [edge for _, edge in biased])
        return Capture(
            logits_BK.detach(),
            target_B,
            *_arrange_cells(grid, image_BCHW, [*outputs[-1:], *gradients[len(sources) - 1 :]]),
            image_BCHW.detach() if to_image else None,
            gradients[0] if to_image else None,
            tuple(
                term_of(module, gradient)
                for (module, _), gradient in zip(biased, edge_gradients, strict=True)
                if gradient is not None
            ),
        )


def record_layer(
    network: nn.Module, grid: Grid | None, *, cut: bool
) -> AbstractContextManager[list[Tensor]]:
    """The outputs of the grid's layer; none without a grid."""
    no_outputs: list[Tensor] = []
    if grid is None:
        return nullcontext(no_outputs)
    return record_output(network.get_submodule(grid.layer), cut=cut)


def _record_biases(network: nn.Module, biases: bool) -> AbstractContextManager[list[BiasOutput]]:
    no_outputs: list[BiasOutput] = []
    return bias_outputs(network) if biases else nullcontext(no_outputs)


def _arrange_cells(
    grid: Grid | None, image_BCHW: Tensor, output_and_gradient: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Activation and gradient as (B, D, h, w); no channels without a grid."""
    if grid is None:
        empty_B000 = image_BCHW.new_zeros(len(image_BCHW), 0, 0, 0)
        return empty_B000, empty_B000
    output, gradient = output_and_gradient
    return grid.arrange(output.detach()), grid.arrange(gradient)


def _gradients(
    score: Tensor, sources: Mapping[str, Tensor], edges: Sequence[GradientEdge]
) -> tuple[list[Tensor], Sequence[Tensor | None]]:
    """Of the score, with respect to each source and at each edge of the graph.

    A source without a gradient is refused by its name, which ends the message; an edge may have
    none.
    """
    gradients: Sequence[Tensor | None] = [None] * (len(sources) + len(edges))
    inputs: list[Any] = [*sources.values(), *edges]  # torch accepts both, its types do not
    if score.requires_grad and inputs:
        gradients = torch.autograd.grad(score, inputs, allow_unused=True)
    for name, gradient in zip(sources, gradients, strict=False):
        if gradient is None:
            raise UserError(f"the logits do not follow from {name}")
    source_gradients = [gradient for gradient in gradients[: len(sources)] if gradient is not None]
    return source_gradients, gradients[len(sources) :]


def _select_term(is_kept_B: Tensor, term: Term) -> Term:
    """The term of some of the images; one whose first dimension is not the images stays."""
    bias_D, gradient = term
    return bias_D, gradient[is_kept_B] if len(gradient) == len(is_kept_B) else gradient
