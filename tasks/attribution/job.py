"""What a worker needs to know, and the rows of each shard."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa

from models.classifier.settings import ModelSettings
from tasks import schema
from tasks.attribution.settings import AttributionSettings, ComparisonSettings
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.estimator import load_same_estimator
from tasks.pictures.samples import MaskReading, Reader
from tasks.pictures.settings import ForegroundSettings
from tasks.runs.folder import RunFolder
from tasks.runs.state import Identity


@dataclass(frozen=True)
class Job:
    """All that a worker needs to know: small values and addresses, no tensors."""

    run: RunFolder
    model: ModelSettings
    attribution: AttributionSettings
    identity: Identity
    batch_size: int | None  # None: as the worker's device takes (batch_size_of)
    decode_threads: int
    reuse: str | None = None  # run folder whose rows are reused where nothing changed
    interventions: InterventionSettings | None = None
    foreground: ForegroundSettings = ForegroundSettings()
    donors: str | None = None  # digest of the pool; None where nothing is exchanged
    statistics_images: str | None = None  # digest of those that layer statistics come from
    comparison: ComparisonSettings | None = None
    patterns_method: str | None = None  # whose maps patterns are found by; None: none are sought

    @property
    def reader(self) -> Reader:
        reader = reader_of(self.identity, self.foreground)
        return replace(reader, measures=self.patterns_method is not None)


@dataclass(frozen=True)
class UnfinishedShard:
    """A shard that lacks a part."""

    number: int
    is_new: bool = False  # nothing of it was there when the run began: its parts are not looked for


def reader_of(identity: Identity, foreground: ForegroundSettings) -> Reader:
    """How a run reads its rows; refuses an estimator other than the identity's."""
    preprocessing = identity.preprocessing
    estimator = load_same_estimator(foreground, preprocessing.size, identity.estimator)
    return Reader(preprocessing, MaskReading(identity.polarity, identity.orientation), estimator)


def count_shards(run: RunFolder) -> int:
    """The catalog has one row group per shard."""
    return run.open_catalog().num_row_groups


def read_shard(run: RunFolder, shard: int) -> pa.Table:
    """The catalog's rows of one shard, without the user's extra columns."""
    return run.open_catalog().read_row_group(shard, columns=schema.CATALOG.names)
