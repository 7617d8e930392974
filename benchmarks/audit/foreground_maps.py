"""Ways to tell where a photograph's object is from EfficientNet-Lite0, as maps of 14 x 14 cells.

The first ones need no masks; a threshold for each is chosen on half of the masked photographs. The
last two are fitted to the masks of that half. A gradient of the largest logit, or of the logarithm
of all their exponentials, is nothing new here: the network ends in a mean and a linear layer, so
these gradients are class activation maps, of the first class and of all by their probability.

Shapes: N photographs, V=2 views (the picture and its mirror image), F features, K classes, h w
cells, P cells of a picture in one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.classifier.object_network import DEVIATION, MEAN, READ, SIZE
from tasks.pictures.saliency import saliency_map

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Picture = NDArray[np.uint8]

CELLS = SIZE // 16  # of a side
FOLDS = 10
RIDGE = 3.0  # penalty of the linear map, of features of variance 1
LAST = 15  # the block before the head
TOP = 5  # classes
ALIKE = 0.5  # quantile of the similarities from which cells are joined
EPSILON = 1e-5
SALIENCY_SIDE = 32  # of the copy on which the classical estimate measures saliency


@dataclass(frozen=True)
class Features:
    """What the network says of photographs, averaged over the two views."""

    middle_NFhw: Array  # of the blocks READ
    norm_Nhw: Array  # of the last block
    spectral_Nhw: dict[int, Array]  # second eigenvector of the cells' similarities, by block
    class_map_Nhw: dict[str, Array]
    saliency_Nhw: Array  # no network: what the classical estimate starts from


def read_features(network: Any, pictures: list[Picture]) -> Features:
    """Two passes a picture."""
    rows = [_read(network, picture_HW3) for picture_HW3 in pictures]
    middle, norm, spectral, class_map, saliency = zip(*rows, strict=True)
    return Features(
        np.stack(middle),
        np.stack(norm),
        {block: np.stack([row[block] for row in spectral]) for block in READ},
        {name: np.stack([row[name] for row in class_map]) for name in class_map[0]},
        np.stack(saliency),
    )


def maps_of(features: Features) -> dict[str, Array]:
    """Every way that needs no masks but for its threshold."""
    return {
        "feature norm": features.norm_Nhw,
        **features.class_map_Nhw,
        **{
            f"normalised cut, block {block}": map_Nhw
            for block, map_Nhw in features.spectral_Nhw.items()
        },
    }


def few_numbers(features: Features) -> Array:
    """Five numbers a cell (N, 5, h, w), each of a way of its own, for a small combination."""
    down_hw, right_hw = np.abs((np.indices((CELLS, CELLS)) + 0.5) / CELLS * 2 - 1)
    inside_hw = np.minimum(1 - down_hw, 1 - right_hw)
    parts = (
        _stretch(features.norm_Nhw),
        _stretch(features.class_map_Nhw["class activation map, all classes"]),
        _stretch(features.spectral_Nhw[READ[1]]),
        features.saliency_Nhw,
        np.broadcast_to(inside_hw, features.norm_Nhw.shape),
    )
    return np.stack(parts, axis=1)


def fit_linear(number_NFhw: Array, mask_Nhw: Array) -> tuple[Array, float]:
    """Weights and bias by least squares with a penalty; masks are shares of cells."""
    x_RF = number_NFhw.transpose(0, 2, 3, 1).reshape(-1, number_NFhw.shape[1])
    y_R = mask_Nhw.ravel()
    mean_F, deviation_F = x_RF.mean(0), x_RF.std(0) + EPSILON
    z_RF = (x_RF - mean_F) / deviation_F
    curvature_FF = z_RF.T @ z_RF / len(z_RF) + RIDGE * np.eye(z_RF.shape[1])
    solved_F = np.linalg.solve(curvature_FF, z_RF.T @ (y_R - y_R.mean()) / len(z_RF))
    weight_F = solved_F / deviation_F
    return weight_F, float(y_R.mean() - mean_F @ weight_F)


def apply_linear(number_NFhw: Array, fitted: tuple[Array, float]) -> Array:
    """The map (N, h, w)."""
    weight_F, bias = fitted
    found_Nhw: Array = np.einsum("nfhw,f->nhw", number_NFhw, weight_F) + bias
    return found_Nhw


def map_out_of_fold(
    fitted_on_NFhw: Array, mask_Nhw: Array, chosen_N: Mask, number_NFhw: Array
) -> Array:
    """Maps of `number_NFhw`: photographs of the choosing half by fits without them."""
    chosen = np.flatnonzero(chosen_N)
    fitted = fit_linear(fitted_on_NFhw[chosen], mask_Nhw[chosen])
    map_Nhw = apply_linear(number_NFhw, fitted)
    for fold in np.array_split(np.random.default_rng(0).permutation(chosen), FOLDS):
        others = np.setdiff1d(chosen, fold)
        fitted = fit_linear(fitted_on_NFhw[others], mask_Nhw[others])
        map_Nhw[fold] = apply_linear(number_NFhw[fold], fitted)
    return map_Nhw


def _read(
    network: Any, picture_HW3: Picture
) -> tuple[Array, Array, dict[int, Array], dict[str, Array], Array]:
    found = {
        block: _without_mirror(it) for block, it in _blocks(network, _views(picture_HW3)).items()
    }
    head_Fhw = found.pop(LAST + 1)
    norm_hw = torch.linalg.vector_norm(found[LAST], dim=0)
    middle = [_to_cells(found[block]) for block in READ]
    return (
        np.concatenate(middle),
        _to_cells(norm_hw[None])[0],
        {block: _to_cells(_spectral(found[block])[None])[0] for block in READ},
        {name: _to_cells(it[None])[0] for name, it in _class_maps(network, head_Fhw)},
        _saliency(picture_HW3),
    )


def _views(picture_HW3: Picture) -> Tensor:
    image_1CHW = torch.from_numpy(picture_HW3).permute(2, 0, 1)[None].float()
    image_1CHW = functional.interpolate(image_1CHW, (SIZE, SIZE), mode="bilinear", antialias=True)
    image_1CHW = (image_1CHW - MEAN) / DEVIATION
    return torch.cat([image_1CHW, image_1CHW.flip(3)])


def _blocks(network: Any, image_VCHW: Tensor) -> dict[int, Tensor]:
    """Outputs of the blocks that count and of the head, under the number after the last block."""
    found: dict[int, Tensor] = {}
    with torch.inference_mode():
        x_VFhw = network._swish(network._bn0(network._conv_stem(image_VCHW)))
        for number, block in enumerate(network._blocks):
            x_VFhw = block(x_VFhw)
            if number in (*READ, LAST):
                found[number] = x_VFhw
        found[LAST + 1] = network._swish(network._bn1(network._conv_head(x_VFhw)))
    return found


def _without_mirror(found_VFhw: Tensor) -> Tensor:
    seen_Fhw, mirrored_Fhw = found_VFhw
    both_Fhw: Tensor = (seen_Fhw + mirrored_Fhw.flip(2)) / 2
    return both_Fhw


def _to_cells(found_Fhw: Tensor) -> Array:
    resized = functional.interpolate(found_Fhw[None].float(), (CELLS, CELLS), mode="bilinear")
    cells_Fhw: Array = resized[0].double().numpy()
    return cells_Fhw


def _class_maps(network: Any, head_Fhw: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Sums of class activation maps, of classes by their probability or by their rank."""
    weight_KF = network._fc.weight.detach()
    probability_K = network._fc(head_Fhw.mean((1, 2))).softmax(0).detach()
    ways: dict[str, Callable[[], Tensor]] = {
        "class activation map, first class": lambda: weight_KF[probability_K.argmax()],
        f"class activation map, {TOP} classes": lambda: weight_KF[
            probability_K.topk(TOP).indices
        ].mean(0),
        "class activation map, all classes": lambda: probability_K @ weight_KF,
    }
    for name, weigh in ways.items():
        weight_F = weigh() - weight_KF.mean(0)
        yield name, torch.einsum("fhw,f->hw", head_Fhw, weight_F)


def _spectral(found_Fhw: Tensor) -> Tensor:
    """The second eigenvector of the normalised cut (TokenCut: Wang et al., CVPR 2022), lower at the
    border."""
    unit_FP = functional.normalize(found_Fhw.flatten(1).double(), dim=0)
    alike_PP = unit_FP.T @ unit_FP
    joined_PP = torch.where(alike_PP > alike_PP.quantile(ALIKE), 1.0, EPSILON)
    root_P = joined_PP.sum(1).sqrt()
    laplacian_PP = torch.eye(len(root_P)) - joined_PP / (root_P[:, None] * root_P)
    vector_P = torch.linalg.eigh(laplacian_PP).eigenvectors[:, 1] / root_P
    vector_hw = vector_P.reshape(found_Fhw.shape[1:])
    rim = torch.cat([vector_hw[0], vector_hw[-1], vector_hw[:, 0], vector_hw[:, -1]])
    inwards_hw: Tensor = -vector_hw if rim.mean() > vector_hw[1:-1, 1:-1].mean() else vector_hw
    return inwards_hw


def _saliency(picture_HW3: Picture) -> Array:
    small_hw3 = cv2.resize(
        picture_HW3, (SALIENCY_SIDE, SALIENCY_SIDE), interpolation=cv2.INTER_AREA
    )
    lab_hw3 = cv2.cvtColor(small_hw3.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    saliency_hw = cv2.resize(saliency_map(lab_hw3.astype(np.float64)), (CELLS, CELLS))
    return np.asarray(saliency_hw, np.float64)


def _stretch(map_Nhw: Array) -> Array:
    """From 0 to 1 in each picture."""
    low_N11 = map_Nhw.min((1, 2), keepdims=True)
    stretched_Nhw: Array = (map_Nhw - low_N11) / (
        map_Nhw.max((1, 2), keepdims=True) - low_N11 + EPSILON
    )
    return stretched_Nhw
