"""The images to look at first, read again and changed again as the model saw them.

Shapes: H W pixels, 3 colours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from tasks import schema
from tasks.attribution.shown_images import Rows, ShownImages, mask_of, picture_of
from tasks.interventions.donors import DonorPool
from tasks.interventions.redraw import Redrawing
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
    images = ShownImages(run, row_ids=list(flags))
    predictions, maps = images.part_rows(PREDICTIONS), images.maps(method)
    changed = _Changes.of(images)
    examples = []
    for row_id, flag in flags.items():
        sample = images.sample(row_id) if row_id in maps else None
        if sample is not None:
            changes = () if changed is None else changed.of_image(sample)
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
class _Changes:
    """The run's interventions on its images, with the changed pictures made again."""

    rows: Rows
    pool: DonorPool
    redraw: Redrawing

    @classmethod
    def of(cls, images: ShownImages) -> _Changes | None:
        """None where the run changed no picture."""
        pool = images.donors()
        return None if pool is None else cls(images.part_rows(INTERVENTIONS), pool, images.redraw)

    def of_image(self, sample: Sample) -> tuple[schema.ChangedPicture, ...]:
        """Object removed, background removed, then each exchange; empty without interventions."""
        row = self.rows.get(sample.row.row_id)
        if row is None or sample.mask_HW is None:
            return ()
        return (
            _after_removal("object_removed", row, self.redraw.without_object(sample)),
            _after_removal("background_removed", row, self.redraw.without_background(sample)),
            *(self._after_exchange(row, slot, sample) for slot in range(len(row["donors"]))),
        )

    def _after_exchange(
        self, row: dict[str, Any], slot: int, sample: Sample
    ) -> schema.ChangedPicture:
        donor = row["donors"][slot]
        return schema.ChangedPicture(
            change="exchanged",
            probability=row["exchanged"][slot],
            prediction=row["exchanged_predictions"][slot],
            picture_HW3=self.redraw.exchanged(sample, self.pool, donor),
            donor=donor,
            donor_label=self.pool.label_of(donor),
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
