"""An attribution method of your own: `--methods grad_cam_pp,examples/own_method.py:occlusion`."""

import torch
from torch import Tensor, nn

CELLS = 8  # rows and columns of the map


@torch.no_grad()
def occlusion(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """What each cell adds to the target's logit: how far it falls when the cell is covered."""
    rows, columns = images.shape[2] // CELLS, images.shape[3] // CELLS
    whole = model(images).gather(1, targets[:, None])[:, 0]
    maps = images.new_zeros(len(images), CELLS, CELLS)
    for row in range(CELLS):
        for column in range(CELLS):
            covered = images.clone()
            top, left = row * rows, column * columns
            covered[:, :, top : top + rows, left : left + columns] = 0  # the mean of the data
            maps[:, row, column] = whole - model(covered).gather(1, targets[:, None])[:, 0]
    return maps
