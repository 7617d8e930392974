"""Maps of the same held-out images after every epoch. Shapes: N images, H W pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import interpolate

from models.methods.cam import grad_cam
from models.network.capture import capture
from models.network.grid import Grid
from tasks.finetune.validation import HeldOut

COUNT = 8


@dataclass(frozen=True)
class Snapshots:
    """Pictures, their maps and foregrounds, and whether the prediction is right."""

    picture_NHW3: np.ndarray  # uint8
    map_NHW: np.ndarray
    mask_NHW: np.ndarray  # bool
    correct_N: np.ndarray


def take_snapshots(network: nn.Module, grid: Grid, held_out: HeldOut) -> Snapshots:
    """A few images, spread over the split, each with the map of its predicted class."""
    images = held_out.images
    row_N = torch.linspace(0, len(images) - 1, min(COUNT, len(images))).round().long()
    picture_NCHW = images.image_NCHW[row_N]
    image_NCHW = held_out.preprocessing.normalise(picture_NCHW.to(held_out.device))
    captured = capture(network, grid, image_NCHW)
    map_Nhw = grad_cam(captured.activation_BDhw, captured.gradient_BDhw)
    size = (picture_NCHW.shape[2], picture_NCHW.shape[3])
    map_NHW = interpolate(map_Nhw[:, None], size, mode="bilinear")[:, 0]
    return Snapshots(
        picture_NCHW.permute(0, 2, 3, 1).numpy(),
        map_NHW.cpu().numpy(),
        (images.mask_NHW[row_N] >= 128).numpy(),
        (captured.target_B.cpu() == images.label_N[row_N]).numpy(),
    )
