"""How each prediction changes when the object or the background is changed.

Shapes: B images, b some of them, C=3 colours, H W pixels, K classes, S changes: object removed,
background removed, then one per donor.
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
from models.interventions import exchange_background, predict_each, remove_background, remove_object
from tasks import schema
from tasks.interventions.donors import DonorPool, DrawnDonors
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.samples import Failure, Sample

VERSION = 1  # of the changes and of the rows
SMALLEST, LARGEST = 0.01, 0.95  # foreground areas; outside of them nothing can be decided
REMOVALS = 2  # changes that need no donor


@dataclass(frozen=True)
class Subjects:
    """Images, their masks (the foreground's share of each pixel) and clean predictions."""

    samples: Sequence[Sample]
    image_BCHW: Tensor  # normalised
    mask_BHW: Tensor
    logits_BK: Tensor

    def decidable(self) -> Subjects:
        """Those with enough object and enough background; a mask of NaN is unknown."""
        area_B = self.mask_BHW.mean((1, 2))
        kept_B = (area_B >= SMALLEST) & (area_B <= LARGEST)
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
        outcome = _Outcome.of(subjects.logits_BK, REMOVALS + max(map(len, drawn), default=0))
        for change, (row_b, image_bCHW) in enumerate(self._changes(classifier, subjects, drawn)):
            probability_bK = predict_each(classifier.network, image_bCHW, len(classifier.classes))
            outcome.fill(change, row_b, probability_bK)
        rows, failures = [], []
        for image, sample in enumerate(subjects.samples):
            if outcome.is_finite(image, len(drawn[image])):
                rows.append(self._row(sample, drawn[image], outcome, image, classifier.classes))
            else:
                failures.append(_not_finite(sample))
        return pa.RecordBatch.from_pylist(rows, schema=schema.INTERVENTIONS), failures

    def _draw(self, sample: Sample) -> DrawnDonors:
        row = sample.row
        return self.pool.draw(row.row_id, sample.content_id, row.label, self.settings)

    def _changes(
        self, classifier: Classifier, subjects: Subjects, drawn: Sequence[DrawnDonors]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """For each change, the rows of the images that have it, and the changed images."""
        image_BCHW, mask_BHW = subjects.image_BCHW, subjects.mask_BHW
        if not drawn:
            return
        all_B = torch.arange(len(drawn))
        yield all_B, remove_object(image_BCHW, mask_BHW, self.settings.fill)
        yield all_B, remove_background(image_BCHW, mask_BHW)
        for slot in range(max(map(len, drawn))):
            row_b = torch.tensor([row for row, donors in enumerate(drawn) if slot < len(donors)])
            donor_b = torch.tensor([drawn[row].indices[slot] for row in row_b.tolist()])
            background_bCHW = self.pool.background_NCHW[donor_b].to(image_BCHW.device)
            other_bCHW = classifier.preprocessing.normalise(background_bCHW)
            yield row_b, exchange_background(image_BCHW[row_b], mask_BHW[row_b], other_bCHW)

    def _row(
        self,
        sample: Sample,
        drawn: DrawnDonors,
        outcome: _Outcome,
        image: int,
        classes: tuple[str, ...],
    ) -> dict[str, Any]:
        target, confidence = int(outcome.target_B[image]), float(outcome.confidence_B[image])
        changes, others = REMOVALS + len(drawn), len(drawn.others)
        removed, alone, *on_donors = outcome.probability_BS[image, :changes].tolist()
        predicted = outcome.class_BS[image, :changes].tolist()
        flips = [index != target for index in predicted[REMOVALS:][:others]]
        return {
            "row_id": sample.row.row_id,
            "object_removed": removed,
            "background_removed": alone,
            "object_removed_prediction": classes[predicted[0]],
            "background_removed_prediction": classes[predicted[1]],
            "donors": [self.pool.row_ids[index] for index in drawn.indices],
            "same_class": [index in drawn.same for index in drawn.indices],
            "exchanged": on_donors,
            "exchanged_predictions": [classes[index] for index in predicted[REMOVALS:]],
            "reliance_removal": removed - alone,
            "reliance_exchange": confidence - np.mean(on_donors[:others]) if others else None,
            "flips": np.mean(flips) if others else None,
        }


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

    def is_finite(self, image: int, donors: int) -> bool:
        return bool(self.probability_BS[image, : REMOVALS + donors].isfinite().all())


def _not_finite(sample: Sample) -> Failure:
    message = "the model gives no finite logits for the picture with another background"
    remedy = "look at the picture and at the model's weights"
    return Failure(sample.row.row_id, "interventions", "permanent", message, remedy)
