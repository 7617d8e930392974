"""RISE (Petsiuk et al. 2018): what of a picture must be seen for the target to be probable.

Only passes forward, so any callable will do. Shapes: B images, N masks of which n are made at a
time, C colours, H W pixels, s cells a side of a mask before it is enlarged, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from models.methods.settings import RiseSettings
from models.network.question import Question


def rise(asked: Question, settings: RiseSettings) -> Tensor:
    """map_BHW >= 0, for any network; passes forward only."""
    size = asked.image_BCHW.shape[2], asked.image_BCHW.shape[3]
    drawn = [value.to(asked.image_BCHW) for value in _draw(settings, size)]
    chunks = zip(*(torch.split(value, asked.room) for value in drawn), strict=True)
    masks = (enlarge_masks(kept_nss, shift_n2, size) for kept_nss, shift_n2 in chunks)
    return rise_of(asked, masks, settings.keep)


@torch.no_grad()
def rise_of(asked: Question, chunks: Iterable[Tensor], keep: float) -> Tensor:
    """Equation 6 of the paper for masks (n, H, W) that fit the room chunk by chunk, each pixel kept
    with probability `keep`; less the map's smallest value, which says nothing."""
    batch, _, height, width = asked.image_BCHW.shape
    # In float64: scores that hardly differ are told apart, and no card rounds the product to TF32.
    total_BP = asked.image_BCHW.new_zeros(batch, height * width, dtype=torch.float64)
    count = 0
    for mask_nHW in chunks:
        total_BP += _scores(asked, mask_nHW).double() @ mask_nHW.flatten(1).double()
        count += len(mask_nHW)
    map_BHW = total_BP.view(batch, height, width) / (count * keep)
    return (map_BHW - map_BHW.amin((1, 2), keepdim=True)).to(asked.image_BCHW.dtype)


def enlarge_masks(kept_nss: Tensor, shift_n2: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks (n, H, W) whose cells are one pixel-grid that each mask shifts by less than a cell.

    The same as a bilinear enlargement to one cell more than the picture and a cut at the shift, as
    two products of matrices.
    """
    cells = kept_nss.shape[1]
    rows_nHs = _weights(shift_n2[:, 0], size[0], cells)
    columns_nWs = _weights(shift_n2[:, 1], size[1], cells)
    return rows_nHs @ kept_nss @ columns_nWs.mT


def _weights(shift_n: Tensor, pixels: int, cells: int) -> Tensor:
    """(n, pixels, cells): what each cell gives to each pixel, linear between centres of cells."""
    pixel_nH = torch.arange(pixels).to(shift_n) + shift_n[:, None]
    width = _width(pixels, cells) * (cells + 1) / cells  # of an enlarged cell
    place_nH = ((pixel_nH + 0.5) / width - 0.5).clamp(0, cells - 1)
    cell_s = torch.arange(cells).to(shift_n)
    return (1 - (place_nH[..., None] - cell_s).abs()).clamp(min=0)


def _width(pixels: int, cells: int) -> int:
    return math.ceil(pixels / cells)


def _draw(settings: RiseSettings, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Which cells each mask keeps, and how many pixels it is shifted; a few numbers a mask."""
    generator = torch.Generator().manual_seed(settings.seed)
    count, cells = settings.masks, settings.cells
    kept_Nss = torch.rand(count, cells, cells, generator=generator) < settings.keep
    limits = [_width(pixels, cells) for pixels in size]
    shifts = [torch.randint(limit, (count,), generator=generator) for limit in limits]
    return kept_Nss, torch.stack(shifts, 1)


def _scores(asked: Question, mask_nHW: Tensor) -> Tensor:
    """(B, n): the probability of each image's target where all but its mask is the data's mean."""
    picture_nCHW = _space(asked.image_BCHW, len(mask_nHW))
    rows = []
    for image_CHW, target_1 in zip(asked.image_BCHW, torch.split(asked.target_B, 1), strict=True):
        torch.mul(image_CHW, mask_nHW[:, None], out=picture_nCHW)
        probability_nK = asked.network(picture_nCHW).softmax(1)
        rows.append(probability_nK.index_select(1, target_1)[:, 0])
    return torch.stack(rows)


def _space(image_BCHW: Tensor, count: int) -> Tensor:
    """For so many pictures, in the images' memory format; all images are masked in one place."""
    is_last = image_BCHW.is_contiguous(memory_format=torch.channels_last)
    memory_format = torch.channels_last if is_last else torch.contiguous_format
    return torch.empty(
        (count, *image_BCHW.shape[1:]),
        dtype=image_BCHW.dtype,
        device=image_BCHW.device,
        memory_format=memory_format,
    )
