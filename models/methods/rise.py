"""RISE (Petsiuk et al. 2018): which parts of a picture make the target probable when visible.

Only passes forward, so any callable will do. Shapes: B images, N masks of which n are made at a
time, C colours, H W pixels, s cells per side of a mask before it is enlarged, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from models.methods.settings import RiseSettings
from models.network.explain_request import ExplainRequest


def rise(request: ExplainRequest, settings: RiseSettings) -> Tensor:
    """map_BHW >= 0, for any network; passes forward only."""
    size = request.image_BCHW.shape[2], request.image_BCHW.shape[3]
    drawn = [value.to(request.image_BCHW) for value in _draw(settings, size)]
    chunks = zip(*(torch.split(value, request.batch_size) for value in drawn), strict=True)
    masks = (enlarge_masks(kept_nss, shift_n2, size) for kept_nss, shift_n2 in chunks)
    return average_masks(request, masks, settings.keep)


@torch.no_grad()
def average_masks(request: ExplainRequest, chunks: Iterable[Tensor], keep: float) -> Tensor:
    """Equation 6 of the paper for masks (n, H, W) chunk by chunk, each pixel kept with probability
    `keep`; less the map's smallest value, which carries no information."""
    batch, _, height, width = request.image_BCHW.shape
    # In float64: scores that hardly differ stay distinct, and no GPU rounds the product to TF32.
    total_BP = request.image_BCHW.new_zeros(batch, height * width, dtype=torch.float64)
    count = 0
    for mask_nHW in chunks:
        total_BP += _scores(request, mask_nHW).double() @ mask_nHW.flatten(1).double()
        count += len(mask_nHW)
    map_BHW = total_BP.view(batch, height, width) / (count * keep)
    return (map_BHW - map_BHW.amin((1, 2), keepdim=True)).to(request.image_BCHW.dtype)


def enlarge_masks(kept_nss: Tensor, shift_n2: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks (n, H, W), enlarged bilinearly and shifted by less than a cell.

    The same as enlarging to one cell more than the picture and cropping at the shift, but as two
    matrix products.
    """
    cells = kept_nss.shape[1]
    rows_nHs = _weights(shift_n2[:, 0], size[0], cells)
    columns_nWs = _weights(shift_n2[:, 1], size[1], cells)
    return rows_nHs @ kept_nss @ columns_nWs.mT


def _weights(shift_n: Tensor, pixels: int, cells: int) -> Tensor:
    """(n, pixels, cells): each cell's weight in each pixel, linear between the cells' centres."""
    pixel_nH = torch.arange(pixels).to(shift_n) + shift_n[:, None]
    width = _width(pixels, cells) * (cells + 1) / cells  # of an enlarged cell
    position_nH = ((pixel_nH + 0.5) / width - 0.5).clamp(0, cells - 1)
    cell_s = torch.arange(cells).to(shift_n)
    return (1 - (position_nH[..., None] - cell_s).abs()).clamp(min=0)


def _width(pixels: int, cells: int) -> int:
    return math.ceil(pixels / cells)


def _draw(settings: RiseSettings, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Which cells each mask keeps, and how many pixels it is shifted; a few numbers per mask."""
    generator = torch.Generator().manual_seed(settings.seed)
    count, cells = settings.masks, settings.cells
    kept_Nss = torch.rand(count, cells, cells, generator=generator) < settings.keep
    limits = [_width(pixels, cells) for pixels in size]
    shifts = [torch.randint(limit, (count,), generator=generator) for limit in limits]
    return kept_Nss, torch.stack(shifts, 1)


def _scores(request: ExplainRequest, mask_nHW: Tensor) -> Tensor:
    """(B, n): the probability of each image's target when its unmasked part is the data's mean."""
    picture_nCHW = _empty_pictures(request.image_BCHW, len(mask_nHW))
    rows = []
    for image_CHW, target_1 in zip(
        request.image_BCHW, torch.split(request.target_B, 1), strict=True
    ):
        torch.mul(image_CHW, mask_nHW[:, None], out=picture_nCHW)
        probability_nK = request.network(picture_nCHW).softmax(1)
        rows.append(probability_nK.index_select(1, target_1)[:, 0])
    return torch.stack(rows)


def _empty_pictures(image_BCHW: Tensor, count: int) -> Tensor:
    """Memory for so many pictures, in the images' memory format, used again for each image."""
    is_last = image_BCHW.is_contiguous(memory_format=torch.channels_last)
    memory_format = torch.channels_last if is_last else torch.contiguous_format
    return torch.empty(
        (count, *image_BCHW.shape[1:]),
        dtype=image_BCHW.dtype,
        device=image_BCHW.device,
        memory_format=memory_format,
    )
