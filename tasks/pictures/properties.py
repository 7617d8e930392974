"""Plain properties of pictures: what a shortcut may be that no map can show, such as a blur.

Shapes: B pictures, C=3 colours, H rows, W columns, N pixels of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.pictures import jpeg_header

VERSION = 1  # of the columns
FRAME = 0.03  # of the picture's height and width: its outermost pixels
BORDER_PROPERTIES = ("border_red", "border_green", "border_blue", "border_spread")
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)
BLOCK = 8  # pixels a side: JPEG's
WINDOW = 256  # pixels a side at most, of the file's picture: enough to see its blocks


@dataclass(frozen=True)
class FileProperties:
    """What only the file's own picture shows: resizing blurs blocks away."""

    width: int
    height: int
    blockiness: float  # NaN for a plain picture
    jpeg_quality: float | None


def measure_file(content: bytes, stored_CHW: Tensor, shown_CHW: Tensor) -> FileProperties:
    """Of a file, its decoded pixels as they are stored, and as they are shown."""
    height, width = shown_CHW.shape[1:]
    quality = jpeg_header.read_quality(content)
    return FileProperties(width, height, blockiness(stored_CHW), quality)


def blockiness(stored_CHW: Tensor) -> float:
    """Mean step across the borders of JPEG's blocks / mean step inside of them: 1 without blocks.

    Of green, which is most of the luminance, in a window around the centre. NaN without any step.
    """
    green_HW = _middle(stored_CHW[1]).short()
    steps = [green_HW.diff(dim=0), green_HW.diff(dim=1).T]  # each from one line to the next
    across = [step_NN[BLOCK - 1 :: BLOCK].abs().sum() for step_NN in steps]
    borders = sum(step_NN[BLOCK - 1 :: BLOCK].numel() for step_NN in steps)
    total, count = sum(step.abs().sum() for step in steps), sum(step.numel() for step in steps)
    inside = (total - sum(across)) / (count - borders)
    return float(sum(across) / borders / inside)


def measure_pictures(picture_BCHW: Tensor) -> dict[str, Tensor]:
    """Each property (B) of uint8 pictures as the model sees them; NaN where it has no meaning."""
    luma_BHW = _luma(picture_BCHW)
    mean_B, variance_B = _mean_and_variance(luma_BHW.flatten(1))
    frame_BCN = picture_BCHW[:, :, _is_frame_HW(picture_BCHW)] / 255
    border_BC, variance_BC = _mean_and_variance(frame_BCN)
    return {
        "brightness": mean_B,
        "contrast": variance_B.sqrt(),
        "sharpness": sharpness(luma_BHW),
        "border_red": border_BC[:, 0],
        "border_green": border_BC[:, 1],
        "border_blue": border_BC[:, 2],
        "border_spread": variance_BC.mean(1).sqrt(),
    }


def sharpness(luma_BHW: Tensor) -> Tensor:
    """Mean magnitude of the Laplacian / that of the gradient: lower by a blur, and not by a change
    of contrast. NaN for a plain picture."""
    down_BHW, right_BHW = luma_BHW.diff(dim=1), luma_BHW.diff(dim=2)
    gradient_B = (down_BHW.abs().mean((1, 2)) + right_BHW.abs().mean((1, 2))) / 2
    laplacian_BHW = down_BHW.diff(dim=1)[:, :, 1:-1] + right_BHW.diff(dim=2)[:, 1:-1]
    return laplacian_BHW.abs().mean((1, 2)) / gradient_B


def _luma(picture_BCHW: Tensor) -> Tensor:
    """Colour by colour: a float copy of the pictures takes longer than all else."""
    red, green, blue = (weight / 255 for weight in LUMA)
    luma_BHW = red * picture_BCHW[:, 0]
    luma_BHW.add_(picture_BCHW[:, 1], alpha=green)
    return luma_BHW.add_(picture_BCHW[:, 2], alpha=blue)


def _mean_and_variance(values: Tensor) -> tuple[Tensor, Tensor]:
    """Over the last dimension; faster than torch.var_mean."""
    mean = values.mean(-1)
    return mean, (values - mean[..., None]).square().mean(-1)


def _is_frame_HW(picture_BCHW: Tensor) -> Tensor:
    """The outermost pixels, at least one on each side."""
    height, width = picture_BCHW.shape[2:]
    rows, columns = (max(1, round(FRAME * side)) for side in (height, width))
    is_frame_HW = torch.ones(height, width, dtype=torch.bool, device=picture_BCHW.device)
    is_frame_HW[rows:-rows, columns:-columns] = False
    return is_frame_HW


def _middle(pixels_HW: Tensor) -> Tensor:
    """A window around the centre that begins where a block does."""
    starts = [max(0, (side - WINDOW) // 2) // BLOCK * BLOCK for side in pixels_HW.shape]
    return pixels_HW[starts[0] : starts[0] + WINDOW, starts[1] : starts[1] + WINDOW]
