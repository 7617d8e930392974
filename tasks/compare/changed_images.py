"""Pictures of the images on which two models differ: both maps, and one other background.

Shapes: C=3 colours, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from models.interventions import exchange_background
from tasks import schema
from tasks.attribution.job import reader_of
from tasks.interventions.donors import DonorPool, read_donors
from tasks.pictures.samples import Reader, Row, Sample, rows_of
from tasks.pictures.settings import ForegroundSettings
from tasks.runs.reader import Run
from tasks.runs.stages import INTERVENTIONS
from tasks.storage.files import read_table

Maps = dict[str, np.ndarray]
Changes = dict[str, dict[str, Any]]  # rows of the interventions by row_id


def examples_of_pair(
    before: Run, after: Run, paired: schema.PairedSummary
) -> list[schema.PairedExample]:
    """The changed images in their order; a picture that cannot be read any more is left out."""
    wanted = [image.row_id for image in paired.changed]
    source = _Source.of(before, after, wanted, paired.method)
    found = (source.example(image) for image in paired.changed)
    return [example for example in found if example is not None]


@dataclass(frozen=True)
class _Source:
    """What the pictures of a pair are made from; before and after where there are two."""

    read: Reader
    rows: dict[str, Row]
    maps: tuple[Maps, Maps]
    changes: tuple[Changes, Changes]
    pool: DonorPool | None

    @classmethod
    def of(cls, before: Run, after: Run, row_ids: list[str], method: str) -> _Source:
        foreground = after.state.section("foreground", ForegroundSettings)
        read = reader_of(after.state.identity, foreground)
        size = read.preprocessing.size
        wanted = pc.field("row_id").isin(pa.array(row_ids, pa.string()))
        catalog = read_table(after.folder.catalog, filters=wanted)
        return cls(
            read,
            {row.row_id: row for row in rows_of(catalog)},
            (_maps(before, row_ids, method, size), _maps(after, row_ids, method, size)),
            (_changes(before, wanted), _changes(after, wanted)),
            read_donors(after.folder, size) if after.folder.donors.is_file() else None,
        )

    def example(self, image: schema.ChangedImage) -> schema.PairedExample | None:
        sample = self.read(self.rows[image.row_id])
        if not isinstance(sample, Sample):
            return None
        then, now = (found.get(image.row_id) for found in self.maps)
        return schema.PairedExample(
            image=image,
            picture_HW3=sample.picture_CHW.permute(1, 2, 0).numpy(),
            mask_HW=None if sample.mask_HW is None else sample.mask_HW.numpy() >= 128,
            map_before_HW=None if then is None else abs(then),
            map_after_HW=None if now is None else abs(now),
            exchange=self._exchange(image, sample),
        )

    def _exchange(self, image: schema.ChangedImage, sample: Sample) -> schema.PairedExchange | None:
        """On the background that tells the models apart best; None where nothing was exchanged."""
        rows = [found.get(image.row_id) for found in self.changes]
        if self.pool is None or sample.mask_HW is None or rows[0] is None or rows[1] is None:
            return None
        slot = _telling(image, rows[0], rows[1])
        if slot is None:
            return None
        donor = rows[1]["donors"][slot]
        place = self.pool.row_ids.index(donor)
        return schema.PairedExchange(
            picture_HW3=_drawn(sample, self.pool.background_NCHW[place]),
            donor=donor,
            donor_label=self.pool.labels[place],
            before=rows[0]["exchanged_predictions"][slot],
            after=rows[1]["exchanged_predictions"][slot],
        )


def _telling(image: schema.ChangedImage, before: Any, after: Any) -> int | None:
    """The other class's background that flips one of the models only, else the first one."""
    slots = list(_others(before, after))
    apart = (
        slot
        for slot in slots
        if (before["exchanged_predictions"][slot] == image.before.prediction)
        != (after["exchanged_predictions"][slot] == image.after.prediction)
    )
    return next(apart, slots[0] if slots else None)


def _others(before: Any, after: Any) -> Iterator[int]:
    """Exchanges with the same donor in both runs, of another class."""
    for slot, pair in enumerate(zip(before["donors"], after["donors"], strict=False)):
        if pair[0] == pair[1] and not after["same_class"][slot]:
            yield slot


def _drawn(sample: Sample, background_CHW: torch.Tensor) -> np.ndarray:
    """As tasks/interventions/intervene.py does; mixing and the scale of pixels commute."""
    assert sample.mask_HW is not None
    image_1CHW, other_1CHW = (it[None].float() for it in (sample.picture_CHW, background_CHW))
    mixed_1CHW = exchange_background(image_1CHW, sample.mask_HW[None] / 255, other_1CHW)
    picture_HW3: np.ndarray = mixed_1CHW[0].permute(1, 2, 0).round().to(torch.uint8).numpy()
    return picture_HW3


def _maps(run: Run, row_ids: list[str], method: str, size: tuple[int, int]) -> Maps:
    return run.maps(row_ids, method, size) if method in run.methods else {}


def _changes(run: Run, wanted: pc.Expression) -> Changes:
    return {
        row["row_id"]: row
        for path in run.folder.parts(INTERVENTIONS)
        for row in read_table(path, filters=wanted).to_pylist()
    }
