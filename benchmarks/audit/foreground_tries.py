"""Tries to find objects in photographs, each rated by its masks.

The network of the tries is EfficientNet-Lite0. What has a threshold or is fitted is chosen on the
classes of an odd eighth. Shapes: N photographs or pictures, h w cells of a map.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.audit import foreground_maps as ways
from benchmarks.audit.foreground_maps import Array, Mask, Picture
from benchmarks.audit.masked_photographs import CROP, Pairs, Photographs
from benchmarks.audit.photographs import load_network
from models.classifier import object_network
from models.classifier.object_network_files import NETWORK, find_weights
from tasks.pictures import object_segmentation
from tasks.pictures.estimator import load_estimator
from tasks.pictures.segmentation import Estimate
from tasks.pictures.settings import ESTIMATE, ForegroundSettings

Columns = dict[str, np.ndarray]

MAP = Path(object_network.__file__).with_name("object_map.json")
THRESHOLDS = np.linspace(0.02, 0.98, 49)  # quantiles of all cells of the choosing half
SPREAD = 0.25  # of the linear map; other maps are given it before they are cut


def tries() -> Iterator[tuple[str, Callable[[Photographs], Columns]]]:
    """By name, what measures it: one row a photograph."""
    yield "estimate", lambda photos: _rate_estimator(ESTIMATE, photos)
    names = (
        "feature norm",
        "class activation map, first class",
        f"class activation map, {ways.TOP} classes",
        "class activation map, all classes",
        "normalised cut, block 10",
        "normalised cut, block 14",
        "five maps combined",
        "linear map",
    )
    for name in names:
        yield name, lambda photos, name=name: _rate_map(name, photos, cut=False)  # type: ignore[misc]
        yield f"{name}, cut", lambda photos, name=name: _rate_map(name, photos, cut=True)  # type: ignore[misc]
    yield "network", lambda photos: _rate_estimator(NETWORK, photos)


def _rate_estimator(source: str, photos: Photographs) -> Columns:
    """IoU and confidence as an audit has them."""
    estimate = load_once(source)
    return _columns(
        photos, *([estimate(it) for it, _ in p] for p in (photos.whole, photos.cropped))
    )


@lru_cache
def load_once(source: str) -> Callable[[Picture], Estimate]:
    """What estimates a foreground, as an audit of pictures of 224 pixels has it."""
    estimator = load_estimator(ForegroundSettings(source=source), (CROP, CROP))
    assert estimator is not None
    return lambda picture_HW3: estimator.estimate(_tensor(picture_HW3))


def _tensor(picture_HW3: Picture) -> torch.Tensor:
    return torch.from_numpy(picture_HW3).permute(2, 0, 1)


def _rate_map(name: str, photos: Photographs, cut: bool) -> Columns:
    """By the threshold that is best on the choosing half; cut as the network's map is."""
    whole_Nhw, cropped_Nhw = _maps(photos)[name]
    threshold = _choose_threshold(whole_Nhw, photos)
    scale = SPREAD / float(whole_Nhw[photos.is_chosen_on_N].std())

    def estimate(picture_HW3: Picture, map_hw: Array) -> Estimate:
        if cut:
            scaled_hw = object_segmentation.THRESHOLD + (map_hw - threshold) * scale
            return object_segmentation.segment_by_map(_tensor(picture_HW3), scaled_hw[None])
        marked_HW = _enlarge(map_hw, picture_HW3) > threshold
        return Estimate(torch.from_numpy(marked_HW.astype(np.uint8) * 255), 0.0)

    pairs = ((photos.whole, whole_Nhw), (photos.cropped, cropped_Nhw))
    return _columns(
        photos,
        *([estimate(it, m) for (it, _), m in zip(p, maps, strict=True)] for p, maps in pairs),
    )


def _choose_threshold(map_Nhw: Array, photos: Photographs) -> float:
    chosen = np.flatnonzero(photos.is_chosen_on_N)
    candidates = np.quantile(map_Nhw[chosen], THRESHOLDS)
    enlarged = [_enlarge(map_Nhw[number], photos.whole[number][0]) for number in chosen]
    mean_T = [
        np.mean(
            [
                _iou(it > candidate, photos.whole[number][1])
                for it, number in zip(enlarged, chosen, strict=True)
            ]
        )
        for candidate in candidates
    ]
    return float(candidates[int(np.argmax(mean_T))])


def _enlarge(map_hw: Array, picture_HW3: Picture) -> Array:
    rows, columns = picture_HW3.shape[:2]
    enlarged_HW = cv2.resize(map_hw, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged_HW)


@lru_cache(maxsize=1)
def _maps(photos: Photographs) -> dict[str, tuple[Array, Array]]:
    """Of whole pictures and of cropped ones; what is fitted is fitted to whole ones."""
    network = load_network("lite0")
    whole, cropped = (
        ways.read_features(network, [picture for picture, _ in pairs])
        for pairs in (photos.whole, photos.cropped)
    )
    whole_maps, cropped_maps = ways.maps_of(whole), ways.maps_of(cropped)
    found = {name: (whole_maps[name], cropped_maps[name]) for name in whole_maps}
    numbers = {
        "five maps combined": (ways.few_numbers(whole), ways.few_numbers(cropped)),
        "linear map": (whole.middle_NFhw, cropped.middle_NFhw),
    }
    mask_Nhw, chosen_N = _mask_cells(photos), photos.is_chosen_on_N
    for name, (fitted_on, other) in numbers.items():
        first, second = (
            ways.map_out_of_fold(fitted_on, mask_Nhw, chosen_N, it) for it in (fitted_on, other)
        )
        found[name] = (first, second)
    return found


def _mask_cells(photos: Photographs) -> Array:
    cells = (ways.CELLS, ways.CELLS)
    return np.stack(
        [
            cv2.resize(mask_HW.astype(np.float64), cells, interpolation=cv2.INTER_AREA)
            for _, mask_HW in photos.whole
        ]
    )


def _columns(photos: Photographs, *estimates: list[Estimate]) -> Columns:
    """One row a photograph."""
    columns = {"class_index": photos.class_index_N}
    for name, pairs, found in zip(
        ("whole", "cropped"), (photos.whole, photos.cropped), estimates, strict=True
    ):
        columns[f"{name}_iou"] = rate_all(found, pairs)
        columns[f"{name}_confidence"] = np.array([it.confidence for it in found])
    return columns


def rate_all(estimates: list[Estimate], pairs: Pairs) -> np.ndarray:
    """The IoU of each estimate with its mask."""
    return np.array(
        [
            _iou(it.mask_HW.numpy() > 0, mask_HW)
            for it, (_, mask_HW) in zip(estimates, pairs, strict=True)
        ]
    )


def _iou(found_HW: Mask, mask_HW: Mask) -> float:
    either = int((found_HW | mask_HW).sum())
    return int((found_HW & mask_HW).sum()) / either if either else 0.0


def refit(photos: Photographs) -> None:
    """Write the linear map, fitted to whole photographs of the choosing half."""
    network = object_network.load_object_network(find_weights())
    features = [network.features(_tensor(it)[None])[:, 0].mean(0) for it, _ in photos.whole]
    feature_NFhw = torch.stack(features).double().numpy()
    chosen_N = photos.is_chosen_on_N
    weight_F, bias = ways.fit_linear(feature_NFhw[chosen_N], _mask_cells(photos)[chosen_N])
    rounded = {"bias": round(bias, 5), "weights": [round(float(it), 6) for it in weight_F]}
    MAP.write_text(json.dumps(rounded) + "\n", encoding="utf-8")
