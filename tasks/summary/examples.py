"""The images to look at first, read again and changed again as the model saw them.

Shapes: S changed pictures of one image, C=3 colours, H W pixels, h w cells of a map.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from models.classifier.preprocessing import Preprocessing
from models.fills import Fill
from models.interventions import exchange_background, remove_background, remove_object
from tasks import schema
from tasks.attribution.shown_images import Rows, ShownImages, mask_of, picture_of
from tasks.interventions.donors import DonorPool
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.samples import Sample
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.stages import INTERVENTIONS, PREDICTIONS
from tasks.storage.parquet import read_table

SHOWN = 12


def examples_of(run_folder: RunFolder, method: str) -> list[schema.Example]:
    """The flagged images, highest score first; the least confident images where none is flagged."""
    run = open_run(run_folder.path)
    flags = _strongest_flags(run_folder) or _least_confident(run_folder)
    images = ShownImages(run, list(flags))
    predictions, maps = images.part_rows(PREDICTIONS), images.maps(method)
    redrawing = _Redrawing.of(images)
    examples = []
    for row_id, flag in flags.items():
        sample = images.sample(row_id) if row_id in maps else None
        if sample is not None:
            changes = () if redrawing is None else redrawing.changes(sample)
            record = _Record(flag, predictions[row_id], changes)
            examples.append(_example(sample, record, maps[row_id]))
    return examples


@dataclass(frozen=True)
class _Record:
    """What the run holds about one image: rows of two tables, and its changed pictures."""

    flag: dict[str, Any]
    prediction: dict[str, Any]
    changes: tuple[schema.ChangedPicture, ...]


@dataclass(frozen=True)
class _Redrawing:
    """The run's interventions, to make the changed pictures again."""

    rows: Rows
    pool: DonorPool
    fill: Fill
    preprocessing: Preprocessing

    @classmethod
    def of(cls, images: ShownImages) -> _Redrawing | None:
        """None where the run changed no picture."""
        pool = images.donors()
        if pool is None:
            return None
        settings = images.run.state.section("interventions", InterventionSettings)
        rows = images.part_rows(INTERVENTIONS)
        return cls(rows, pool, settings.fill, images.read.preprocessing)

    def changes(self, sample: Sample) -> tuple[schema.ChangedPicture, ...]:
        """Object removed, background removed, then each exchange; empty without interventions."""
        row = self.rows.get(sample.row.row_id)
        if row is None or sample.mask_HW is None:
            return ()
        indices = [self.pool.row_ids.index(donor) for donor in row["donors"]]
        removed, alone, *on_donors = self._pictures(sample, sample.mask_HW, indices)
        return (
            _after_removal("object_removed", row, removed),
            _after_removal("background_removed", row, alone),
            *(
                self._after_exchange(row, slot, index, picture_HW3)
                for slot, (index, picture_HW3) in enumerate(zip(indices, on_donors, strict=True))
            ),
        )

    def _pictures(self, sample: Sample, mask_HW: Tensor, indices: Sequence[int]) -> list[Any]:
        """uint8 (H, W, 3): the pictures of tasks/interventions/intervene.py, in its order."""
        image_1CHW = self.preprocessing.normalise(sample.picture_CHW[None])
        mask_1HW = mask_HW[None] / 255
        other_NCHW = self.preprocessing.normalise(self.pool.background_NCHW[list(indices)])
        images = [
            remove_object(image_1CHW, mask_1HW, self.fill),
            remove_background(image_1CHW, mask_1HW),
            *(
                exchange_background(image_1CHW, mask_1HW, other_CHW[None])
                for other_CHW in other_NCHW
            ),
        ]
        picture_SCHW = self.preprocessing.denormalise(torch.cat(images))
        return list(picture_SCHW.permute(0, 2, 3, 1).numpy())

    def _after_exchange(
        self, row: dict[str, Any], slot: int, index: int, picture_HW3: Any
    ) -> schema.ChangedPicture:
        return schema.ChangedPicture(
            change="exchanged",
            probability=row["exchanged"][slot],
            prediction=row["exchanged_predictions"][slot],
            picture_HW3=picture_HW3,
            donor=row["donors"][slot],
            donor_label=self.pool.labels[index],
            same_class=row["same_class"][slot],
        )


def _after_removal(
    change: Literal["object_removed", "background_removed"], row: dict[str, Any], picture_HW3: Any
) -> schema.ChangedPicture:
    prediction = row[f"{change}_prediction"]
    return schema.ChangedPicture(change, row[change], prediction, picture_HW3)


def _strongest_flags(run_folder: RunFolder) -> Rows:
    """Rows of the flags table, the highest score first."""
    flags = run_folder.open_flags()
    groups = (flags.read_row_group(group) for group in range(flags.num_row_groups))
    flagged = (
        group.filter(pc.equal(group["flag"].cast(pa.string()), "rests_on_background"))
        for group in groups
    )
    return {row["row_id"]: row for row in _first(flagged, "score", "descending")}


def _least_confident(run_folder: RunFolder) -> Rows:
    """Rows of the flags table, the lowest confidence first."""
    columns = ["row_id", "confidence"]
    parts = (read_table(path, columns) for path in run_folder.parts(PREDICTIONS))
    row_ids = [row["row_id"] for row in _first(parts, "confidence", "ascending")]
    chosen = pc.field("row_id").isin(pa.array(row_ids, pa.string()))
    by_row = {row["row_id"]: row for row in run_folder.open_flags().read_rows(chosen).to_pylist()}
    return {row_id: by_row[row_id] for row_id in row_ids}


def _first(
    tables: Iterable[pa.Table], by: str, order: Literal["ascending", "descending"]
) -> list[dict[str, Any]]:
    """The first rows over all tables, which are read one after the other."""
    first = None
    for table in tables:
        merged = table if first is None else pa.concat_tables([first, table])
        first = merged.sort_by([(by, order), ("row_id", "ascending")]).slice(0, SHOWN)
    return [] if first is None else first.to_pylist()


def _example(sample: Sample, record: _Record, map_HW: Any) -> schema.Example:
    flag, prediction = record.flag, record.prediction
    return schema.Example(
        row_id=sample.row.row_id,
        label=prediction["label"],
        prediction=prediction["prediction"],
        confidence=prediction["confidence"],
        correct=prediction["correct"],
        flag=flag["flag"],
        reason=flag["reason"],
        score=flag["score"],
        lift=flag["lift"],
        foreground=flag["foreground"],
        other_object=bool(flag["other_object"]),
        picture_HW3=picture_of(sample),
        map_HW=abs(map_HW),  # scores of a signed map count magnitudes
        mask_HW=mask_of(sample),
        changes=record.changes,
    )
