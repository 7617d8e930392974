"""The same held-out pictures after every epoch, with their maps. Shapes: N of them, H W pixels."""

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
    """Pictures, where the network looks, where the object is, and what it says."""

    picture_NHW3: np.ndarray  # uint8
    map_NHW: np.ndarray
    mask_NHW: np.ndarray  # bool
    right_N: np.ndarray


def take_snapshots(network: nn.Module, grid: Grid, held_out: HeldOut) -> Snapshots:
    """A few pictures, spread over the split, and the map of what is predicted for each."""
    album = held_out.album
    row_N = torch.linspace(0, len(album) - 1, min(COUNT, len(album))).round().long()
    picture_NCHW = album.image_NCHW[row_N]
    image_NCHW = held_out.preprocessing.normalise(picture_NCHW.to(held_out.device))
    seen = capture(network, grid, image_NCHW)
    map_Nhw = grad_cam(seen.activation_BDhw, seen.gradient_BDhw)
    size = (picture_NCHW.shape[2], picture_NCHW.shape[3])
    map_NHW = interpolate(map_Nhw[:, None], size, mode="bilinear")[:, 0]
    return Snapshots(
        picture_NCHW.permute(0, 2, 3, 1).numpy(),
        map_NHW.cpu().numpy(),
        (album.mask_NHW[row_N] >= 128).numpy(),
        (seen.target_B.cpu() == album.label_N[row_N]).numpy(),
    )
