"""Shards and what makes a part: which rows, of what specification, and so which fingerprint."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, field_validator
from upath import UPath

from models import interventions
from models.classifier.architectures import ModelSettings
from models.classifier.classifier import Classifier
from models.classifier.preprocessing import Preprocessing
from models.map_quality import faithfulness, sanity
from models.methods.registry import LAYER_METHODS, NetworkMethod, find_methods
from models.network import features
from tasks import schema
from tasks.attribution import map_scores
from tasks.catalog.catalog import DataSettings, foreground_source
from tasks.interventions import intervene
from tasks.interventions.donors import InterventionSettings
from tasks.pictures import decode, foreground
from tasks.pictures.estimator import ForegroundSettings, known_estimator, load_estimator
from tasks.pictures.samples import ROW, MaskReading, Reader
from tasks.runs.folder import Mark, RunFolder, digest
from tasks.storage.files import open_parquet, read_footer, stamps

GEOMETRY = ("resize", "crop", "interpolation", "antialias")  # of the preprocessing


class AttributionSettings(BaseModel):
    """Which maps, of which class, in which numbers. More methods add parts and change none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: tuple[str, ...] = Field(
        LAYER_METHODS,
        min_length=1,
        description="Attribution methods, separated by commas; arguments as in rise:masks=500; "
        "your own as path/to/file.py:function.",
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
        methods = {method.address: method.name for method in find_methods(names)}
        twice = [name for name, count in Counter(methods.values()).items() if count > 1]
        if twice:
            raise ValueError(f"two methods would be called {twice[0]}: rename one file or function")
        return tuple(methods)


class ComparisonSettings(BaseModel):
    """How far methods are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tested: int = Field(
        16,
        ge=0,
        description="Images on which maps are made again with weights drawn anew, and with noise.",
    )


@dataclass(frozen=True)
class AuditRequest:
    """What an audit is asked of which data: all that its figures depend on but the model."""

    data: DataSettings
    attribution: AttributionSettings = AttributionSettings()
    interventions: InterventionSettings = InterventionSettings()
    foreground: ForegroundSettings = ForegroundSettings()
    comparison: ComparisonSettings | None = None  # None: maps are not compared

    def sections(self) -> dict[str, Any]:
        """As run.json keeps them."""
        sections = {name: section for name, section in vars(self).items() if section is not None}
        return {name: section.model_dump(mode="json") for name, section in sections.items()}


@dataclass(frozen=True)
class Job:
    """All that a worker is told: small values and addresses, no tensors."""

    run: RunFolder
    model: ModelSettings
    attribution: AttributionSettings
    identity: dict[str, Any]
    batch_size: int
    decode_threads: int
    reuse: str | None = None  # run folder whose rows are taken where nothing changed
    interventions: InterventionSettings | None = None
    foreground: ForegroundSettings = ForegroundSettings()
    donors: str | None = None  # digest of the pool; None where nothing is exchanged
    survey: str | None = None  # digest of the images whose activations are surveyed
    comparison: ComparisonSettings | None = None

    @property
    def reader(self) -> Reader:
        return reader_of(self.identity, self.foreground)


def identity_of(catalog: pa.Table, classifier: Classifier, asked: AuditRequest) -> dict[str, Any]:
    """What makes two runs the same: any other value gives other numbers or other parts."""
    data, attribution, foreground = asked.data, asked.attribution, asked.foreground
    estimator = load_estimator(foreground, classifier.preprocessing.size)
    shards = range(0, len(catalog), attribution.shard_size)
    rows = catalog.select(ROW)
    return {
        "catalog": digest(
            *(digest(rows.slice(start, attribution.shard_size).to_pydict()) for start in shards)
        ),
        "model": classifier.digest,
        "classes": digest(classifier.classes),
        "preprocessing": classifier.preprocessing.model_dump(mode="json"),
        "layer": classifier.layer,
        "target": attribution.target,
        "foreground": foreground_source(catalog),
        "polarity": data.polarity,
        "orientation": data.orientation,
        "estimator": estimator and estimator.digest,
        "numeric": numeric_policy(attribution),
        "shard_size": attribution.shard_size,
    }


def has_foreground(identity: dict[str, Any]) -> bool:
    """Is there any, annotated or estimated?"""
    return identity["foreground"] != "none" or identity["estimator"] is not None


def reader_of(identity: dict[str, Any], foreground: ForegroundSettings) -> Reader:
    """How a run reads its rows; refuses an estimator that is not the one of the identity."""
    preprocessing = Preprocessing.model_validate(identity["preprocessing"])
    estimator = known_estimator(foreground, preprocessing.size, identity["estimator"])
    return Reader(
        preprocessing, MaskReading(identity["polarity"], identity["orientation"]), estimator
    )


def geometry_of(identity: dict[str, Any]) -> dict[str, Any]:
    """Of the preprocessing, what places pixels; mean and deviation are the model's own."""
    return {name: identity["preprocessing"].get(name) for name in GEOMETRY}


def reading_digest(identity: dict[str, Any]) -> str:
    """What makes a picture and its foreground what they are, but the row."""
    return digest(
        [schema.VERSION, decode.VERSION, identity["orientation"], identity["preprocessing"]],
        _ground(identity),
    )


def numeric_policy(attribution: AttributionSettings) -> dict[str, str]:
    """How numbers are computed; the device that happened to do it is no part of it."""
    return {"dtype": "float32", "memory_format": attribution.memory_format}


def count_shards(run: RunFolder) -> int:
    """The catalog is written with one row group a shard."""
    count: int = _footer(run.catalog, *stamps([str(run.catalog)])).num_row_groups
    return count


def read_shard(run: RunFolder, shard: int) -> pa.Table:
    """The catalog's rows of one shard, in our own columns."""
    footer = _footer(run.catalog, *stamps([str(run.catalog)]))
    return open_parquet(run.catalog, footer).read_row_group(shard, columns=schema.CATALOG.names)


@lru_cache(maxsize=4)
def _footer(path: UPath, _: str) -> pq.FileMetaData:
    """Parsed once in a process: it grows with the shards, and every shard needs it."""
    return read_footer(path)


def marks_of(job: Job, table: pa.Table) -> dict[str, Mark]:
    """Every part that this job wants of a shard's catalog rows, by stage, with its mark."""
    rows = digest(table.to_pydict())
    return {
        stage: Mark(specification, digest(specification, rows))
        for stage, specification in specifications(job).items()
    }


def specifications(job: Job) -> dict[str, str]:
    """By stage, what makes its numbers but the rows."""
    identity = job.identity
    read = [schema.VERSION, decode.VERSION, identity["orientation"]]
    model = [identity[key] for key in ("model", "classes", "preprocessing", "numeric")]
    ground = _ground(identity)
    wanted = {
        "predictions": digest(read, model),
        "features": digest(read, model, identity["layer"], ground, features.VERSION),
    }
    if identity["layer"] is None:
        del wanted["features"]
    for method in find_methods(job.attribution.methods):
        name, told = method.name, method.specification
        if isinstance(method, NetworkMethod) and method.surveys:
            told = [*told, job.survey]
        maps = digest(read, model, identity["layer"], identity["target"], told)
        wanted[f"maps/{name}"] = maps
        if has_foreground(identity):
            wanted[f"scores/{name}"] = digest(maps, ground, job.donors, map_scores.VERSION)
        if job.comparison is not None:
            wanted[f"merits/{name}"] = digest(maps, ground, faithfulness.VERSION)
            wanted[f"trials/{name}"] = digest(maps, sanity.VERSION, job.comparison.tested)
    if job.donors is not None and job.interventions is not None:
        done = [intervene.VERSION, interventions.VERSION, job.donors, job.interventions.done]
        wanted["interventions"] = digest(read, model, ground, done)
    if identity["estimator"] is not None:
        wanted["foregrounds"] = digest(read, identity["preprocessing"], ground)
        wanted |= _estimated(wanted)
    return wanted


def _estimated(wanted: dict[str, str]) -> dict[str, str]:
    """Stages in which the foregrounds of annotated images are estimated too, to judge estimates."""
    judged = [stage for stage in wanted if stage.startswith(("scores/", "interventions"))]
    return {f"estimated/{stage}": digest("estimated", wanted[stage]) for stage in judged}


def donor_predictions_mark(job: Job) -> Mark | None:
    """Of what the donors say by themselves; None without donors."""
    if job.donors is None:
        return None
    model = [job.identity[key] for key in ("model", "classes", "preprocessing", "numeric")]
    said = digest(intervene.VERSION, interventions.VERSION, model, job.donors)
    return Mark(said, said)


def _ground(identity: dict[str, Any]) -> list[Any]:
    drawn = [foreground.VERSION, identity["foreground"], identity["polarity"]]
    return [*drawn, identity["estimator"]]
