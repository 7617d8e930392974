"""The start of a run: the catalog, checked against the model, and the run folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch

from models.classifier.classifier import Classifier, load_classifier, save_bundle
from models.classifier.mlflow_models import FetchedModel
from models.classifier.settings import ModelSettings
from models.classifier.trial import check_answers
from models.errors import UserError, list_names
from models.methods.maps import check_methods, needs_default_layer
from models.methods.registry import Method, find_methods
from models.network.grid import Grid
from models.network.layers import check_cells
from tasks import schema
from tasks.attribution.fingerprints import identity_of, reading_digest
from tasks.attribution.job import reader_of
from tasks.attribution.layer_statistics import keep_statistics_images, layers_with_statistics
from tasks.attribution.reuse import plan_reuse, previous_run
from tasks.attribution.settings import AuditRequest
from tasks.catalog.catalog import check_catalog, list_data
from tasks.catalog.class_groups import read_class_groups
from tasks.catalog.listing import Listing
from tasks.execution.check_preprocessing import check_preprocessing
from tasks.execution.early_checks import catalog_of
from tasks.execution.finished_runs import read_model_stamps
from tasks.interventions.donors import PoolChoice, choose_donors
from tasks.interventions.pool_files import copy_pool, donor_specification, find_named_pool
from tasks.pictures.settings import ANNOTATED
from tasks.runs.contents import forget_interventions
from tasks.runs.folder import RunFolder, digest
from tasks.runs.settings import OutputSettings
from tasks.runs.start import start_run
from tasks.runs.state import Identity, RunState
from tasks.storage.parquet import write_table

log = logging.getLogger("sightline")

NO_FOREGROUND = (
    "no image has a foreground, so nothing can be flagged: name masks with --mask-column or "
    "--masks, boxes with --box-columns or --annotations, or use --foreground estimate"
)


@dataclass(frozen=True)
class CheckedRun:
    """What a run will be: its request, checked against the model and the data. Nothing is written.

    The settings are those of the whole audit: run.json keeps them to reproduce it.
    """

    request: AuditRequest
    model: FetchedModel
    classifier: Classifier
    catalog: pa.Table
    identity: Identity
    settings: dict[str, Any]
    class_groups: schema.ClassGroups | None


def prepare_run(
    request: AuditRequest, model: FetchedModel, output: OutputSettings, settings: dict[str, Any]
) -> RunFolder:
    """Check the request, and start its run."""
    return start_checked(check_run(request, model, settings), output)


def check_run(
    request: AuditRequest,
    model: FetchedModel,
    settings: dict[str, Any],
    listing: Listing | None = None,
) -> CheckedRun:
    """Read the model, list the data, and check both."""
    classifier = load_classifier(model.settings)
    catalog = make_checked_catalog(request, classifier, listing)
    identity = identity_of(catalog, classifier, request)
    return CheckedRun(
        *(request, model, classifier, catalog, identity, settings | request.sections()),
        class_groups=_class_groups(request, classifier.classes),
    )


def _class_groups(request: AuditRequest, classes: tuple[str, ...]) -> schema.ClassGroups | None:
    """The groups that a file names; only figures of the finished run depend on them."""
    address = request.data.class_groups
    if address is None:
        return None
    groups = read_class_groups(address, classes)
    log.info("classes: %s: %s", groups.describe(), list_names(groups.names))
    return groups


def start_checked(checked: CheckedRun, output: OutputSettings) -> RunFolder:
    """Write what workers need to the run folder, or continue the run there."""
    request, catalog, identity = checked.request, checked.catalog, checked.identity
    run = RunFolder.at(output.folder)
    before = None if output.reuse is None else previous_run(output.reuse, run)
    donors = None
    if exchanges(request, identity):
        specification = _pool_choice(request, identity).specification
        donors = find_named_pool(request.interventions, specification, run)
    state = RunState(
        sightline=version("sightline"),
        flag_rule=schema.FLAG_RULE,
        settings=checked.settings,
        classes=checked.classifier.classes,
        class_groups=checked.class_groups,
        state="running",
        reuse=None if before is None else str(before.path),
        schema_version=schema.VERSION,
        identity=identity,
        model_stamps={}
        if checked.model.origin
        else read_model_stamps(request, checked.model.settings),
    )
    state = start_run(run, state, replace=output.replace)
    state = _with_warnings(state, catalog, checked.classifier)
    _keep_model(run, state, checked.model, checked.classifier)
    write_table(run.catalog, catalog, request.attribution.shard_size)
    if before is not None:
        plan_reuse(run, before, catalog, request.attribution.shard_size)
    keep_donors(run, request, identity, catalog, donors or before)
    plan_layer_statistics(run, request, identity, catalog, before)
    return run


def _with_warnings(state: RunState, catalog: pa.Table, classifier: Classifier) -> RunState:
    """Check the preprocessing once per run, and say what was found."""
    if state.warnings is None:
        warning = check_preprocessing(catalog, classifier, state.identity.orientation)
        state = state.change(warnings=() if warning is None else (warning,))
    for warning in state.warnings or ():
        log.warning(warning)
    return state


def keep_donors(
    run: RunFolder,
    request: AuditRequest,
    identity: Identity,
    catalog: pa.Table,
    other: RunFolder | None = None,
) -> None:
    """Keep the run's donor pool, copy another run's, or choose a new one.

    Where nothing is exchanged, exchanges of an earlier try are deleted.
    """
    if not exchanges(request, identity):
        forget_interventions(run)
        return
    choice = _pool_choice(request, identity)
    if request.interventions.donors is None and donor_specification(run) == choice.specification:
        return
    if other is not None and donor_specification(other) == choice.specification:
        copy_pool(run, other)
    else:
        choose_donors(run, catalog, choice, reader_of(identity, request.foreground))


def exchanges(request: AuditRequest, identity: Identity) -> bool:
    """Does this audit put objects on other backgrounds?"""
    return request.interventions.choice != "none" and identity.has_foreground


def plan_layer_statistics(
    run: RunFolder,
    request: AuditRequest,
    identity: Identity,
    catalog: pa.Table,
    other: RunFolder | None = None,
) -> None:
    """Choose the images of layer statistics where a method needs them, or copy another run's."""
    if layers_with_statistics(find_methods(request.attribution.methods), identity.layer):
        preprocessing = identity.preprocessing.model_dump(mode="json")
        specification = digest(identity.model, reading_digest(identity, preprocessing))
        keep_statistics_images(run, catalog, specification, other)


def _pool_choice(request: AuditRequest, identity: Identity) -> PoolChoice:
    """Of the donors, which are stored before a model's mean and deviation apply."""
    reading = reading_digest(identity, identity.geometry)
    if identity.estimator is None:
        return PoolChoice(request.interventions, reading)
    return PoolChoice(request.interventions, reading, request.foreground.donor_confidence)


def _keep_model(
    run: RunFolder, state: RunState, model: FetchedModel, classifier: Classifier
) -> None:
    """Write the model's address to run.json; a model from MLflow is saved in the run folder."""
    settings = model.settings
    if model.origin:
        save_bundle(run.model, classifier)  # again, since an earlier one may be damaged
        settings = ModelSettings(address=str(run.model), allow_factory=settings.allow_factory)
    run.write_state(state.change(model=settings, model_origin=model.origin))


def _describe_layer(grid: Grid | None) -> str:
    if grid is None:
        return "no layer with cells"
    return f"maps from layer {grid.layer} ({grid.rows}x{grid.columns} cells)"


def _check_classifier(
    classifier: Classifier, methods: Sequence[Method], example_BCHW: torch.Tensor
) -> Iterator[str]:
    """Warnings about how the network answers, and about its layer."""
    network, grid = classifier.network, classifier.grid
    if ".py:" in classifier.architecture:  # a user's own code may do anything
        yield from check_answers(network, classifier.preprocessing.size, classifier.architecture)
    if grid is not None and any(map(needs_default_layer, methods)):
        yield from check_cells(network, grid, example_BCHW)


def make_checked_catalog(
    request: AuditRequest, classifier: Classifier, listing: Listing | None = None
) -> pa.Table:
    """The catalog, with every check that is possible before the first image is computed."""
    data, attribution = request.data, request.attribution
    log.info(
        "model: %s, %d classes, %s, pictures %s",
        classifier.architecture,
        len(classifier.classes),
        _describe_layer(classifier.grid),
        classifier.preprocessing.describe(),
    )
    example_BCHW = torch.zeros(1, 3, *classifier.preprocessing.size)
    methods = find_methods(attribution.methods)
    for warning in _check_classifier(classifier, methods, example_BCHW):
        log.warning(warning)
    check_methods(methods, classifier.network, classifier.grid, example_BCHW)
    catalog = catalog_of(request, classifier.classes, listing or list_data(data))
    unlabelled = catalog["label"].null_count
    if attribution.target == "label" and unlabelled:
        raise UserError(
            f"target label needs a label for each image; {unlabelled} of {len(catalog)} have none: "
            "label them, or use --target prediction"
        )
    annotated = pc.sum(pc.or_(catalog["masks"].is_valid(), catalog["regions"].is_valid())).as_py()
    log.info(
        "data: %s images, %s with a label, %s with a foreground",
        *(f"{n:,}" for n in (len(catalog), len(catalog) - unlabelled, annotated)),
    )
    if not annotated and request.foreground.source == ANNOTATED:
        log.warning(NO_FOREGROUND)
    for warning in check_catalog(catalog, data):
        log.warning(warning)
    return catalog
