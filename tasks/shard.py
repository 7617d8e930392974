"""Shards and what makes a part: which rows, of what specification, and so which fingerprint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, field_validator

from models import features
from models.architectures import ModelSettings
from models.classifier import Classifier
from models.methods import METHODS, find_methods
from tasks import schema, score
from tasks.catalog import DataSettings, foreground_source
from tasks.read import Row
from tasks.store import RunFolder, digest

ROW = ["row_id", "image", "label", "mask"]  # a changed file keeps the run and changes its parts


class AttributionSettings(BaseModel):
    """Which maps, of which class, in which numbers. More methods add parts and change none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: tuple[str, ...] = Field(
        tuple(METHODS), min_length=1, description="Attribution methods, separated by commas."
    )
    target: Literal["prediction", "label"] = Field(
        "prediction", description="The class that maps explain."
    )
    memory_format: Literal["channels_last", "contiguous"] = Field(
        "channels_last", description="Layout of pictures and weights; channels_last is faster."
    )
    shard_size: int = Field(256, ge=1, description="Images a shard, the unit of scheduling.")

    @field_validator("methods")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(method.name for method in find_methods(names))


@dataclass(frozen=True)
class Job:
    """All that a worker is told: small values and addresses, no tensors."""

    run: RunFolder
    model: ModelSettings
    attribution: AttributionSettings
    identity: dict[str, Any]
    polarity: str
    batch_size: int
    decode_threads: int


def identity_of(
    catalog: pa.Table, classifier: Classifier, data: DataSettings, attribution: AttributionSettings
) -> dict[str, Any]:
    """What makes two runs the same: any other value gives other numbers or other parts."""
    return {
        "catalog": digest(*(catalog[name].to_pylist() for name in ROW)),
        "model": classifier.digest,
        "classes": digest(classifier.classes),
        "preprocessing": classifier.preprocessing.model_dump(mode="json"),
        "layer": classifier.layer,
        "target": attribution.target,
        "foreground": foreground_source(catalog),
        "polarity": data.polarity,
        "numeric": numeric_policy(attribution),
        "shard_size": attribution.shard_size,
    }


def numeric_policy(attribution: AttributionSettings) -> dict[str, str]:
    """How numbers are computed; the device that happened to do it is no part of it."""
    return {"dtype": "float32", "memory_format": attribution.memory_format}


def count_shards(run: RunFolder) -> int:
    """The catalog is written with one row group a shard."""
    count: int = _footer(run.catalog, run.catalog.stat().st_mtime_ns).num_row_groups
    return count


def read_rows(run: RunFolder, shard: int) -> list[Row]:
    """The rows of one shard."""
    table = _read_shard(run, shard).select(ROW)
    return [Row(**row) for row in table.to_pylist()]


def _read_shard(run: RunFolder, shard: int) -> pa.Table:
    footer = _footer(run.catalog, run.catalog.stat().st_mtime_ns)
    file = pq.ParquetFile(run.catalog, metadata=footer)
    return file.read_row_group(shard, columns=schema.CATALOG.names)


@lru_cache(maxsize=4)
def _footer(path: Path, _: int) -> pq.FileMetaData:
    """Parsed once in a process: it grows with the shards, and every shard needs it."""
    return pq.read_metadata(path)


def fingerprints(job: Job, shard: int) -> dict[str, str]:
    """Every part that this job wants of a shard, by stage, with its fingerprint."""
    identity = job.identity
    rows = digest(_read_shard(job.run, shard).to_pydict())
    model = [identity[key] for key in ("model", "classes", "preprocessing", "numeric")]
    ground = [identity["foreground"], identity["polarity"]]
    wanted = {
        "predictions": digest(schema.VERSION, rows, model),
        "features": digest(
            schema.VERSION, rows, model, identity["layer"], ground, features.VERSION
        ),
    }
    for method in _versions(job):
        maps = digest(schema.VERSION, rows, model, identity["layer"], identity["target"], method)
        wanted[f"maps/{method[0]}"] = maps
        if identity["foreground"] != "none":
            wanted[f"scores/{method[0]}"] = digest(maps, ground, score.VERSION)
    return wanted


def _versions(job: Job) -> Iterator[tuple[str, int]]:
    for name in job.attribution.methods:
        yield name, METHODS[name].version
