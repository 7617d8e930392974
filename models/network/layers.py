"""The layer whose maps explain a network: the last one whose cells the logits depend on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from models.errors import LayerError, suggest
from models.network.capture import as_found
from models.network.grid import Grid, distortion, read_grid

FEWEST_CELLS = 4  # along each side of a map that tells an object from its background


@dataclass(frozen=True)
class _Output:
    name: str
    module: nn.Module
    value: object


@dataclass(frozen=True)
class _ForwardPass:
    """One forward pass of one picture: outputs in the order in which the modules finished."""

    outputs: list[_Output]
    logits_1K: Tensor
    picture: tuple[int, int]

    def grid(self, output: _Output) -> Grid | None:
        convolved = {
            (value.shape[2], value.shape[3])
            for value in (other.value for other in self.outputs if _is_convolution(other.module))
            if isinstance(value, Tensor) and value.ndim == 4
        }
        return read_grid(output.name, output.value, self.picture, convolved)

    def reaches(self, output: _Output, grid: Grid) -> bool:
        """Does a gradient come to every cell? NaN goes back, which zero weights cannot hide."""
        value = output.value
        if not (isinstance(value, Tensor) and value.requires_grad and self.logits_1K.requires_grad):
            return False
        sent_1K = torch.full_like(self.logits_1K, torch.nan)
        (gradient,) = torch.autograd.grad(
            self.logits_1K, value, sent_1K, retain_graph=True, allow_unused=True
        )
        if gradient is None or not _has_tokens(grid):
            return gradient is not None
        return bool(grid.arrange(gradient).isnan().any(1).all())


def find_grid(network: nn.Module, image_BCHW: Tensor) -> Grid:
    """The last layer with weights and cells, to all of which a gradient comes.

    That is the last stage of a convolutional network, and the last normalisation of a transformer
    that averages its tokens. If the head reads a class token, no gradient comes back to the cells
    after the last attention, so it is the normalisation before that, as users of pytorch-grad-cam
    choose by hand. It has to be that and not the block before: where only a normalisation reads the
    output, activation times gradient sums to zero in each cell, since the output's length does not
    matter. Queries, keys and values (linear layers of their own) are parts, not layers.
    """
    trial = _run(network, image_BCHW)
    for index, output in reversed(list(enumerate(trial.outputs))):
        grid = trial.grid(output) if output.name else None
        if grid and _is_layer(output.module, grid, trial.picture) and trial.reaches(output, grid):
            if _is_late(trial.outputs, index):
                return grid
            break
    raise LayerError(
        f"found no last layer with cells in {type(network).__name__}: name one that gives "
        "(batch, channels, rows, columns) or (batch, tokens, channels) with --layer"
    )


def check_cells(network: nn.Module, grid: Grid, image_BCHW: Tensor) -> Iterator[str]:
    """A warning about a layer whose cells are too large to tell an object from its background, with
    the last layer whose cells are not."""
    if min(grid.rows, grid.columns) >= FEWEST_CELLS:
        return
    rows, columns = image_BCHW.shape[2:]
    finer = _find_finer_grid(network, image_BCHW)
    remedy = "no layer of this network has more: give larger pictures, or methods without a layer"
    if finer is not None:
        remedy = f"--layer {finer.layer} gives {finer.rows}x{finer.columns}"
    yield (
        f"maps from layer {grid.layer} have only {grid.rows}x{grid.columns} cells for pictures of "
        f"{columns}x{rows} pixels, too few to tell an object from its background: {remedy}"
    )


def _find_finer_grid(network: nn.Module, image_BCHW: Tensor) -> Grid | None:
    """The last layer with enough cells, to all of which a gradient comes."""
    trial = _run(network, image_BCHW)
    for output in reversed(trial.outputs):
        grid = trial.grid(output) if output.name else None
        if (
            grid
            and min(grid.rows, grid.columns) >= FEWEST_CELLS
            and _is_layer(output.module, grid, trial.picture)
            and trial.reaches(output, grid)
        ):
            return grid
    return None


def grid_of(network: nn.Module, layer: str, image_BCHW: Tensor) -> Grid:
    """The grid of a named layer; refuses one that does not exist or whose cells are not used."""
    names = [name for name, _ in network.named_modules() if name]
    if layer not in names:
        raise LayerError(
            f"no layer {layer!r} in the network{suggest(layer, names)}: name another --layer"
        )
    trial = _run(network, image_BCHW)
    runs = [output for output in trial.outputs if output.name == layer]
    if not runs:
        raise LayerError(f"layer {layer!r} does not run in this network: name another --layer")
    grid, value = trial.grid(runs[-1]), runs[-1].value
    if grid is None:
        output = tuple(value.shape) if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise LayerError(
            f"layer {layer!r} gives {output}; a map needs (batch, channels, rows, columns), "
            "(batch, rows, columns, channels) or (batch, tokens, channels) with more than one "
            "cell: name another --layer"
        )
    if _has_tokens(grid) and not trial.reaches(runs[-1], grid):
        raise LayerError(
            f"no gradient comes to the {grid.rows}x{grid.columns} cells of layer {layer!r}, "
            "the logits depend on its other tokens alone: name an earlier --layer"
        )
    return grid


def _run(network: nn.Module, image_BCHW: Tensor) -> _ForwardPass:
    outputs: list[_Output] = []
    names = {module: name for name, module in network.named_modules()}

    def record(module: nn.Module, _: object, output: object) -> None:
        outputs.append(_Output(names[module], module, output))

    handles = [module.register_forward_hook(record) for module in network.modules()]
    try:
        with as_found(network), torch.enable_grad():
            image_1CHW = image_BCHW[:1].detach().requires_grad_(True)
            logits_1K = network(image_1CHW.clone())  # a copy: some networks scale theirs in place
    finally:
        for handle in handles:
            handle.remove()
    return _ForwardPass(outputs, logits_1K, (image_BCHW.shape[2], image_BCHW.shape[3]))


def _is_layer(module: nn.Module, grid: Grid, picture: tuple[int, int]) -> bool:
    """Not pooling, not a linear part of an attention, not heads and tokens mistaken for cells."""
    if isinstance(module, nn.Linear) or next(module.parameters(), None) is None:
        return False
    is_fine = grid.rows > picture[0] or grid.columns > picture[1]
    are_plausible = distortion((grid.rows, grid.columns), picture) <= 2 and not is_fine
    return are_plausible or any(map(_is_convolution, module.modules()))


def _is_late(outputs: list[_Output], index: int) -> bool:
    """Are no more linear layers on cells after it than layers before it?

    A transformer whose tokens we cannot read has cells at its start only, where it cuts patches.
    """
    before = sum(
        isinstance(output.module, nn.Linear | nn.Conv2d) for output in outputs[: index + 1]
    )
    after = sum(_is_linear_on_cells(output) for output in outputs[index + 1 :])
    return after <= before


def _is_convolution(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d)


def _is_linear_on_cells(output: _Output) -> bool:
    """As in transformers; the output of a classifier's head is (B, K)."""
    value = output.value
    return isinstance(output.module, nn.Linear) and isinstance(value, Tensor) and value.ndim > 2


def _has_tokens(grid: Grid) -> bool:
    return grid.layout in ("BTD", "TBD")


@lru_cache(maxsize=8)
def cached_grid(network: nn.Module, layer: str, size: tuple[int, int]) -> Grid:
    """The grid of a named layer for pictures of this size; cached in the process."""
    return grid_of(network, layer, torch.zeros(1, 3, *size, device=device_of(network)))


def device_of(network: nn.Module) -> torch.device:
    """The device of its weights; a network without weights computes on the CPU."""
    weight = next(network.parameters(), None)
    return torch.device("cpu") if weight is None else weight.device
