"""Would another common preprocessing be right clearly more often? Asked once, on labelled images.

A wrong mean or size costs accuracy without any other sign. The answer is a warning: which numbers
the network was trained with, only its author knows. Shapes: N images, C colours, H W pixels.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from models.classifier.classifier import Classifier
from models.classifier.preprocessing import Preprocessing
from models.classifier.preprocessing_sources import IMAGENET, geometry_of
from models.errors import UserError
from tasks.intervals.paired_rates import Crossing, Rates, change_of_rate, fewest_that_differ
from tasks.pictures.decode import apply_turn, decode
from tasks.pictures.rows import Row, rows_of
from tasks.pictures.samples import read_ahead
from tasks.schema import wilson
from tasks.storage.files import read_bytes

FEWEST, MOST = 32, 64  # labelled images: with fewer, hardly any difference is clear
BATCH = 16
CONFIDENCE = 0.95  # that no warning is false, over all alternatives
COLOURS = {  # mean and std, by the options that give them
    "--mean 0.5 --std 0.5": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "--mean 0 --std 1": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),  # values from 0 to 1
    "--mean 0.4914,0.4822,0.4465 --std 0.247,0.2435,0.2616": (  # CIFAR-10
        (0.4914, 0.4822, 0.4465),
        (0.247, 0.2435, 0.2616),
    ),
    "--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225": (IMAGENET.mean, IMAGENET.std),
}
SIDES = (32, 64, 128, 224)


@dataclass(frozen=True)
class LabelledImages:
    """Images whose class is known, and how they are read."""

    rows: Sequence[Row]
    upright: bool

    def pictures(self) -> Iterator[Tensor | None]:
        """Decoded, in the order of the rows; None where one cannot be read: the audit says why."""
        threads = min(8, os.cpu_count() or 1)
        return read_ahead(self.rows, self._read, threads, ahead=2 * threads)

    def _read(self, row: Row) -> Tensor | None:
        try:
            decoded = decode(read_bytes(row.image))
            return apply_turn(decoded.image_CHW, decoded.turn if self.upright else 1)
        except (UserError, OSError, ValueError, RuntimeError, MemoryError):
            return None


def check_preprocessing(catalog: pa.Table, classifier: Classifier, orientation: str) -> str | None:
    """A sentence that names the options under which more images are right; None if none are."""
    images = LabelledImages(_choose(catalog, classifier.classes), orientation == "upright")
    if len(images.rows) < FEWEST:
        return None
    others = alternatives(classifier.preprocessing)
    confidence = 1 - (1 - CONFIDENCE) / len(others)
    (given_N,) = _right(classifier, images, [classifier.preprocessing])
    if given_N is None or int((~given_N).sum()) < fewest_that_differ(confidence):
        return None  # whatever the others get right, it could be chance
    rights = zip(others, _right(classifier, images, list(others.values())), strict=True)
    clear = [
        (int(right_N.sum()), options)
        for options, right_N in rights
        if right_N is not None and is_clearly_better(given_N, right_N, confidence)
    ]
    if not clear:
        return None
    best, options = max(clear)
    return (
        f"the model is right on {int(given_N.sum())} of {len(given_N)} labelled images, and with "
        f"{options} on {best}: check how pictures were prepared in its training (used now: "
        f"{classifier.preprocessing.describe()})"
    )


def alternatives(given: Preprocessing) -> dict[str, Preprocessing]:
    """Other common preprocessings, by the options that choose them: other colours, other sizes."""
    values = given.model_dump()
    changes: dict[str, dict[str, Any]] = {
        options: {"mean": mean, "std": std} for options, (mean, std) in COLOURS.items()
    }
    changes |= {f"--size {side}": geometry_of([side]) for side in SIDES}
    found = {
        options: Preprocessing.model_validate(values | new) for options, new in changes.items()
    }
    found["--preprocessing imagenet"] = IMAGENET
    return {options: other for options, other in found.items() if other != given}


def is_clearly_better(given_N: np.ndarray, other_N: np.ndarray, confidence: float) -> bool:
    """Is the other right more often, with an interval of the paired difference above 0?"""
    before, now = (wilson(int(right_N.sum()), len(right_N)) for right_N in (given_N, other_N))
    rates = Rates(before, now, Crossing.of(given_N, other_N))
    return change_of_rate(rates, confidence).low > 0


def _choose(catalog: pa.Table, classes: Sequence[str]) -> list[Row]:
    """At most so many images with one of these labels, spread evenly over them."""
    known = catalog.filter(pc.is_in(catalog["label"], pa.array(classes, pa.string())))
    known = known.sort_by("label")
    count = min(MOST, len(known))
    return rows_of(known.take(np.arange(count) * len(known) // max(count, 1)))


def _right(
    classifier: Classifier, images: LabelledImages, ways: Sequence[Preprocessing]
) -> list[np.ndarray | None]:
    """Which images the model predicts right, for each way to prepare them; None for a way that the
    network does not accept. All ways leave out the images that cannot be read."""
    prepared: list[list[Tensor]] = [[] for _ in ways]
    labels = []
    for row, picture_CHW in zip(images.rows, images.pictures(), strict=True):
        try:
            small = (
                [] if picture_CHW is None else [way.resize_and_crop(picture_CHW) for way in ways]
            )
        except UserError:  # a very long picture
            small = []
        if small:
            labels.append(classifier.classes.index(row.label or ""))
            for pictures, small_CHW in zip(prepared, small, strict=True):
                pictures.append(small_CHW)
    return [
        _predict(classifier, way, pictures, np.array(labels))
        for way, pictures in zip(ways, prepared, strict=True)
    ]


def _predict(
    classifier: Classifier, way: Preprocessing, pictures: Sequence[Tensor], label_N: np.ndarray
) -> np.ndarray | None:
    if not pictures:
        return None
    found = []
    try:
        with torch.no_grad():
            for batch_NCHW in torch.split(torch.stack(list(pictures)), BATCH):
                found.append(classifier.network(way.normalise(batch_NCHW)).argmax(1))
    except Exception:  # many networks read pictures of one size only
        return None
    right_N: np.ndarray = torch.cat(found).numpy() == label_N
    return right_N
