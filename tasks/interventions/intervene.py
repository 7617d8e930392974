"""How each prediction changes when the object or the background is changed.

Shapes: B images, b some of them, C=3 colours, H W pixels, K classes, S changes: object removed,
background removed, then one per way to move the own background, then one per donor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from models.classifier.classifier import Classifier
from models.interventions import (
    Features,
    exchange_background,
    predict_each,
    predict_with_features,
    remove_background,
    remove_object,
)
from models.moves import MOVES
from tasks import schema
from tasks.interventions.donors import DonorPool, DrawnDonors, random_key
from tasks.interventions.filled_areas import filled_areas
from tasks.interventions.foreground_areas import LARGEST, SMALLEST
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.samples import Failure, Sample

VERSION = 5  # of the changes and of the rows
REMOVALS = 2  # changes that need neither a donor nor a move


def draw_moves(row_id: str, settings: InterventionSettings) -> tuple[str, ...]:
    """The ways in which an image's own background is moved, by seed and key alone."""
    seed = int.from_bytes(random_key(settings, f"moves of {row_id}"), "big")
    order = np.random.default_rng(seed).permutation(list(MOVES))
    return tuple(order[: settings.moves].tolist())


@dataclass(frozen=True)
class Subjects:
    """Images, their masks (the foreground's share of each pixel) and clean predictions."""

    samples: Sequence[Sample]
    image_BCHW: Tensor  # normalised
    mask_BHW: Tensor
    logits_BK: Tensor

    @property
    def filled_BHW(self) -> Tensor:
        """What is filled in where the object is removed."""
        return filled_areas(self.mask_BHW, [sample.estimated for sample in self.samples])

    def decidable(self) -> Subjects:
        """Those with enough object and enough background; a mask of NaN is unknown."""
        kept_B = self.mask_BHW.mean((1, 2)) >= SMALLEST
        kept_B &= self.filled_BHW.mean((1, 2)) <= LARGEST
        samples = [s for s, kept in zip(self.samples, kept_B.tolist(), strict=True) if kept]
        return Subjects(
            samples, self.image_BCHW[kept_B], self.mask_BHW[kept_B], self.logits_BK[kept_B]
        )


@dataclass(frozen=True)
class Interventions:
    """The changes that every picture goes through, and the backgrounds for them."""

    settings: InterventionSettings
    pool: DonorPool

    def apply(
        self, classifier: Classifier, subjects: Subjects
    ) -> tuple[pa.RecordBatch, list[Failure]]:
        """A row of schema.INTERVENTIONS for each decidable image.

        One forward pass per change, without a gradient; the clean prediction is reused.
        """
        subjects = subjects.decidable()
        drawn = [self._draw(sample) for sample in subjects.samples]
        outcome = _Outcome.of(subjects.logits_BK, max(map(len, drawn), default=0))
        network, classes = classifier.network, len(classifier.classes)
        alone: Features = []  # of the background alone
        for change, (row_b, image_bCHW) in enumerate(self._changes(classifier, subjects, drawn)):
            if change == 0:
                probability_bK, alone = predict_with_features(
                    network, classifier.grid, image_bCHW, classes
                )
            else:
                probability_bK = predict_each(network, image_bCHW, classes)
            outcome.fill(change, row_b, probability_bK)
        rows, failures = [], []
        for image, sample in enumerate(subjects.samples):
            if outcome.is_finite(image, len(drawn[image])):
                row = self._row(sample, drawn[image], outcome, image, classifier.classes)
                rows.append(row | {"object_removed_features": alone[image]})
            else:
                failures.append(_not_finite(sample))
        return pa.RecordBatch.from_pylist(rows, schema=schema.INTERVENTIONS), failures

    def _draw(self, sample: Sample) -> _Drawn:
        row = sample.row
        donors = self.pool.draw(row.row_id, sample.content_id, row.label, self.settings)
        return _Drawn(draw_moves(row.row_id, self.settings), donors)

    def _changes(
        self, classifier: Classifier, subjects: Subjects, drawn: Sequence[_Drawn]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """For each change, the rows of the images that have it, and the changed images."""
        image_BCHW, mask_BHW = subjects.image_BCHW, subjects.mask_BHW
        if not drawn:
            return
        all_B = torch.arange(len(drawn))
        own_BCHW = remove_object(image_BCHW, subjects.filled_BHW, self.settings.fill)
        yield all_B, own_BCHW
        yield all_B, remove_background(image_BCHW, mask_BHW)
        for slot in range(self.settings.moves):
            moved_BCHW = torch.empty_like(own_BCHW)  # in its memory format, which is faster
            for row, image in enumerate(drawn):
                moved_BCHW[row] = MOVES[image.ways[slot]].apply(own_BCHW[row])
            yield all_B, exchange_background(image_BCHW, mask_BHW, moved_BCHW)
        for slot in range(max(len(image.donors) for image in drawn)):
            having = [row for row, image in enumerate(drawn) if slot < len(image.donors)]
            row_b = torch.tensor(having)
            donor_b = torch.tensor([drawn[row].donors.indices[slot] for row in having])
            background_bCHW = self.pool.background_NCHW[donor_b].to(image_BCHW.device)
            other_bCHW = classifier.preprocessing.normalise(background_bCHW)
            yield row_b, exchange_background(image_BCHW[row_b], mask_BHW[row_b], other_bCHW)

    def _row(
        self,
        sample: Sample,
        drawn: _Drawn,
        outcome: _Outcome,
        image: int,
        classes: tuple[str, ...],
    ) -> dict[str, Any]:
        confidence = float(outcome.confidence_B[image])
        removed, alone, *pasted = outcome.probability_BS[image, : len(drawn)].tolist()
        indices = outcome.class_BS[image, : len(drawn)].tolist()
        changed = [index != int(outcome.target_B[image]) for index in indices[REMOVALS:]]
        predicted = [classes[index] for index in indices]
        moves, donors = len(drawn.ways), drawn.donors
        others = slice(moves, moves + len(donors.others))
        return {
            "row_id": sample.row.row_id,
            "object_removed": removed,
            "background_removed": alone,
            "object_removed_prediction": predicted[0],
            "background_removed_prediction": predicted[1],
            "donors": [self.pool.row_ids[index] for index in donors.indices],
            "same_class": [index in donors.same for index in donors.indices],
            "exchanged": pasted[moves:],
            "exchanged_predictions": predicted[REMOVALS + moves :],
            "reliance_removal": removed - alone,
            "reliance_exchange": _lost(confidence, pasted[others]),
            "flips": np.mean(changed[others]) if donors.others else None,
            "moved": pasted[:moves],
            "moved_predictions": predicted[REMOVALS:][:moves],
            "moved_ways": list(drawn.ways),
            "reliance_own": _lost(confidence, pasted[:moves]),
            "flips_own": np.mean(changed[:moves]) if moves else None,
        }


@dataclass(frozen=True)
class _Drawn:
    """How one image's background is replaced: ways to move its own, then donors."""

    ways: tuple[str, ...]
    donors: DrawnDonors

    def __len__(self) -> int:
        """Of all changes."""
        return REMOVALS + len(self.ways) + len(self.donors)


def _lost(confidence: float, probabilities: Sequence[float]) -> float | None:
    return confidence - float(np.mean(probabilities)) if probabilities else None


@dataclass(frozen=True)
class _Outcome:
    """The clean prediction of each image; after each change, its probability and the new class."""

    target_B: Tensor
    confidence_B: Tensor
    probability_BS: Tensor
    class_BS: Tensor

    @classmethod
    def of(cls, logits_BK: Tensor, changes: int) -> _Outcome:
        confidence_B, target_B = logits_BK.softmax(1).max(1)
        size = len(logits_BK), changes
        empty = torch.full(size, torch.nan), torch.zeros(size, dtype=torch.int64)
        return cls(target_B.cpu(), confidence_B.cpu(), *empty)

    def fill(self, change: int, row_b: Tensor, probability_bK: Tensor) -> None:
        probability_bK = probability_bK.cpu()
        target_b1 = self.target_B[row_b][:, None]
        self.probability_BS[row_b, change] = probability_bK.gather(1, target_b1)[:, 0]
        self.class_BS[row_b, change] = probability_bK.argmax(1)

    def is_finite(self, image: int, changes: int) -> bool:
        return bool(self.probability_BS[image, :changes].isfinite().all())


def _not_finite(sample: Sample) -> Failure:
    message = "the model gives no finite logits for the picture with another background"
    remedy = "look at the picture and at the model's weights"
    return Failure(sample.row.row_id, "interventions", "permanent", message, remedy)
