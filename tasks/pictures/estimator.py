"""What estimates the foreground of images without annotations: our own code or a segmenter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import cv2
import torch
from torch import Tensor

from models.classifier import object_network
from models.classifier.object_network_files import NETWORK, find_weights
from models.classifier.segmenter import load_segmenter
from models.errors import UserError
from tasks.pictures import object_segmentation, segmentation
from tasks.pictures.segmentation import Estimate
from tasks.pictures.settings import ANNOTATED, ESTIMATE, ForegroundSettings

AT_ONCE = 16  # pictures that a segmenter reads, whatever the audited network's batches are


@dataclass(frozen=True)
class Estimator:
    """Estimates the foreground of one picture, or of several at once where that is faster; the
    digest covers all that its masks depend on."""

    estimate: Callable[[Tensor], Estimate]
    digest: str
    estimate_batch: Callable[[Tensor], list[Estimate]] | None = None  # of pictures of one size


def load_estimator(settings: ForegroundSettings, size: tuple[int, int]) -> Estimator | None:
    """The estimator of these settings for pictures of this size; None for annotations alone."""
    if settings.source == ANNOTATED:
        return None
    if settings.source == ESTIMATE:
        return Estimator(segmentation.estimate_foreground, _digest_of_cuts())
    if settings.source == NETWORK:
        return _load_network()
    return _load_segmenter(settings, size)


def load_same_estimator(
    settings: ForegroundSettings, size: tuple[int, int], digest: str | None
) -> Estimator | None:
    """The estimator that a run began with, loaded once a process; refuses another digest."""
    if digest is None:
        return None
    estimator = _load_once(settings, size, digest)
    if estimator is None or estimator.digest != digest:
        raise UserError(
            f"{settings.source} is a different estimator of the foreground here than where the "
            "audit began: give an address that means the same file everywhere"
        )
    return estimator


@lru_cache(maxsize=1)
def _load_once(settings: ForegroundSettings, size: tuple[int, int], _: str) -> Estimator | None:
    return load_estimator(settings, size)


def _load_segmenter(settings: ForegroundSettings, size: tuple[int, int]) -> Estimator:
    try:
        segmenter = load_segmenter(
            settings.source, settings.weights, size=size, allow_pickle=settings.pickle
        )
    except UserError as error:
        message = str(error).replace("--allow-pickle", "--foreground-allow-pickle")
        raise UserError(message) from error
    lock = Lock()  # pictures are read by several threads

    def estimate_batch(picture_BCHW: Tensor) -> list[Estimate]:
        parts = torch.split(picture_BCHW, AT_ONCE)
        with lock:
            segmented = [segmenter.segment(some_BCHW) for some_BCHW in parts]
        return [
            Estimate(mask_HW, float(confidence))
            for mask_BHW, confidence_B in segmented
            for mask_HW, confidence in zip(mask_BHW, confidence_B, strict=True)
        ]

    return _in_batches(estimate_batch, segmenter.digest)


def _load_network() -> Estimator:
    network = object_network.load_object_network(find_weights())
    lock = Lock()

    def estimate_batch(picture_BCHW: Tensor) -> list[Estimate]:
        parts = torch.split(picture_BCHW, AT_ONCE)
        with lock:
            map_VBhw = torch.cat([network.map_objects(some_BCHW) for some_BCHW in parts], 1)
        map_BVhw = map_VBhw.transpose(0, 1).double().numpy()
        return list(map(object_segmentation.segment_by_map, picture_BCHW, map_BVhw))

    digest = f"network {object_segmentation.VERSION}, {network.digest}, {_digest_of_cuts()}"
    return _in_batches(estimate_batch, digest)


def _in_batches(estimate_batch: Callable[[Tensor], list[Estimate]], digest: str) -> Estimator:
    def estimate(picture_CHW: Tensor) -> Estimate:
        return estimate_batch(picture_CHW[None])[0]

    return Estimator(estimate, digest, estimate_batch)


def _digest_of_cuts() -> str:
    return f"classical {segmentation.VERSION}, OpenCV {cv2.__version__}"
