"""The nearest images of every image, by the cosine of their features. Shapes: N images, D numbers,
K neighbours, b images of a block."""

from __future__ import annotations

import numpy as np
import torch

NEAREST = 8
MOST = 50_000  # images, whose pairs take minutes on two cores
BLOCK = 1024  # images compared with all others at once


def nearest(feature_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, K) numbers and distances (1 - cosine): itself first, then the nearest others.

    An image without features, a row of NaN, is its own neighbour K times, and nobody else's.
    """
    direction_ND = torch.nn.functional.normalize(torch.from_numpy(feature_ND), dim=1)
    known_N = torch.isfinite(direction_ND).all(1) & (direction_ND.norm(dim=1) > 0)
    others = min(NEAREST, max(0, int(known_N.sum()) - 1))
    itself_N1 = torch.arange(len(feature_ND))[:, None]
    number_NK = itself_N1.repeat(1, others + 1)
    distance_NK = torch.zeros(number_NK.shape)
    known_M = known_N.nonzero()[:, 0]
    direction_MD = direction_ND[known_M]
    for start in range(0, len(known_M) if others else 0, BLOCK):
        block_b = torch.arange(start, min(start + BLOCK, len(known_M)))
        distance_bM = 1 - direction_MD[block_b] @ direction_MD.T
        distance_bM[torch.arange(len(block_b)), block_b] = torch.inf
        found = distance_bM.topk(others, largest=False)
        number_NK[known_M[block_b], 1:] = known_M[found.indices]
        distance_NK[known_M[block_b], 1:] = found.values.clamp(min=0)
    return number_NK.numpy(), distance_NK.numpy()
