"""Finding the layer whose maps explain a convolution network: its last one with spatial cells."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.capture import as_found
from models.mistakes import Mistake, nearest


class LayerMistake(Mistake):
    """No layer, or not the layer, that spatial maps can be taken from."""


def find_layer(network: nn.Module, image_BCHW: Tensor) -> str:
    """The outermost module that ends last, holds a convolution and gives (B, D, h, w) cells."""
    finished = _outputs_in_order(network, image_BCHW)
    convolutions = [i for i, (_, module, _) in enumerate(finished) if _is_convolution(module)]
    after = finished[convolutions[-1] :] if convolutions else []
    mixers = sum(_mixes_tokens(module, output) for _, module, output in after)
    spatial = [
        name
        for name, module, output in finished
        if name and _is_spatial(output) and any(map(_is_convolution, module.modules()))
    ]
    # Transformers convolve at the start, to cut patches: that is no layer to explain with.
    if not spatial or mixers > len(convolutions):
        raise LayerMistake(
            f"found no last convolution layer in {type(network).__name__}: "
            "name a layer with output (batch, channels, rows, columns) with --layer"
        )
    return spatial[-1]


def cells_of(network: nn.Module, layer: str, image_BCHW: Tensor) -> tuple[int, int]:
    """Rows and columns of the layer's maps; refuses a layer that is not there or has no cells."""
    names = [name for name, _ in network.named_modules() if name]
    if layer not in names:
        raise LayerMistake(
            f"no layer {layer!r} in the network{nearest(layer, names)}: name another --layer"
        )
    outputs = [out for name, _, out in _outputs_in_order(network, image_BCHW) if name == layer]
    if not outputs:
        raise LayerMistake(f"layer {layer!r} does not run in this network: name another --layer")
    output = outputs[-1]
    if not isinstance(output, Tensor) or not _is_spatial(output):
        found = tuple(output.shape) if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise LayerMistake(
            f"layer {layer!r} gives {found}; a map needs (batch, channels, rows, columns) "
            "with more than one cell: name another --layer"
        )
    return output.shape[2], output.shape[3]


def _outputs_in_order(
    network: nn.Module, image_BCHW: Tensor
) -> list[tuple[str, nn.Module, object]]:
    """(name, module, output) in the order in which the modules finish."""
    finished: list[tuple[str, nn.Module, object]] = []
    names = {module: name for name, module in network.named_modules()}

    def note(module: nn.Module, _: object, output: object) -> None:
        finished.append((names[module], module, output))

    handles = [module.register_forward_hook(note) for module in network.modules()]
    try:
        with as_found(network), torch.no_grad():
            network(image_BCHW)
    finally:
        for handle in handles:
            handle.remove()
    return finished


def _is_convolution(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d)


def _mixes_tokens(module: nn.Module, output: object) -> bool:
    """A linear layer on every cell, as in transformers; a classifier's head gives (B, K)."""
    return isinstance(module, nn.Linear) and isinstance(output, Tensor) and output.ndim > 2


def _is_spatial(output: object) -> bool:
    return isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1
