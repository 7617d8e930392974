"""The parts of every training objective again, slowly and literally, in float64 and in loops.

Shapes: B images, C colours, D channels, H W pixels, h w cells, N values. METHODS.md is cited.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tests.support.method_oracles import to_cells

Array = npt.NDArray[np.float64]


def soft_quantile(value_N: Array, at: float) -> float:
    """1.2: every order statistic, by softmax(-|i - q(n-1)| / 0.1)."""
    rising_N = sorted(value_N.tolist())
    last = len(rising_N) - 1
    weights = [math.exp(-abs(i - at * last) / 0.1) for i in range(len(rising_N))]
    weighed = sum(w * v for w, v in zip(weights, rising_N, strict=True))
    return float(weighed / sum(weights))


def soft_mask(gradient_CHW: Array, window: int) -> Array:
    """1.2: heat above its quantile, its density in a window padded by zeros, above its quantile."""
    grey_HW = np.abs(gradient_CHW.mean(0))
    low, high = soft_quantile(grey_HW.ravel(), 0.05), soft_quantile(grey_HW.ravel(), 0.95)
    scaled_HW = (grey_HW - low) / (high - low + 1e-8)
    hot_HW = above(scaled_HW)
    rows, columns = hot_HW.shape
    dense_HW = np.zeros_like(hot_HW)
    for y in range(rows):
        for x in range(columns):
            for i in range(y - window // 2, y + window // 2 + 1):
                for j in range(x - window // 2, x + window // 2 + 1):
                    if 0 <= i < rows and 0 <= j < columns:
                        dense_HW[y, x] += hot_HW[i, j] / window**2
    return above(dense_HW)


def above(value_HW: Array) -> Array:
    high = soft_quantile(value_HW.ravel(), 0.8)
    return 1 / (1 + np.exp(-10 * (value_HW - high)))


def hsic(one_BN: Array, other_BN: Array) -> float:
    """1.1, 5: sum((H K H) * (H L H)) / (B-1)^2 of rows of length 1."""
    count = len(one_BN)
    centring_BB = np.eye(count) - np.ones((count, count)) / count
    kernels = []
    for value_BN in (one_BN, other_BN):
        row_BN = np.stack([row / max(np.linalg.norm(row), 1e-12) for row in value_BN])
        kernel_BB = np.zeros((count, count))
        for i in range(count):
            for j in range(count):
                kernel_BB[i, j] = row_BN[i] @ row_BN[j]
        kernels.append(centring_BB @ kernel_BB @ centring_BB)
    return float((kernels[0] * kernels[1]).sum() / (count - 1) ** 2)


def cka(one_BN: Array, other_BN: Array) -> float:
    """1.6: hsic(a, z) / sqrt(hsic(a, a) hsic(z, z))."""
    return hsic(one_BN, other_BN) / math.sqrt(hsic(one_BN, one_BN) * hsic(other_BN, other_BN))


def paper_variance(gradient_BCHW: Array, mask_BHW: Array) -> float:
    """1.1, 4: the mean of each image's unbiased variance outside."""
    found = []
    for gradient_CHW, mask_HW in zip(gradient_BCHW, mask_BHW, strict=True):
        outside_N = (gradient_CHW * (1 - mask_HW)).ravel()
        found.append(((outside_N - outside_N.mean()) ** 2).sum() / (len(outside_N) - 1))
    return float(np.mean(found))


def robust_share(gradient_CHW: Array, mask_HW: Array) -> float:
    """1.6: sum(((1 - M) R)^2) / sum(R^2)."""
    outside = total = 0.0
    for c in range(gradient_CHW.shape[0]):
        for y in range(gradient_CHW.shape[1]):
            for x in range(gradient_CHW.shape[2]):
                outside += ((1 - mask_HW[y, x]) * gradient_CHW[c, y, x]) ** 2
                total += gradient_CHW[c, y, x] ** 2
    return float(outside / total)


def feature_share(activation_Dhw: Array, gradient_Dhw: Array, mask_HW: Array) -> float:
    """1.7: energy sum_c (A G)^2 of the cells that the mask does not touch, of all."""
    depth, rows, columns = activation_Dhw.shape
    cells_hw = to_cells(mask_HW, rows, columns)
    outside = total = 0.0
    for d in range(depth):
        for i in range(rows):
            for j in range(columns):
                energy = (activation_Dhw[d, i, j] * gradient_Dhw[d, i, j]) ** 2
                total += energy
                outside += energy if cells_hw[i, j] <= 1e-3 else 0.0
    return float(outside / total)


def guided_map(activation_Dhw: Array, gradient_Dhw: Array) -> Array:
    """2.2: S = sum_k G_k A_k without ReLU, from 0 to 1."""
    map_hw = np.zeros(activation_Dhw.shape[1:])
    for d in range(len(activation_Dhw)):
        map_hw += gradient_Dhw[d] * activation_Dhw[d]
    unit_hw: Array = (map_hw - map_hw.min()) / (map_hw.max() - map_hw.min())
    return unit_hw


def spatial_cross_entropy(map_hw: Array, wanted_hw: Array, temperature: float) -> float:
    """2.3: -sum T log Q, T = L / sum L, Q = softmax(S / tau) over all cells."""
    sharp_hw = np.exp(map_hw / temperature)
    share_hw = sharp_hw / sharp_hw.sum()
    return float(-(wanted_hw / wanted_hw.sum() * np.log(share_hw)).sum())


def row_cross_entropy(map_hw: Array, wanted_hw: Array) -> float:
    """2.2: -(1/7) sum_i sum_j L_ij log softmax_j(S_i.)."""
    total = 0.0
    for row_w, wanted_w in zip(map_hw, wanted_hw, strict=True):
        all_w = sum(math.exp(value) for value in row_w)
        for value, wanted in zip(row_w, wanted_w, strict=True):
            total -= wanted * math.log(math.exp(value) / all_w)
    return total / len(map_hw)


def suppression(own_hw: Array, rival_hw: Array, bottleneck_hw: Array) -> float:
    """2.1: sum(min(S^c, S^p) Mask_r) / sum(S^c + S^p)."""
    shared = together = 0.0
    for i in range(own_hw.shape[0]):
        for j in range(own_hw.shape[1]):
            high = 1 / (1 + math.exp(-100 * (own_hw[i, j] - 0.55 * bottleneck_hw.max())))
            shared += min(own_hw[i, j], rival_hw[i, j]) * high
            together += own_hw[i, j] + rival_hw[i, j]
    return shared / together


def cell_divergence(own_Dhw: Array, wanted_Dhw: Array) -> float:
    """2.3: KL(P(A) || P(A')), P = softmax over the positions of each channel; mean of channels."""
    found = []
    for own_hw, wanted_hw in zip(own_Dhw, wanted_Dhw, strict=True):
        own, wanted = (
            np.exp(value_hw) / np.exp(value_hw).sum() for value_hw in (own_hw, wanted_hw)
        )
        found.append((own * np.log(own / wanted)).sum())
    return float(np.mean(found))
