"""What determines the numbers of a part: the run's identity and each stage's specification."""

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
from tasks.attribution import attended_background, map_scores
from tasks.attribution.job import Job
from tasks.attribution.settings import AuditRequest
from tasks.catalog.catalog import foreground_source
from tasks.interventions import intervene
from tasks.pictures import decode, foreground, properties
from tasks.pictures.estimator import load_estimator
from tasks.pictures.rows import ROW
from tasks.runs.folder import Mark, digest
from tasks.runs.stages import (
    ATTENDED_BACKGROUND,
    FAITHFULNESS,
    FEATURES,
    FOREGROUNDS,
    INTERVENTIONS,
    MAPS,
    PICTURE_PROPERTIES,
    PREDICTIONS,
    SANITY,
    SCORES,
    Stage,
)
from tasks.runs.state import Identity, numeric_policy


def identity_of(catalog: pa.Table, classifier: Classifier, request: AuditRequest) -> Identity:
    """Of a run of this request, by this model, on this catalog."""
    data, attribution = request.data, request.attribution
    estimator = load_estimator(request.foreground, classifier.preprocessing.size)
    return Identity(
        catalog=digest_catalog(catalog, attribution.shard_size),
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


def digest_catalog(catalog: pa.Table, shard_size: int) -> str:
    """A name for what the rows are, shard by shard."""
    rows, starts = catalog.select(ROW), range(0, len(catalog), shard_size)
    return digest(*(digest(rows.slice(start, shard_size).to_pydict()) for start in starts))


def reading_digest(identity: Identity, preprocessing: Mapping[str, Any]) -> str:
    """What determines a picture and its foreground, besides the row."""
    return digest([*_reading_fields(identity), preprocessing], _foreground_fields(identity))


def marks_of(stages: Mapping[Stage, str], table: pa.Table) -> dict[Stage, Mark]:
    """By stage, given with its specification, the mark of a part for a shard's catalog rows."""
    rows = digest(table.to_pydict())
    return {
        stage: Mark(specification, digest(specification, rows))
        for stage, specification in stages.items()
    }


def specifications(job: Job) -> dict[Stage, str]:
    """By stage, the digest of what determines its numbers, besides the rows."""
    identity = job.identity
    reading, model = _reading_fields(identity), _model_fields(identity)
    marking = _foreground_fields(identity)
    digests = {PREDICTIONS: digest(reading, model)}
    if identity.layer is not None:
        digests[FEATURES] = digest(reading, model, identity.layer, marking, features.VERSION)
    for method in find_methods(job.attribution.methods):
        digests |= _of_method(job, method)
    if job.donors is not None and job.interventions is not None:
        changes = [
            *(intervene.VERSION, interventions.VERSION),
            *(job.donors, job.interventions.identity),
        ]
        digests[INTERVENTIONS] = digest(reading, model, marking, changes)
    if job.patterns_method is not None:
        digests[PICTURE_PROPERTIES] = digest(reading, identity.geometry, properties.VERSION)
    if identity.estimator is not None:
        preprocessing = identity.preprocessing.model_dump(mode="json")
        digests[FOREGROUNDS] = digest(reading, preprocessing, marking)
        digests |= _of_estimates(digests)
    return digests


def _of_method(job: Job, method: Method) -> dict[Stage, str]:
    """Of its maps, and of what is measured on them."""
    identity, specification = job.identity, method.specification
    marking = _foreground_fields(identity)
    if isinstance(method, NetworkMethod) and method.needs_statistics:
        specification = [*specification, job.statistics_images]
    reading, model = _reading_fields(identity), _model_fields(identity)
    maps = digest(reading, model, identity.layer, identity.target, specification)
    digests = {MAPS: maps}
    if identity.has_foreground:
        digests[SCORES] = digest(maps, marking, job.donors, map_scores.VERSION)
    if job.comparison is not None:
        digests[FAITHFULNESS] = digest(maps, marking, faithfulness.VERSION)
        digests[SANITY] = digest(maps, sanity.VERSION, job.comparison.tested)
    if method.name == job.patterns_method:
        versions = features.VERSION, attended_background.VERSION
        digests[ATTENDED_BACKGROUND] = digest(maps, marking, *versions)
    return {stage.of(method.name): text for stage, text in digests.items()}


def _of_estimates(digests: dict[Stage, str]) -> dict[Stage, str]:
    """Of the stages made from estimates for annotated images too, to evaluate the estimates."""
    evaluated = [stage for stage in digests if stage.is_one_of(SCORES, INTERVENTIONS)]
    return {stage.from_estimates(): digest("estimated", digests[stage]) for stage in evaluated}


def exchange_specification(job: Job) -> str:
    """What determines a picture put on another's background, besides both rows and the way."""
    identity = job.identity
    parts = _reading_fields(identity), _model_fields(identity), _foreground_fields(identity)
    return digest(interventions.VERSION, *parts)


def donor_predictions_mark(job: Job) -> Mark | None:
    """Of the part with the donors' predictions; None without donors."""
    if job.donors is None or job.interventions is None:
        return None
    specification = digest(
        *(intervene.VERSION, interventions.VERSION),
        *(_model_fields(job.identity), job.donors, job.interventions.fill),
    )
    return Mark(specification, specification)


def _reading_fields(identity: Identity) -> list[Any]:
    """What determines a picture, besides its file."""
    return [schema.VERSION, decode.VERSION, identity.orientation]


def _model_fields(identity: Identity) -> list[Any]:
    """What determines the model's output for a picture."""
    return list(identity.as_json("model", "classes", "preprocessing", "numeric").values())


def _foreground_fields(identity: Identity) -> list[Any]:
    """What determines the foreground, besides its file."""
    return [foreground.VERSION, identity.foreground, identity.polarity, identity.estimator]
