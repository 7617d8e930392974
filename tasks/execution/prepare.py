"""The beginning of a run: the catalog, checked against the model, and the run folder."""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from models.addresses import write_atomically
from models.classifier.classifier import BUNDLE, Classifier, load_classifier, save_bundle
from models.classifier.mlflow_models import FetchedModel
from models.classifier.settings import ModelSettings
from models.errors import UserError
from models.methods.maps import check_methods
from models.methods.registry import find_methods
from models.network.grid import Grid
from tasks import schema
from tasks.attribution.fingerprints import identity_of, reading_digest
from tasks.attribution.job import reader_of
from tasks.attribution.layer_statistics import keep_survey, surveyed_layers
from tasks.attribution.reuse import plan_reuse, previous_run
from tasks.attribution.settings import AuditRequest
from tasks.catalog.catalog import check_catalog, make_catalog
from tasks.interventions.donors import (
    SPECIFICATION,
    choose_donors,
    donors_mark,
    named_pool,
    specification_of,
    take_pool,
)
from tasks.runs.folder import RunFolder, digest, start_run
from tasks.runs.settings import OutputSettings
from tasks.runs.state import Identity, RunState

log = logging.getLogger("sightline")


def prepare_run(
    asked: AuditRequest, model: FetchedModel, output: OutputSettings, settings: dict[str, Any]
) -> RunFolder:
    """Read the model and list the data; refuse what cannot work; write run.json, the catalog and
    the donor pool. The settings are all of the audit's, for whoever reads the run."""
    classifier = load_classifier(model.settings)
    catalog = make_checked_catalog(asked, classifier)
    identity = identity_of(catalog, classifier, asked)
    run = RunFolder.at(output.folder)
    before = None if output.reuse is None else previous_run(output.reuse, run)
    donors = None
    if exchanges(asked, identity):
        donors = named_pool(asked.interventions, _specification(asked, identity), run)
    state = RunState(
        sightline=version("sightline"),
        settings=settings | asked.sections(),
        classes=classifier.classes,
        state="running",
        reuse=None if before is None else str(before.path),
        schema_version=schema.VERSION,
        identity=identity,
    )
    state = start_run(run, state, replace=output.replace)
    _keep_model(run, state, model, classifier)
    with write_atomically(run.catalog) as file:
        pq.write_table(catalog, file, row_group_size=asked.attribution.shard_size)
    if before is not None:
        plan_reuse(run, before, catalog, asked.attribution.shard_size)
    keep_donors(run, asked, identity, catalog, donors or before)
    plan_survey(run, asked, identity, catalog, before)
    return run


def keep_donors(
    run: RunFolder,
    asked: AuditRequest,
    identity: Identity,
    catalog: pa.Table,
    other: RunFolder | None = None,
) -> None:
    """The run's donor pool: what is there, another run's, or a new one; none where nothing is
    exchanged, and then nothing stays of exchanges that were asked for before."""
    if not exchanges(asked, identity):
        run.forget_interventions()
        return
    wanted = _specification(asked, identity)
    if asked.interventions.donors is None and donors_mark(run, SPECIFICATION) == wanted:
        return
    if other is not None and donors_mark(other, SPECIFICATION) == wanted:
        take_pool(run, other)
    else:
        reader = reader_of(identity, asked.foreground)
        choose_donors(run, catalog, asked.interventions, reader, wanted)


def exchanges(asked: AuditRequest, identity: Identity) -> bool:
    """Are objects put on other backgrounds?"""
    return asked.interventions.choice != "none" and identity.has_foreground


def plan_survey(
    run: RunFolder,
    asked: AuditRequest,
    identity: Identity,
    catalog: pa.Table,
    other: RunFolder | None = None,
) -> None:
    """Draw the images of the survey, where a method needs one, or take another run's."""
    if surveyed_layers(find_methods(asked.attribution.methods), identity.layer):
        preprocessing = identity.preprocessing.model_dump(mode="json")
        specification = digest(identity.model, reading_digest(identity, preprocessing))
        keep_survey(run, catalog, specification, other)


def _specification(asked: AuditRequest, identity: Identity) -> str:
    """Donors are kept as they are read; a model's mean and deviation come after."""
    return specification_of(asked.interventions, reading_digest(identity, identity.geometry))


def _keep_model(
    run: RunFolder, state: RunState, model: FetchedModel, classifier: Classifier
) -> None:
    """Tell workers where the model lies; one from MLflow stays in the run folder for them."""
    settings = model.settings
    if model.origin:
        if not (run.model / BUNDLE).is_file():  # another model has another identity
            save_bundle(run.model, classifier)
        settings = ModelSettings(address=str(run.model), allow_factory=settings.allow_factory)
    run.write_state(state.change(model=settings, model_origin=model.origin))


def _shuffle(catalog: pa.Table) -> pa.Table:
    """In an order that has nothing to do with classes: whole shards are tried and shown."""
    return catalog.take(np.random.default_rng(0).permutation(len(catalog)))


def _describe_layer(grid: Grid | None) -> str:
    if grid is None:
        return "no layer with cells"
    return f"maps from layer {grid.layer} ({grid.rows}x{grid.columns} cells)"


def make_checked_catalog(asked: AuditRequest, classifier: Classifier) -> pa.Table:
    """The catalog, with all that can be known before the first image is computed said aloud."""
    data, attribution = asked.data, asked.attribution
    log.info(
        "model: %s, %d classes, %s, pictures %s",
        classifier.architecture,
        len(classifier.classes),
        _describe_layer(classifier.grid),
        classifier.preprocessing.describe(),
    )
    example_BCHW = torch.zeros(1, 3, *classifier.preprocessing.size)
    methods = find_methods(attribution.methods)
    check_methods(methods, classifier.network, classifier.grid, example_BCHW)
    catalog = make_catalog(data, classifier.classes)
    if asked.comparison is not None:
        catalog = _shuffle(catalog)
    unlabelled = catalog["label"].null_count
    if attribution.target == "label" and unlabelled:
        raise UserError(
            f"target label needs a label for each image; {unlabelled} of {len(catalog)} have none: "
            "label them, or use --target prediction"
        )
    marked = pc.sum(pc.or_(catalog["masks"].is_valid(), catalog["regions"].is_valid())).as_py()
    log.info(
        "data: %s images, %s with a label, %s with a foreground",
        *(f"{n:,}" for n in (len(catalog), len(catalog) - unlabelled, marked)),
    )
    for warning in check_catalog(catalog, data):
        log.warning(warning)
    return catalog
