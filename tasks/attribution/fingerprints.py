"""What makes the numbers of a part: the run's identity, and the specification of each stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from models import interventions
from models.classifier.classifier import Classifier
from models.map_quality import faithfulness, sanity
from models.methods.registry import Method, NetworkMethod, find_methods
from models.network import features
from tasks import schema
from tasks.attribution import map_scores
from tasks.attribution.job import Job
from tasks.attribution.settings import AuditRequest
from tasks.catalog.catalog import foreground_source
from tasks.interventions import intervene
from tasks.pictures import decode, foreground
from tasks.pictures.estimator import load_estimator
from tasks.pictures.samples import ROW
from tasks.runs.folder import Mark, digest
from tasks.runs.stages import (
    FAITHFULNESS,
    FEATURES,
    FOREGROUNDS,
    INTERVENTIONS,
    MAPS,
    PREDICTIONS,
    SANITY,
    SCORES,
    Stage,
)
from tasks.runs.state import Identity, numeric_policy


def identity_of(catalog: pa.Table, classifier: Classifier, asked: AuditRequest) -> Identity:
    """What makes two runs the same: any other value gives other numbers or other parts."""
    data, attribution = asked.data, asked.attribution
    estimator = load_estimator(asked.foreground, classifier.preprocessing.size)
    shards = range(0, len(catalog), attribution.shard_size)
    rows = catalog.select(ROW)
    return Identity(
        catalog=digest(
            *(digest(rows.slice(start, attribution.shard_size).to_pydict()) for start in shards)
        ),
        model=classifier.digest,
        classes=digest(classifier.classes),
        preprocessing=classifier.preprocessing,
        layer=classifier.layer,
        target=attribution.target,
        foreground=foreground_source(catalog),
        polarity=data.polarity,
        orientation=data.orientation,
        estimator=estimator and estimator.digest,
        numeric=numeric_policy(attribution.memory_format),
        shard_size=attribution.shard_size,
    )


def reading_digest(identity: Identity, preprocessing: Mapping[str, Any]) -> str:
    """What makes a picture and its foreground what they are, but the row."""
    return digest([*_reading(identity), preprocessing], _ground(identity))


def marks_of(job: Job, table: pa.Table) -> dict[Stage, Mark]:
    """Every part that this job wants of a shard's catalog rows, by stage, with its mark."""
    rows = digest(table.to_pydict())
    return {
        stage: Mark(specification, digest(specification, rows))
        for stage, specification in specifications(job).items()
    }


def specifications(job: Job) -> dict[Stage, str]:
    """By stage, what makes its numbers but the rows."""
    identity = job.identity
    read, model, ground = _reading(identity), _model(identity), _ground(identity)
    wanted = {PREDICTIONS: digest(read, model)}
    if identity.layer is not None:
        wanted[FEATURES] = digest(read, model, identity.layer, ground, features.VERSION)
    for method in find_methods(job.attribution.methods):
        wanted |= _of_method(job, method)
    if job.donors is not None and job.interventions is not None:
        done = [intervene.VERSION, interventions.VERSION, job.donors, job.interventions.done]
        wanted[INTERVENTIONS] = digest(read, model, ground, done)
    if identity.estimator is not None:
        wanted[FOREGROUNDS] = digest(read, identity.preprocessing.model_dump(mode="json"), ground)
        wanted |= _of_estimates(wanted)
    return wanted


def _of_method(job: Job, method: Method) -> dict[Stage, str]:
    """Its maps, and what is measured of them."""
    identity, ground, own = job.identity, _ground(job.identity), method.specification
    if isinstance(method, NetworkMethod) and method.needs_statistics:
        own = [*own, job.survey]
    maps = digest(_reading(identity), _model(identity), identity.layer, identity.target, own)
    wanted = {MAPS: maps}
    if identity.has_foreground:
        wanted[SCORES] = digest(maps, ground, job.donors, map_scores.VERSION)
    if job.comparison is not None:
        wanted[FAITHFULNESS] = digest(maps, ground, faithfulness.VERSION)
        wanted[SANITY] = digest(maps, sanity.VERSION, job.comparison.tested)
    return {stage.of(method.name): specification for stage, specification in wanted.items()}


def _of_estimates(wanted: dict[Stage, str]) -> dict[Stage, str]:
    """Stages in which the foregrounds of annotated images are estimated too, to judge estimates."""
    judged = [stage for stage in wanted if stage.is_one_of(SCORES, INTERVENTIONS)]
    return {stage.from_estimates(): digest("estimated", wanted[stage]) for stage in judged}


def donor_predictions_mark(job: Job) -> Mark | None:
    """Of what the donors say by themselves; None without donors."""
    if job.donors is None:
        return None
    said = digest(intervene.VERSION, interventions.VERSION, _model(job.identity), job.donors)
    return Mark(said, said)


def _reading(identity: Identity) -> list[Any]:
    """What makes a picture of its file."""
    return [schema.VERSION, decode.VERSION, identity.orientation]


def _model(identity: Identity) -> list[Any]:
    """What makes the model's answers to a picture."""
    return list(identity.as_json("model", "classes", "preprocessing", "numeric").values())


def _ground(identity: Identity) -> list[Any]:
    """What makes the foreground."""
    return [foreground.VERSION, identity.foreground, identity.polarity, identity.estimator]
