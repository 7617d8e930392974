"""The pictures of images that two models answer differently. Shapes: H W pixels, 3 colours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks import schema
from tasks.attribution.shown_images import Rows, ShownImages, magnitudes, mask_of, picture_of
from tasks.interventions.donors import DonorPool
from tasks.pictures.samples import Sample
from tasks.runs.reader import Run
from tasks.runs.stages import INTERVENTIONS


def examples_of_pair(
    before: Run, after: Run, paired: schema.PairedSummary
) -> list[schema.PairedExample]:
    """The changed images in their order, without those that can no longer be read."""
    pictures = _Pictures.of(before, after, paired)
    examples = (pictures.example(image) for image in paired.changed)
    return [example for example in examples if example is not None]


@dataclass(frozen=True)
class _Pictures:
    """What the examples of a pair are made from; two values are of before and after."""

    images: ShownImages
    maps: tuple[dict[str, np.ndarray], dict[str, np.ndarray]]
    exchanges: tuple[Rows, Rows]
    pool: DonorPool | None

    @classmethod
    def of(cls, before: Run, after: Run, paired: schema.PairedSummary) -> _Pictures:
        row_ids = [image.row_id for image in paired.changed]
        first, last = (ShownImages(run, row_ids=row_ids, with_web=False) for run in (before, after))
        return cls(
            last,
            (first.maps(paired.method), last.maps(paired.method)),
            (first.part_rows(INTERVENTIONS), last.part_rows(INTERVENTIONS)),
            last.donors(),
        )

    def example(self, image: schema.ChangedImage) -> schema.PairedExample | None:
        sample = self.images.sample(image.row_id)
        if sample is None:
            return None
        before, after = (maps.get(image.row_id) for maps in self.maps)
        return schema.PairedExample(
            image=image,
            picture_HW3=picture_of(sample),
            mask_HW=mask_of(sample),
            map_before_HW=magnitudes(before),
            map_after_HW=magnitudes(after),
            exchange=self._exchange(image, sample),
        )

    def _exchange(self, image: schema.ChangedImage, sample: Sample) -> schema.PairedExchange | None:
        """On a background that tells the models apart, where there is one; None without an
        exchange."""
        before, after = (rows.get(image.row_id) for rows in self.exchanges)
        if self.pool is None or sample.mask_HW is None or before is None or after is None:
            return None
        slot = _slot_that_differs(image, before, after)
        if slot is None:
            return None
        donor = after["donors"][slot]
        return schema.PairedExchange(
            picture_HW3=self.images.redraw.exchanged(sample, self.pool, donor),
            donor=donor,
            donor_label=self.pool.label_of(donor),
            before=before["exchanged_predictions"][slot],
            after=after["exchanged_predictions"][slot],
        )


def _slot_that_differs(image: schema.ChangedImage, before: Any, after: Any) -> int | None:
    """The first other-class background that flips only one model, else the first of all."""
    slots = list(_slots_of_other_classes(before, after))
    apart = (
        slot
        for slot in slots
        if (before["exchanged_predictions"][slot] == image.before.prediction)
        != (after["exchanged_predictions"][slot] == image.after.prediction)
    )
    return next(apart, slots[0] if slots else None)


def _slots_of_other_classes(before: Any, after: Any) -> Iterator[int]:
    """Exchanges with the same donor, of another class, in both runs."""
    for slot, pair in enumerate(zip(before["donors"], after["donors"], strict=False)):
        if pair[0] == pair[1] and not after["same_class"][slot]:
            yield slot
