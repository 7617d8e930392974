"""From settings to a training: which pictures are learnt from, which tell the best epoch, and
what the training is, so that a killed one is known again."""

from __future__ import annotations

import logging
from collections.abc import Callable
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
from models.objectives.names import find_objective
from models.objectives.step import Objective
from tasks.catalog.catalog import check_catalog, make_catalog
from tasks.catalog.settings import DataSettings
from tasks.finetune.checkpoint import Checkpoints
from tasks.finetune.images import (
    LARGEST,
    TrainingImages,
    check_training_images,
    read_training_images,
    ungrouped,
)
from tasks.finetune.loop import Training
from tasks.finetune.settings import FinetuneSettings, LearningSettings, TrainingRequest
from tasks.finetune.validation import HeldOut
from tasks.pictures.estimator import load_estimator
from tasks.pictures.samples import ROW, MaskReading, Reader
from tasks.runs.folder import digest

log = logging.getLogger("sightline")


@dataclass(frozen=True)
class Catalogs:
    """What is learnt from, chosen by and audited, a row an image."""

    training: pa.Table
    validation: pa.Table
    audited: pa.Table


@dataclass(frozen=True)
class TrainingPlan:
    """A training before its pictures are read, and what it is known by."""

    classifier: Classifier
    catalogs: Catalogs
    objective: Objective
    recipe: FinetuneSettings
    reader: Reader
    group_column: str
    checkpoints: Checkpoints
    training_id: str  # of this folder's training, however often it was killed


def plan_training(
    classifier: Classifier, wanted: TrainingRequest, folder: Path, *, replace: bool = False
) -> TrainingPlan:
    """Refuse what cannot work before the first picture is read; `replace` another training."""
    data, learning, recipe = wanted.data, wanted.learning, wanted.recipe
    named = find_objective(recipe.objective)
    catalogs = _catalogs(classifier.classes, data, learning)
    reader = Reader(
        classifier.preprocessing,
        MaskReading(data.polarity, data.orientation),
        load_estimator(wanted.foreground, classifier.preprocessing.size),
    )
    _check(named.objective, recipe, catalogs.training, reader, learning.group_column)
    told = recipe.model_dump() | {"objective": named.name}
    identity = digest(
        classifier.digest,
        [digest_of_rows(catalogs.training), digest_of_rows(catalogs.validation)],
        [data.polarity, data.orientation, reader.estimator and reader.estimator.digest],
        [classifier.preprocessing.model_dump(mode="json"), classifier.classes, classifier.layer],
        [_groups(catalogs.training, learning), _groups(catalogs.validation, learning), told],
    )
    checkpoints = Checkpoints(folder, identity)
    return TrainingPlan(
        classifier,
        catalogs,
        named.objective,
        recipe,
        reader,
        learning.group_column,
        checkpoints,
        checkpoints.training_id(replace=replace),
    )


def prepare_training(
    lesson: TrainingPlan, on_picture: Callable[[int, int], None] | None = None
) -> Training:
    """Read the pictures; refuse those that nothing can be learnt from."""
    classifier = lesson.classifier
    training = _album(lesson, lesson.catalogs.training, on_picture)
    _check_album(lesson, training)
    held_out = None
    validation = _labelled(_album(lesson, lesson.catalogs.validation))
    if len(validation):
        held_out = HeldOut(validation, classifier.preprocessing, classifier.device)
        held_out.figure_for(lesson.recipe.choose)
    return Training(
        classifier.network,
        classifier.preprocessing,
        training,
        lesson.objective,
        lesson.recipe,
        tuple(_grid(classifier, layer) for layer in lesson.objective.layers),
        held_out,
        lesson.checkpoints,
        classifier.grid,
    )


def _check_album(lesson: TrainingPlan, training: TrainingImages) -> None:
    check_training_images(training, lesson.classifier.classes, "the training images")
    if lesson.objective.needs_masks and not training.known_N.any():
        raise _no_foregrounds(lesson.recipe, len(training))
    if lesson.objective.exchanges and not len(training.donors()):
        raise UserError(
            f"objective {lesson.recipe.objective} puts objects on other images' backgrounds, and "
            f"no foreground of {len(training):,} training images leaves one (over {LARGEST:.0%} of "
            "the picture, or empty): give masks that are tighter, or --objective erm"
        )
    unlabelled = int((training.label_N < 0).sum())
    if lesson.recipe.start == "scratch" and unlabelled:
        raise UserError(
            f"{unlabelled:,} of {len(training):,} training images have no label, and fresh weights "
            "have no answers to keep: label them, or leave --start scratch out"
        )


def _no_foregrounds(recipe: FinetuneSettings, images: int) -> UserError:
    return UserError(
        f"objective {recipe.objective} needs foregrounds, and none of {images:,} training images "
        "has one: give --masks or --annotations, --foreground estimate, or another --objective "
        "such as erm"
    )


def _catalogs(classes: tuple[str, ...], data: DataSettings, learning: LearningSettings) -> Catalogs:
    """Whatever is judged, by epoch or by audit, is not learnt from."""
    audited = make_catalog(data, classes)
    learnt = learning.data(data, learning.train_split)
    training = make_catalog(learnt, classes)
    _refuse_shared(training, audited, "audited images are training images")
    if learning.validation_split is None:
        training, validation = _divided(training, learning.validation_share)
    else:
        validation = make_catalog(learning.data(data, learning.validation_split), classes)
        _refuse_shared(validation, audited, "audited images are validation images")
        _refuse_shared(training, validation, "validation images are training images")
    for warning in check_catalog(training, learnt):
        log.warning(warning)
    return Catalogs(training, validation, audited)


def _divided(catalog: pa.Table, share: float) -> tuple[pa.Table, pa.Table]:
    """Every so many-th image of each label is held out, in an order that only the keys decide."""
    order = np.argsort([digest(key) for key in catalog["row_id"].to_pylist()], kind="stable")
    labels = np.asarray(pc.fill_null(catalog["label"], "").to_pylist(), dtype=object)[order]
    held = np.zeros(len(catalog), dtype=bool)
    for name in set(labels):
        of_label = order[labels == name]
        held[of_label[: int(share * len(of_label))]] = True
    return catalog.filter(pa.array(~held)), catalog.filter(pa.array(held))


def _refuse_shared(catalog: pa.Table, other: pa.Table, what: str) -> None:
    both = catalog["image"].filter(pc.is_in(catalog["image"], value_set=other["image"]))
    if len(both):
        raise UserError(
            f"{len(both):,} of the {what} too (first: {printable(both[0].as_py())}), and would be "
            "judged from memory: name other ones with --train, --train-split, --validation-split "
            "or --split"
        )


def _check(
    objective: Objective, recipe: FinetuneSettings, catalog: pa.Table, reader: Reader, group: str
) -> None:
    marked = pc.any(pc.or_(catalog["masks"].is_valid(), catalog["regions"].is_valid())).as_py()
    if objective.needs_masks and not marked and reader.estimator is None:
        raise _no_foregrounds(recipe, len(catalog))
    if objective.needs_groups and group not in catalog.column_names:
        raise UserError(
            f"objective {recipe.objective} needs a column that names each image's group, and the "
            f"table has none called {group!r}: name it with --group-column, or choose another "
            "--objective"
        )
    missing = ungrouped(catalog, group)
    if objective.needs_groups and missing:
        raise UserError(
            f"objective {recipe.objective} needs each image's group, and {missing:,} of "
            f"{len(catalog):,} training images have none in the column {group!r}: fill it, drop "
            "these rows, or choose another --objective"
        )
    if recipe.precision == "bfloat16" and not torch.cuda.is_available():
        raise UserError("--precision bfloat16 needs a card, and there is none here: leave it out")


def _album(
    lesson: TrainingPlan, catalog: pa.Table, on_picture: Callable[[int, int], None] | None = None
) -> TrainingImages:
    return read_training_images(
        catalog,
        lesson.classifier.classes,
        lesson.reader,
        lesson.checkpoints.folder,
        group_column=lesson.group_column,
        on_picture=on_picture,
    )


def _labelled(album: TrainingImages) -> TrainingImages:
    """Without the pictures that nobody labelled: no answer to them is right."""
    kept = album.label_N >= 0
    group_n = None if album.group_N is None else album.group_N[kept]
    return TrainingImages(
        album.image_NCHW[kept],
        album.label_N[kept],
        album.mask_NHW[kept],
        album.known_N[kept],
        group_n,
    )


def _grid(classifier: Classifier, layer: str) -> Grid:
    if layer:
        return cached_grid(classifier.network, layer, classifier.preprocessing.size)
    if classifier.grid is None:
        raise UserError(
            "the objective looks into a layer with cells, and none was found in the model: name "
            "one with --layer, or choose another --objective such as swap"
        )
    return classifier.grid


def _groups(catalog: pa.Table, learning: LearningSettings) -> list[object] | None:
    column = learning.group_column
    return catalog[column].to_pylist() if column in catalog.column_names else None


def digest_of_rows(catalog: pa.Table) -> str:
    """Of all that is read of them."""
    return digest(catalog.select([*ROW, "stamp"]).to_pydict())
