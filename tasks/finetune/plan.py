"""From settings to a training: the images to train on, those that choose the epoch, and the
identity by which a killed training is recognised."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from models.classifier.classifier import Classifier
from models.errors import UserError, printable
from models.network.grid import Grid
from models.network.layers import cached_grid
from models.objectives.registry import find_objective
from models.objectives.step import Objective
from tasks.catalog.catalog import check_catalog, make_catalog
from tasks.catalog.settings import DataSettings
from tasks.finetune.checkpoint import Checkpoints
from tasks.finetune.images import (
    OnPicture,
    TrainingImages,
    check_training_images,
    count_ungrouped,
    read_training_images,
)
from tasks.finetune.loop import Training
from tasks.finetune.settings import FinetuneSettings, LearningSettings, TrainingRequest
from tasks.finetune.training_patterns import (
    TrainingPattern,
    identity_of,
    read_training_patterns,
)
from tasks.finetune.validation import HeldOut
from tasks.interventions.foreground_areas import LARGEST_DONOR_FOREGROUND
from tasks.pictures.estimator import load_estimator
from tasks.pictures.rows import ROW
from tasks.pictures.samples import MaskReading, Reader
from tasks.runs.folder import digest
from tasks.schema import GROUP_COLUMN

log = logging.getLogger("sightline")


@dataclass(frozen=True)
class Catalogs:
    """The images to train on, to choose the epoch by and to audit, a row per image."""

    training: pa.Table
    validation: pa.Table
    audited: pa.Table


@dataclass(frozen=True)
class TrainingPlan:
    """A training before its images are read, with its identity."""

    classifier: Classifier
    catalogs: Catalogs
    objective: Objective
    recipe: FinetuneSettings
    reader: Reader
    group_column: str
    checkpoints: Checkpoints
    training_id: str  # the same however often the training is killed and continued
    patterns: tuple[TrainingPattern, ...] = ()


def plan_training(
    classifier: Classifier, request: TrainingRequest, folder: Path, *, replace: bool = False
) -> TrainingPlan:
    """Refuse what cannot work before the first image is read; `replace` another training."""
    data, learning, recipe = request.data, request.learning, request.recipe
    group_column = data.group_column or GROUP_COLUMN
    named = find_objective(recipe.objective)
    catalogs = _make_catalogs(classifier.classes, data, learning)
    reader = Reader(
        classifier.preprocessing,
        MaskReading(data.polarity, data.orientation),
        load_estimator(request.foreground, classifier.preprocessing.size),
    )
    _check_request(named.objective, recipe, catalogs.training, reader, group_column)
    patterns: tuple[TrainingPattern, ...] = ()
    if request.patterns_run is not None:
        patterns = read_training_patterns(request.patterns_run, catalogs.training)
    settings = recipe.model_dump() | {"objective": named.name}
    identity = digest(
        classifier.digest,
        [digest_of_rows(catalogs.training), digest_of_rows(catalogs.validation)],
        [data.polarity, data.orientation, reader.estimator and reader.estimator.digest],
        [classifier.preprocessing.model_dump(mode="json"), classifier.classes, classifier.layer],
        [*(_groups(it, group_column) for it in (catalogs.training, catalogs.validation)), settings],
        *([identity_of(patterns)] if patterns else []),
    )
    checkpoints = Checkpoints(folder, identity)
    return TrainingPlan(
        classifier,
        catalogs,
        named.objective,
        recipe,
        reader,
        group_column,
        checkpoints,
        checkpoints.training_id(replace=replace),
        patterns,
    )


def prepare_training(plan: TrainingPlan, on_picture: OnPicture | None = None) -> Training:
    """Read the images; refuse those that nothing can be learnt from."""
    classifier = plan.classifier
    images = _read_images(plan, plan.catalogs.training, on_picture, plan.patterns)
    _check_images(plan, images)
    held_out = None
    validation = _read_images(plan, plan.catalogs.validation).labelled()
    if len(validation):
        held_out = HeldOut(validation, classifier.preprocessing, classifier.device)
        held_out.figure_for(plan.recipe.choose)
    return Training(
        classifier.network,
        classifier.preprocessing,
        images,
        plan.objective,
        plan.recipe,
        tuple(_find_grid(classifier, layer) for layer in plan.objective.layers),
        held_out,
        plan.checkpoints,
        classifier.grid,
    )


def _check_images(plan: TrainingPlan, images: TrainingImages) -> None:
    check_training_images(images, plan.classifier.classes, "the training images")
    if plan.objective.needs_masks and not images.known_N.any():
        raise _no_foregrounds(plan.recipe, len(images))
    if plan.objective.exchanges and not len(images.donor_rows()):
        raise UserError(
            f"objective {plan.recipe.objective} puts objects on other images' backgrounds, and no "
            f"foreground of {len(images):,} training images leaves one (over "
            f"{LARGEST_DONOR_FOREGROUND:.0%} of the picture, or empty): give tighter masks, or "
            "--objective erm"
        )
    artefacts = any(it.region is not None for it in images.patterns)
    if images.patterns and not artefacts and not plan.objective.exchanges:
        raise UserError(
            f"objective {plan.recipe.objective} exchanges no backgrounds, and none of the "
            f"{len(images.patterns)} confirmed patterns is a compact artefact: choose --objective "
            "swap or sib, or leave --donors-from out"
        )
    unlabelled = int((images.label_N < 0).sum())
    if plan.recipe.start == "scratch" and unlabelled:
        raise UserError(
            f"{unlabelled:,} of {len(images):,} training images have no label, and new weights "
            "have no predictions to keep: label them, or leave --start scratch out"
        )


def _no_foregrounds(recipe: FinetuneSettings, images: int) -> UserError:
    return UserError(
        f"objective {recipe.objective} needs foregrounds, and none of {images:,} training images "
        "has one: give --masks or --annotations, --foreground estimate, or another --objective "
        "such as erm"
    )


def _make_catalogs(
    classes: tuple[str, ...], data: DataSettings, learning: LearningSettings
) -> Catalogs:
    """Three disjoint catalogs: no image that is validated or audited is trained on."""
    audited = make_catalog(data, classes)
    training_data = learning.data(data, learning.train_split)
    training = make_catalog(training_data, classes)
    _refuse_shared(training, audited, "audited images are training images")
    if learning.validation_split is None:
        training, validation = _hold_out(training, learning.validation_share)
    else:
        validation = make_catalog(learning.data(data, learning.validation_split), classes)
        _refuse_shared(validation, audited, "audited images are validation images")
        _refuse_shared(training, validation, "validation images are training images")
    for warning in check_catalog(training, training_data):
        log.warning(warning)
    return Catalogs(training, validation, audited)


def _hold_out(catalog: pa.Table, share: float) -> tuple[pa.Table, pa.Table]:
    """Hold out a share of each label, chosen by the keys alone, whatever the order of the rows."""
    order = np.argsort([digest(key) for key in catalog["row_id"].to_pylist()], kind="stable")
    labels = np.asarray(pc.fill_null(catalog["label"], "").to_pylist(), dtype=object)[order]
    held_out = np.zeros(len(catalog), dtype=bool)
    for name in set(labels):
        of_label = order[labels == name]
        held_out[of_label[: int(share * len(of_label))]] = True
    return catalog.filter(pa.array(~held_out)), catalog.filter(pa.array(held_out))


def _refuse_shared(catalog: pa.Table, other: pa.Table, overlap: str) -> None:
    shared = catalog["image"].filter(pc.is_in(catalog["image"], value_set=other["image"]))
    if len(shared):
        raise UserError(
            f"{len(shared):,} of the {overlap} too (first: {printable(shared[0].as_py())}), and "
            "would be judged from memory: name other ones with --train, --train-split, "
            "--validation-split or --split"
        )


def _check_request(
    objective: Objective, recipe: FinetuneSettings, catalog: pa.Table, reader: Reader, group: str
) -> None:
    annotated = pc.any(pc.or_(catalog["masks"].is_valid(), catalog["regions"].is_valid())).as_py()
    if objective.needs_masks and not annotated and reader.estimator is None:
        raise _no_foregrounds(recipe, len(catalog))
    if objective.needs_groups and group not in catalog.column_names:
        raise UserError(
            f"objective {recipe.objective} needs a column that names each image's group, and the "
            f"table has none called {group!r}: name it with --group-column, or choose another "
            "--objective"
        )
    ungrouped = count_ungrouped(catalog, group)
    if objective.needs_groups and ungrouped:
        raise UserError(
            f"objective {recipe.objective} needs each image's group, and {ungrouped:,} of "
            f"{len(catalog):,} training images have none in the column {group!r}: fill it, drop "
            "these rows, or choose another --objective"
        )
    if recipe.precision == "bfloat16" and not torch.cuda.is_available():
        raise UserError("--precision bfloat16 needs a GPU, and there is none here: leave it out")


def _read_images(
    plan: TrainingPlan,
    catalog: pa.Table,
    on_picture: OnPicture | None = None,
    patterns: Sequence[TrainingPattern] = (),
) -> TrainingImages:
    return read_training_images(
        catalog,
        plan.classifier.classes,
        plan.reader,
        plan.checkpoints.folder,
        group_column=plan.group_column,
        patterns=patterns,
        on_picture=on_picture,
    )


def _find_grid(classifier: Classifier, layer: str) -> Grid:
    if layer:
        return cached_grid(classifier.network, layer, classifier.preprocessing.size)
    if classifier.grid is None:
        raise UserError(
            "the objective reads a layer with cells, and none was found in the model: name one "
            "with --layer, or choose another --objective such as swap"
        )
    return classifier.grid


def _groups(catalog: pa.Table, column: str) -> list[object] | None:
    return catalog[column].to_pylist() if column in catalog.column_names else None


def digest_of_rows(catalog: pa.Table) -> str:
    """Digest of all columns that a training reads."""
    return digest(catalog.select([*ROW, "stamp"]).to_pydict())
