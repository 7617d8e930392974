"""A run's images as its model saw them, to show on pages. Shapes: H W pixels, 3 colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.addresses import is_file
from tasks import schema
from tasks.attribution.job import reader_of
from tasks.catalog.allowed_addresses import AllowedAddresses
from tasks.catalog.settings import DataSettings
from tasks.interventions.donors import DonorPool, read_donors
from tasks.interventions.pool_files import donor_digest
from tasks.interventions.redraw import Redrawing
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.rows import Row, rows_of
from tasks.pictures.samples import Reader, Sample
from tasks.pictures.settings import ForegroundSettings
from tasks.runs.reader import Run
from tasks.runs.stages import Stage
from tasks.storage.parquet import open_parquet

Rows = dict[str, dict[str, Any]]  # of a table by row_id


@dataclass(frozen=True)
class SeenPictures:
    """How a run's pictures are read again as its model saw them, and changed again."""

    run: Run
    with_web: bool = True  # also pictures on web servers, which a run of somebody else may name
    measures: bool = False  # the properties of each file too

    @cached_property
    def read(self) -> Reader:
        settings = self.run.state.section("foreground", ForegroundSettings)
        return replace(reader_of(self.run.state.identity, settings), measures=self.measures)

    @property
    def size(self) -> tuple[int, int]:
        return self.run.state.identity.preprocessing.size

    @property
    def redraw(self) -> Redrawing:
        return Redrawing(self._interventions.fill, self.run.state.identity.preprocessing)

    def may_read(self, row: Row) -> bool:
        """Are its picture and masks where the data lies?"""
        return all(map(self._allowed.include, (row.image, *(row.masks or ()))))

    def donors(self) -> DonorPool | None:
        """None where the run made no interventions."""
        folder = self.run.folder
        if not is_file(folder.donors):
            return None
        return read_donors(folder, self.size, self._interventions.fill, donor_digest(folder))

    @property
    def _interventions(self) -> InterventionSettings:
        return self.run.state.section("interventions", InterventionSettings)

    @cached_property
    def _allowed(self) -> AllowedAddresses:
        allowed = AllowedAddresses.of(self.run.state.section("data", DataSettings))
        return allowed if self.with_web else allowed.without_web()


@dataclass(frozen=True)
class ShownImages(SeenPictures):
    """The pictures of a run and their rows in its tables; of all rows, or of some."""

    row_ids: Sequence[str] | None = None

    def sample(self, row_id: str) -> Sample | None:
        """None where the picture can no longer be read, or must not be."""
        row = self._rows[row_id]
        if not self.may_read(row):
            return None
        sample = self.read(row)
        return sample if isinstance(sample, Sample) else None

    def samples(self) -> Iterator[Sample]:
        """In the catalog's order; pictures that can no longer be read are left out."""
        samples = (self.sample(row_id) for row_id in self._rows)
        return (sample for sample in samples if sample is not None)

    def maps(self, method: str) -> dict[str, np.ndarray]:
        """At the pictures' size, by row; empty for a method that the run lacks."""
        if method not in self.run.methods or self.row_ids is None:
            return {}
        return self.run.maps(list(self.row_ids), method, self.size)

    def part_rows(self, stage: Stage) -> Rows:
        """The rows of a stage's parts for these images."""
        return {
            row["row_id"]: row
            for shard in self._shards
            if (part := self.run.part(stage, shard)) is not None
            for row in self._choose(part).to_pylist()
        }

    @cached_property
    def _rows(self) -> dict[str, Row]:
        catalog = open_parquet(self.run.folder.catalog, expected=schema.CATALOG)
        shards = (self._choose(catalog.read_row_group(shard)) for shard in self._shards)
        return {row.row_id: row for table in shards for row in rows_of(table)}

    @cached_property
    def _shards(self) -> Sequence[int]:
        return self.run.shards if self.row_ids is None else self.run.shards_of(self.row_ids)

    def _choose(self, table: pa.Table) -> pa.Table:
        if self.row_ids is None:
            return table
        return table.filter(pc.is_in(table["row_id"], pa.array(list(self.row_ids), pa.string())))


def picture_of(sample: Sample) -> np.ndarray:
    """uint8 (H, W, 3)."""
    picture_HW3: np.ndarray = sample.picture_CHW.permute(1, 2, 0).numpy()
    return picture_HW3


def mask_of(sample: Sample) -> np.ndarray | None:
    """bool (H, W): the foreground, where there is one."""
    return None if sample.mask_HW is None else sample.mask_HW.numpy() >= 128


def magnitudes(map_HW: np.ndarray | None) -> np.ndarray | None:
    """Absolute values, which the figures of a signed map are computed from."""
    return None if map_HW is None else abs(map_HW)
