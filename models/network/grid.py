"""Where the cells of a map are in a layer's output.

Shapes: B images, N copies of them, D feature channels, h w cells, T tokens of which the last h*w
are the cells'.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Layout = Literal["BDhw", "BhwD", "BTD", "TBD"]
Size = tuple[int, int]  # rows and columns


@dataclass(frozen=True)
class Grid:
    """A layer and how to read (B, D, h, w) from its output."""

    layer: str
    rows: int
    columns: int
    layout: Layout = "BDhw"
    prefix: int = 0  # tokens before those of the cells: class, distillation, registers

    def arrange(self, output: Tensor) -> Tensor:
        """The layer's output, or its gradient, as (B, D, h, w)."""
        if self.layout == "BDhw":
            return output
        if self.layout == "BhwD":
            return output.permute(0, 3, 1, 2)
        token_BTD = output.transpose(0, 1) if self.layout == "TBD" else output
        batch, _, depth = token_BTD.shape
        cell_BDT = token_BTD[:, self.prefix :].transpose(1, 2)
        return cell_BDT.reshape(batch, depth, self.rows, self.columns)

    def replace_cells(self, cell_NDhw: Tensor, output: Tensor) -> Tensor:
        """The inverse of `arrange`: the layer's output with these cells instead of its own.

        N is B, or a multiple of it: copies of the whole batch, one after another. Tokens before
        the cells stay as they are in the output.
        """
        if self.layout == "BDhw":
            return cell_NDhw
        if self.layout == "BhwD":
            return cell_NDhw.permute(0, 2, 3, 1)
        token_BTD = output.transpose(0, 1) if self.layout == "TBD" else output
        copies = len(cell_NDhw) // len(token_BTD)
        prefix_NTD = token_BTD[:, : self.prefix].repeat(copies, 1, 1)
        token_NTD = torch.cat([prefix_NTD, cell_NDhw.flatten(2).transpose(1, 2)], 1)
        return token_NTD.transpose(0, 1) if self.layout == "TBD" else token_NTD


def read_grid(
    layer: str, output: object, picture: Size, convolved: Collection[Size]
) -> Grid | None:
    """The grid in a layer's output for one picture; None if there are not several cells.

    `convolved` are the grids of the network's convolutions, the patches of a transformer among
    them.
    """
    if not isinstance(output, Tensor) or not output.numel():
        return None
    if output.ndim == 4 and len(output) == 1:
        return _grid_of_planes(layer, output.shape, picture)
    if output.ndim == 3 and 1 in output.shape[:2]:
        return _grid_of_tokens(layer, output.shape, picture, convolved)
    return None


def distortion(cells: Size, picture: Size) -> float:
    """The ratio of the longer to the shorter side of a cell, in pixels; 1 is square."""
    return math.exp(abs(math.log(cells[0] * picture[1] / (cells[1] * picture[0]))))


def _grid_of_planes(layer: str, shape: tuple[int, ...], picture: Size) -> Grid | None:
    """Channels first, unless reading them as channels last gives squarer cells."""
    first, last = (shape[2], shape[3]), (shape[1], shape[2])
    is_last = distortion(last, picture) < distortion(first, picture)
    rows, columns = last if is_last else first
    return Grid(layer, rows, columns, "BhwD" if is_last else "BDhw") if rows * columns > 1 else None


def _grid_of_tokens(
    layer: str, shape: tuple[int, ...], picture: Size, convolved: Collection[Size]
) -> Grid | None:
    layout: Layout = "BTD" if shape[0] == 1 else "TBD"
    count = max(shape[:2])
    patches = [cells for cells in convolved if _are_most(cells, count)]
    square = [(picture[0] // pixels, picture[1] // pixels) for pixels in range(1, min(picture) + 1)]
    fitting = patches or [cells for cells in square if _are_most(cells, count)]
    if not fitting:
        return None
    rows, columns = max(fitting, key=math.prod)
    return Grid(layer, rows, columns, layout, prefix=count - rows * columns)


def _are_most(cells: Size, count: int) -> bool:
    """Are most of the tokens cells, and more than one?"""
    return max(1, count / 2) < math.prod(cells) <= count
