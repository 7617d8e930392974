"""Foreground and background colours as mixtures of Gaussians, and the graph cut between the two.

The energy is GrabCut's (Rother, Kolmogorov, Blake, SIGGRAPH 2004), the minimum cut OpenCV's. The
mixtures are our own: OpenCV initialises its mixtures from a random generator that threads share.
Ours need none, handle many groups at once, and leave the smoothness free.
Shapes: P pixels, G groups of them, K Gaussians a group, M=10 monomials of a colour.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Picture = NDArray[np.uint8]

cv2.setNumThreads(1)  # callers have threads of their own

GAUSSIANS = 5
FLOOR = 5e-5  # least variance of a Gaussian, of colours from 0 to 1
QUINTILES = np.array([-0.84, -0.25, 0.25, 0.84])  # of a normal distribution
SQUARES = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
SURE = 40.0  # nats; odds are clipped here
LEVELS = 80  # of the channel that carries a pixel's odds to OpenCV
GAMMA = 50.0  # OpenCV's weight of a boundary, which is fixed
NEVER = -1e9


def monomials(picture_P3: Picture) -> Array:
    """1, the three colours and their six products, whose sums give means and covariances."""
    colour_P3 = picture_P3.astype(np.float64) / 255
    products = [colour_P3[:, a] * colour_P3[:, b] for a, b in SQUARES]
    return np.column_stack([np.ones(len(colour_P3)), colour_P3, *products])


def fit_mixtures(colour_PM: Array, member_GP: Mask) -> Array:
    """The Gaussians (G, K, M) of each group: fitted to fifths along its widest axis, then again
    with each pixel assigned to its likeliest Gaussian."""
    nearest_GP = _split_in_fifths(colour_PM, member_GP)
    first_GKM = _fit_gaussians(colour_PM, member_GP, nearest_GP)
    return _fit_gaussians(
        colour_PM, member_GP, _log_weighted_densities(colour_PM, first_GKM).argmax(1)
    )


def log_densities(colour_PM: Array, gaussian_GKM: Array) -> Array:
    """The log density (G, P) of each group at each colour."""
    log_GKP = _log_weighted_densities(colour_PM, gaussian_GKM)
    highest_G1P = log_GKP.max(1, keepdims=True)
    total_GP: Array = np.log(np.exp(log_GKP - highest_G1P).sum(1)) + highest_G1P[:, 0]
    return total_GP


def _log_weighted_densities(colour_PM: Array, gaussian_GKM: Array) -> Array:
    groups, gaussians, _ = gaussian_GKM.shape
    flat = gaussian_GKM.reshape(-1, gaussian_GKM.shape[2]) @ colour_PM.T
    return flat.reshape(groups, gaussians, -1)


def _split_in_fifths(colour_PM: Array, member_GP: Mask) -> NDArray[np.intp]:
    """The fifth of its group that each pixel is in, if colours are normal along the widest axis."""
    sum_GM = member_GP @ colour_PM
    mean_G3, covariance_G33 = _means_and_covariances(sum_GM)
    variance_G3, axis_G33 = np.linalg.eigh(covariance_G33)
    widest_G3 = axis_G33[:, :, -1]
    along_GP = widest_G3 @ colour_PM[:, 1:4].T - (widest_G3 * mean_G3).sum(1)[:, None]
    along_GP /= np.sqrt(variance_G3[:, -1])[:, None]
    fifth_GP: NDArray[np.intp] = np.searchsorted(QUINTILES, along_GP)
    return fifth_GP


def _fit_gaussians(colour_PM: Array, member_GP: Mask, nearest_GP: NDArray[np.intp]) -> Array:
    """Coefficients of the monomials, whose sum is the logarithm of weight times density."""
    assigned_GKP = (nearest_GP[:, None] == np.arange(GAUSSIANS)[:, None]) & member_GP[:, None]
    groups, pixels = member_GP.shape
    sum_NM = assigned_GKP.reshape(-1, pixels).astype(np.float64) @ colour_PM
    mean_N3, covariance_N33 = _means_and_covariances(sum_NM)
    precision_N33 = np.linalg.inv(covariance_N33)
    linear_N3 = (precision_N33 @ mean_N3[:, :, None])[:, :, 0]
    total_N = np.repeat(sum_NM[:, 0].reshape(groups, -1).sum(1), GAUSSIANS)
    share_N = sum_NM[:, 0] / np.maximum(total_N, 1)
    constant_N = np.where(share_N > 0, np.log(np.maximum(share_N, 1e-12)), NEVER)
    constant_N -= 0.5 * np.log(np.linalg.det(covariance_N33))
    constant_N -= 0.5 * (mean_N3 * linear_N3).sum(1)
    twice = [precision_N33[:, a, b] * (0.5 if a == b else 1) for a, b in SQUARES]
    fitted_NM = np.column_stack([constant_N, linear_N3, *(-part for part in twice)])
    return fitted_NM.reshape(groups, GAUSSIANS, -1)


def _means_and_covariances(sum_NM: Array) -> tuple[Array, Array]:
    """Mean and covariance from each sum of monomials; finite for empty groups too."""
    expected_NM = sum_NM / np.maximum(sum_NM[:, :1], 1)
    mean_N3 = expected_NM[:, 1:4]
    covariance_N33 = np.empty((len(sum_NM), 3, 3))
    for column, (a, b) in enumerate(SQUARES, 4):
        covariance_N33[:, a, b] = expected_NM[:, column] - mean_N3[:, a] * mean_N3[:, b]
        covariance_N33[:, b, a] = covariance_N33[:, a, b]
    return mean_N3, covariance_N33 + np.eye(3) * FLOOR


def widest_plane(colour_PM: Array) -> Picture:
    """The two axes (P, 2) along which a picture's colours differ most, in steps of a byte."""
    centred_P3 = colour_PM[:, 1:4] - colour_PM[:, 1:4].mean(0)
    axes_33 = np.linalg.eigh(centred_P3.T @ centred_P3)[1]
    byte_P2 = np.rint(centred_P3 @ axes_33[:, 1:] * 255 + 128).clip(0, 255)
    return np.asarray(byte_P2, np.uint8)


def graph_cut(odds_hw: Array, plane_P2: Picture, smoothness: float) -> Mask:
    """The foreground of least energy: odds in nats for each pixel, `smoothness` nats for a
    boundary between two pixels of one colour, less where colours change.

    OpenCV derives the odds from colours. So one channel of its picture carries our odds, and two
    fixed Gaussians have log densities that differ by exactly these.
    """
    odds_hw = np.clip(odds_hw, -SURE, SURE)
    level_hw = np.rint((odds_hw / SURE + 1) * LEVELS / 2).astype(np.uint8)
    coded_hw3 = np.dstack([level_hw, plane_P2.reshape(*odds_hw.shape, 2)])
    mask_hw = np.where(odds_hw > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    variance = LEVELS**2 * smoothness / (2 * SURE * GAMMA)
    outside, inside = (_opencv_model(mean, variance) for mean in (0, LEVELS))
    rectangle = (0, 0, *odds_hw.shape)  # not read in this mode
    cv2.grabCut(coded_hw3, mask_hw, rectangle, outside, inside, 1, cv2.GC_EVAL_FREEZE_MODEL)
    cut_hw: Mask = (mask_hw & 1) == 1
    return cut_hw


def _opencv_model(mean: float, variance: float) -> Array:
    """A Gaussian in OpenCV's layout (weights, means, covariances), flat in all but one channel."""
    model_1M = np.zeros((1, 65))
    model_1M[0, 0] = 1
    model_1M[0, 5] = mean
    model_1M[0, [20, 24, 28]] = variance, 1e9, 1e9
    return model_1M
