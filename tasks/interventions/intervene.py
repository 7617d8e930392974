"""What becomes of each prediction when the object or the background changes.

Shapes: B images, b some of them, C=3 colours, H W pixels, K classes, S changes: object removed,
background removed, then one for each donor.
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
from models.interventions import exchange_background, predict, remove_background, remove_object
from tasks import schema
from tasks.interventions.donors import DonorPool, Drawn
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.samples import Failure, Sample

VERSION = 1  # of what is done and what is kept of it
SMALLEST, LARGEST = 0.01, 0.95  # foreground areas outside of which nothing can be decided
REMOVALS = 2  # changes that need no donor


@dataclass(frozen=True)
class Subjects:
    """Images, their masks (the foreground's share of each pixel) and clean predictions."""

    samples: Sequence[Sample]
    image_BCHW: Tensor  # normalised
    mask_BHW: Tensor
    logits_BK: Tensor

    def decidable(self) -> Subjects:
        """Those whose foreground leaves something of object and background; NaN is no mask."""
        area_B = self.mask_BHW.mean((1, 2))
        kept_B = (area_B >= SMALLEST) & (area_B <= LARGEST)
        samples = [s for s, kept in zip(self.samples, kept_B.tolist(), strict=True) if kept]
        return Subjects(
            samples, self.image_BCHW[kept_B], self.mask_BHW[kept_B], self.logits_BK[kept_B]
        )


@dataclass(frozen=True)
class Interventions:
    """What is done to every picture, and the backgrounds for it."""

    settings: InterventionSettings
    pool: DonorPool

    def apply(
        self, classifier: Classifier, subjects: Subjects
    ) -> tuple[pa.RecordBatch, list[Failure]]:
        """A row of schema.INTERVENTIONS for each image that leaves something to change.

        One forward pass a change, without a gradient; the clean prediction is not made again.
        """
        subjects = subjects.decidable()
        drawn = [self._draw(sample) for sample in subjects.samples]
        outcome = _Outcome.of(subjects.logits_BK, REMOVALS + max(map(len, drawn), default=0))
        for slot, (row_b, image_bCHW) in enumerate(self._changes(classifier, subjects, drawn)):
            outcome.fill(slot, row_b, predict(classifier.network, image_bCHW))
        rows, failures = [], []
        for image, sample in enumerate(subjects.samples):
            if outcome.is_finite(image, len(drawn[image])):
                rows.append(self._row(sample, drawn[image], outcome, image, classifier.classes))
            else:
                failures.append(_not_finite(sample))
        return pa.RecordBatch.from_pylist(rows, schema=schema.INTERVENTIONS), failures

    def _draw(self, sample: Sample) -> Drawn:
        row = sample.row
        return self.pool.draw(row.row_id, sample.content_id, row.label, self.settings)

    def _changes(
        self, classifier: Classifier, subjects: Subjects, drawn: Sequence[Drawn]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """For each change, the images that it is made of and what they became."""
        image_BCHW, mask_BHW = subjects.image_BCHW, subjects.mask_BHW
        if not drawn:
            return
        every_B = torch.arange(len(drawn))
        yield every_B, remove_object(image_BCHW, mask_BHW, self.settings.fill)
        yield every_B, remove_background(image_BCHW, mask_BHW)
        for slot in range(max(map(len, drawn))):
            row_b = torch.tensor([row for row, donors in enumerate(drawn) if slot < len(donors)])
            donor_b = torch.tensor([drawn[row].places[slot] for row in row_b.tolist()])
            background_bCHW = self.pool.background_NCHW[donor_b].to(image_BCHW.device)
            other_bCHW = classifier.preprocessing.normalise(background_bCHW)
            yield row_b, exchange_background(image_BCHW[row_b], mask_BHW[row_b], other_bCHW)

    def _row(
        self, sample: Sample, drawn: Drawn, outcome: _Outcome, image: int, classes: tuple[str, ...]
    ) -> dict[str, Any]:
        target, confidence = int(outcome.target_B[image]), float(outcome.confidence_B[image])
        removed, alone, *on_donors = outcome.probability_BS[image, : REMOVALS + len(drawn)].tolist()
        found = outcome.class_BS[image, : REMOVALS + len(drawn)].tolist()
        others = len(drawn.others)
        changed = [place != target for place in found[REMOVALS:][:others]]
        return {
            "row_id": sample.row.row_id,
            "object_removed": removed,
            "background_removed": alone,
            "object_removed_prediction": classes[found[0]],
            "background_removed_prediction": classes[found[1]],
            "donors": [self.pool.row_ids[place] for place in drawn.places],
            "same_class": [place in drawn.same for place in drawn.places],
            "exchanged": on_donors,
            "exchanged_predictions": [classes[place] for place in found[REMOVALS:]],
            "reliance_removal": removed - alone,
            "reliance_exchange": confidence - np.mean(on_donors[:others]) if others else None,
            "flips": np.mean(changed) if others else None,
        }


@dataclass(frozen=True)
class _Outcome:
    """By image: the clean prediction; by change: its probability and the class predicted."""

    target_B: Tensor
    confidence_B: Tensor
    probability_BS: Tensor
    class_BS: Tensor

    @classmethod
    def of(cls, logits_BK: Tensor, changes: int) -> _Outcome:
        confidence_B, target_B = logits_BK.softmax(1).max(1)
        size = len(logits_BK), changes
        nothing_yet = torch.full(size, torch.nan), torch.zeros(size, dtype=torch.int64)
        return cls(target_B.cpu(), confidence_B.cpu(), *nothing_yet)

    def fill(self, change: int, row_b: Tensor, probability_bK: Tensor) -> None:
        probability_bK = probability_bK.cpu()
        target_b1 = self.target_B[row_b][:, None]
        self.probability_BS[row_b, change] = probability_bK.gather(1, target_b1)[:, 0]
        self.class_BS[row_b, change] = probability_bK.argmax(1)

    def is_finite(self, image: int, donors: int) -> bool:
        return bool(self.probability_BS[image, : REMOVALS + donors].isfinite().all())


def _not_finite(sample: Sample) -> Failure:
    told = "the model's logits are not finite for the picture with another background"
    remedy = "look at the picture and at the model's weights"
    return Failure(sample.row.row_id, "interventions", "permanent", told, remedy)
