"""Images that only one of two models gets right, or is flagged on, and their pictures.

Shapes: N images, 2 is before and after (NaN where the two cannot be compared), C=3 colours, H W
pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tasks import schema
from tasks.attribution.shown_images import Rows, ShownImages, magnitudes, mask_of, picture_of
from tasks.compare.paired_images import PairedImages
from tasks.interventions.donors import DonorPool
from tasks.pictures.samples import Sample
from tasks.runs.reader import Run
from tasks.runs.stages import INTERVENTIONS

SHOWN = 24  # at most
IMPROVEMENTS = SHOWN // 3  # shown however many regressions there are


def count_changes(images: PairedImages) -> dict[schema.ChangeKind, int]:
    """The number of images of each kind of change."""
    return {kind: int(which_N.sum()) for kind, which_N in _changes(images).items()}


def worst_changes(images: PairedImages) -> tuple[schema.ChangedImage, ...]:
    """The worst regressions first, then the largest improvements."""
    changes = _changes(images)
    worse_N = np.any([changes[kind] for kind in schema.REGRESSIONS], 0)
    better_N = np.any(list(changes.values()), 0) & ~worse_N
    order_N = _worst_first(images)
    worse, better = order_N[worse_N[order_N]], order_N[better_N[order_N]][::-1]
    better = better[: max(IMPROVEMENTS, SHOWN - len(worse))]
    indices = [*worse[: SHOWN - len(better)].tolist(), *better.tolist()]
    before, after = (
        table.take(pa.array(indices, pa.int64())).to_pylist()
        for table in (images.before, images.after)
    )
    return tuple(
        schema.ChangedImage(
            row_id=row["row_id"],
            label=row["label"],
            before=_answer(old),
            after=_answer(row),
            turns=tuple(kind for kind in schema.CHANGE_KINDS if changes[kind][index]),
        )
        for index, old, row in zip(indices, before, after, strict=True)
    )


def examples_of_pair(
    before: Run, after: Run, paired: schema.PairedSummary
) -> list[schema.PairedExample]:
    """The changed images in their order, without those that can no longer be read."""
    pictures = _Pictures.of(before, after, paired)
    examples = (pictures.example(image) for image in paired.changed)
    return [example for example in examples if example is not None]


def _changes(images: PairedImages) -> dict[schema.ChangeKind, np.ndarray]:
    """Which images show each kind of change; comparisons with NaN are false."""
    right_N2, flagged_N2 = images.values("correct"), images.values("flagged")
    return {
        "broken": right_N2[:, 0] > right_N2[:, 1],
        "newly_flagged": flagged_N2[:, 0] < flagged_N2[:, 1],
        "fixed": right_N2[:, 0] < right_N2[:, 1],
        "no_longer_flagged": flagged_N2[:, 0] > flagged_N2[:, 1],
    }


def _worst_first(images: PairedImages) -> np.ndarray:
    """Indices of images: first those both lost and newly flagged, then lost, then newly flagged;
    within each by more flips, then by the later model's confidence."""
    lost_N, flag_N, flips_N = (
        np.nan_to_num(value_N2 @ np.array([-1.0, 1.0]))
        for value_N2 in (
            -images.values("correct"),
            images.values("flagged"),
            images.values("flips"),
        )
    )
    confidence_N = images.values("confidence")[:, 1]
    order_N: np.ndarray = np.lexsort((-confidence_N, -flips_N, -(2 * lost_N + flag_N)))
    return order_N


def _answer(row: dict[str, Any]) -> schema.Answer:
    return schema.Answer(**{name: row[name] for name in schema.Answer.model_fields})


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
