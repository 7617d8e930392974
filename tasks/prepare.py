"""The beginning of a run: the catalog, checked against the model, and the run folder."""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from models.architectures import ModelSettings
from models.classifier import Classifier, load_classifier
from tasks.catalog import CatalogMistake, DataSettings, check_catalog, make_catalog
from tasks.places import writing
from tasks.shard import AttributionSettings, identity_of
from tasks.store import OutputSettings, RunFolder, start_run

log = logging.getLogger("sightline")


def prepare_run(
    data: DataSettings,
    model: ModelSettings,
    attribution: AttributionSettings,
    output: OutputSettings,
    settings: dict[str, Any],
) -> RunFolder:
    """Read the model and list the data; refuse what cannot work; write run.json and the catalog."""
    classifier = load_classifier(model)
    catalog = checked_catalog(data, classifier, attribution)
    run = start_run(
        output,
        identity_of(catalog, classifier, data, attribution),
        sightline=version("sightline"),
        settings=settings,
        classes=classifier.classes,
        state="running",
    )
    with writing(run.catalog) as file:
        pq.write_table(catalog, file, row_group_size=attribution.shard_size)
    return run


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
    catalog = make_catalog(data, classifier.classes)
    unlabelled = catalog["label"].null_count
    if attribution.target == "label" and unlabelled:
        raise CatalogMistake(
            f"target label needs a label for each image; {unlabelled} of {len(catalog)} have none: "
            "label them, or use --target prediction"
        )
    log.info(
        "data: %s images, %s with a label, %s with a mask",
        *(f"{n:,}" for n in (len(catalog), len(catalog) - unlabelled)),
        f"{len(catalog) - catalog['masks'].null_count:,}",
    )
    for warning in check_catalog(catalog, data):
        log.warning(warning)
    return catalog
