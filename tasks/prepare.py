"""The beginning of a run: the catalog, checked against the model, and the run folder."""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from models.architectures import ModelSettings
from models.classifier import BUNDLE, Classifier, load_classifier, save_bundle
from models.methods import check_methods, find_methods
from models.registered import Fetched
from tasks.catalog import CatalogMistake, DataSettings, check_catalog, make_catalog
from tasks.places import writing
from tasks.reuse import plan_reuse, previous_run
from tasks.shard import AttributionSettings, identity_of
from tasks.store import OutputSettings, RunFolder, start_run

log = logging.getLogger("sightline")


def prepare_run(
    data: DataSettings,
    model: Fetched,
    attribution: AttributionSettings,
    output: OutputSettings,
    settings: dict[str, Any],
) -> RunFolder:
    """Read the model and list the data; refuse what cannot work; write run.json and the catalog."""
    classifier = load_classifier(model.settings)
    catalog = checked_catalog(data, classifier, attribution)
    target = RunFolder.at(output.folder)
    before = None if output.reuse is None else previous_run(output.reuse, target)
    run = start_run(
        output,
        identity_of(catalog, classifier, data, attribution),
        sightline=version("sightline"),
        settings=settings,
        classes=classifier.classes,
        state="running",
        reuse=None if before is None else str(before.path),
    )
    _keep_model(run, model, classifier)
    with writing(run.catalog) as file:
        pq.write_table(catalog, file, row_group_size=attribution.shard_size)
    if before is not None:
        plan_reuse(run, before)
    return run


def _keep_model(run: RunFolder, model: Fetched, classifier: Classifier) -> None:
    """Tell workers where the model lies; one from MLflow stays in the run folder for them."""
    settings = model.settings
    if model.origin:
        folder = run.path / "model"
        if not (folder / BUNDLE).is_file():  # another model has another identity
            save_bundle(folder, classifier)
        settings = ModelSettings(address=str(folder), allow_factory=settings.allow_factory)
    run.update_state(model=settings.model_dump(mode="json"), model_origin=model.origin)


def checked_catalog(
    data: DataSettings, classifier: Classifier, attribution: AttributionSettings
) -> pa.Table:
    """The catalog, with all that can be known before the first image is computed said aloud."""
    log.info(
        "model: %s, %d classes, maps from layer %s (%dx%d cells), pictures %s",
        classifier.architecture,
        len(classifier.classes),
        classifier.layer,
        *classifier.cells,
        classifier.preprocessing.told(),
    )
    example_BCHW = torch.zeros(1, 3, *classifier.preprocessing.size)
    methods = find_methods(attribution.methods)
    check_methods(methods, classifier.network, classifier.grid, example_BCHW)
    catalog = make_catalog(data, classifier.classes)
    unlabelled = catalog["label"].null_count
    if attribution.target == "label" and unlabelled:
        raise CatalogMistake(
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
