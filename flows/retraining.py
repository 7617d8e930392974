"""What a retraining does between its audits: a network learns and is told of, and is registered."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pyarrow as pa
import torch

from flows.runtime.progress import show_pictures, show_steps
from flows.settings.environment import tracking_of
from flows.settings.sections import RetrainSettings
from models.classifier.architectures import ModelSettings, build_fresh
from models.classifier.classifier import Classifier, load_classifier, save_bundle
from models.classifier.mlflow_models import SCHEME, fetch
from models.errors import MlflowUnavailable, UserError
from reports.formatting import count_of
from reports.heatmaps import contact_sheet
from tasks.execution import cluster
from tasks.execution.prepare import make_checked_catalog
from tasks.finetune.checkpoint import TRAINING, TrainingState
from tasks.finetune.loop import Training, finetune
from tasks.finetune.plan import TrainingPlan, digest_of_rows, plan_training, prepare_training
from tasks.finetune.snapshots import take_snapshots
from tasks.schema import PairedSummary
from tasks.storage.lock import LOCK
from tasks.tracking.registry import Origin, RegisteredModel, register_model
from tasks.tracking.training_log import (
    Context,
    EpochFigures,
    TrainingData,
    TrainingLog,
    open_training,
)

log = logging.getLogger("sightline")


@dataclass(frozen=True)
class Trained:
    """What a training left."""

    start: ModelSettings  # what was trained: the version itself, where an alias named it
    model: ModelSettings  # the bundle
    architecture: str
    training_id: str
    run_id: str | None  # in MLflow; None where it did not answer


def train(settings: RetrainSettings) -> Trained:
    """Train and write the bundle. Each step is told here, each epoch in MLflow; what was killed
    goes on after its last epoch."""
    start, lesson = _lesson(settings)
    with show_pictures("reading pictures") as told:
        training = prepare_training(lesson, told)
    _tell(training)
    with _tracked(settings, lesson) as mlflow, show_steps("training") as told_step:
        standing = finetune(
            training, told_step, lambda now, _: mlflow.catch_up(_epochs(now, _picture(training)))
        )
        mlflow.catch_up(_epochs(standing))  # what a killed training had not told
    _tell_best(standing)
    save_bundle(settings.folder / "model", lesson.classifier)
    architecture = lesson.classifier.architecture
    bundle = ModelSettings(
        address=str(settings.folder / "model"),
        allow_factory=".py:" in architecture,  # the user gave it himself
    )
    return Trained(start, bundle, architecture, lesson.training_id, mlflow.run_id)


def register_trained(
    settings: RetrainSettings, trained: Trained, paired: PairedSummary
) -> RegisteredModel:
    """The audited bundle as a version, with the figures that speak for it or against it."""
    origin = Origin(trained.training_id, trained.run_id, _evidence(settings, paired))
    registry = settings.registry.of(settings.model, trained.architecture)
    tracking = tracking_of(settings.tracking)
    try:
        registered = register_model(load_classifier(trained.model), registry, tracking, origin)
    except MlflowUnavailable as error:
        kept = f"the model and both audits are kept in {settings.folder}"
        raise MlflowUnavailable(f"{error}; {kept}: later run the same command again") from error
    log.info("registered: %s as %s", registered.address, registry.alias)
    return registered


def _lesson(settings: RetrainSettings) -> tuple[ModelSettings, TrainingPlan]:
    folder = settings.folder / "training"
    _refuse_foreign(settings.folder, folder / TRAINING)
    with fetch(settings.model, tracking_of(settings.tracking).uri) as model:
        classifier, start = load_classifier(model.settings), settings.model
    if model.origin:  # an alias may move before the audit
        start = start.model_copy(update={"address": f"{SCHEME}{model.origin['address']}"})
    make_checked_catalog(
        settings.asked, classifier
    )  # before hours, what the audits would refuse after
    lesson = plan_training(classifier, settings.wanted, folder, replace=settings.output.replace)
    if settings.finetune.start == "scratch":
        lesson = replace(lesson, classifier=_fresh(classifier, settings.finetune.training_seed))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    cluster.move_to_device(lesson.classifier, device, settings.attribution.memory_format)
    return start, lesson


def _refuse_foreign(folder: Path, known: Path) -> None:
    """A training writes over what lies there: it must be an earlier try's."""
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if there - {LOCK} and not known.is_file():
        raise UserError(
            f"{folder} is not empty and holds no training: give an empty or a new --out"
        )


def _fresh(classifier: Classifier, seed: int) -> Classifier:
    """The same network with weights drawn anew."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_fresh(classifier.architecture, len(classifier.classes))
    return replace(classifier, network=network.eval())


@contextmanager
def _tracked(settings: RetrainSettings, lesson: TrainingPlan) -> Iterator[TrainingLog]:
    """The training's run in MLflow, which ends as the training does."""
    mlflow = open_training(
        tracking_of(settings.tracking),
        f"retrain {settings.folder.name}",
        lesson.training_id,
        settings.model_dump(mode="json"),
        list(_datasets(settings, lesson)),
    )
    status: Literal["FINISHED", "FAILED"] = "FAILED"
    try:
        with mlflow.system_metrics():
            yield mlflow
        status = "FINISHED"
    finally:
        mlflow.finish(status)


def _datasets(settings: RetrainSettings, lesson: TrainingPlan) -> Iterator[TrainingData]:
    catalogs, data, learning = lesson.catalogs, settings.data, settings.learning
    learnt, held = learning.train or data.path, learning.validation_split or "held out"
    yield _dataset("training", catalogs.training, learnt, learning.train_split)
    yield _dataset("validation", catalogs.validation, learnt, held)
    yield _dataset("audit", catalogs.audited, data.path, data.split)


def _dataset(context: Context, catalog: pa.Table, source: str, split: str | None) -> TrainingData:
    name = f"{source} {split or 'all'} ({context})"  # MLflow keeps one of each name and digest
    return TrainingData(context, name, digest_of_rows(catalog), source, _rows(catalog))


def _epochs(standing: TrainingState, picture: bytes | None = None) -> Iterator[EpochFigures]:
    """All that is known so far, the picture with the last one; what MLflow has is not sent."""
    for epoch in standing.history:
        shown = picture if epoch is standing.history[-1] else None
        yield EpochFigures(epoch.number, epoch.figures, shown, epoch.ended)


def _picture(training: Training) -> bytes | None:
    """The same held-out pictures with their maps; none without a layer or pictures."""
    if training.held_out is None or not training.watched:
        return None
    seen = take_snapshots(training.network, training.watched, training.held_out)
    return contact_sheet(seen.picture_NHW3, seen.map_NHW, seen.mask_NHW, seen.right_N)


def _tell(training: Training) -> None:
    known = int(training.album.known_N.sum())
    chosen = "the last epoch is taken: there are no labelled validation images"
    if training.held_out is not None:
        chosen = (
            f"the epoch is chosen by {training.held_out.figure_for(training.recipe.choose)} on "
            f"{count_of(len(training.held_out.album), 'validation image')}"
        )
    log.info(
        "training: %s, %s with a foreground, %s in %s; %s",
        *(count_of(len(training.album), "image"), f"{known:,}", count_of(training.steps, "step")),
        *(count_of(training.epochs, "epoch"), chosen),
    )


def _tell_best(standing: TrainingState) -> None:
    epoch = standing.best_epoch or standing.history[-1]
    told = ", ".join(
        f"{name.removeprefix('validation.')} {value:.3f}"
        for name, value in epoch.figures.items()
        if name.startswith("validation.")
    )
    found = f" ({told})" if told else ""
    log.info("trained: epoch %d of %d is taken%s", epoch.number, len(standing.history), found)


def _evidence(settings: RetrainSettings, paired: PairedSummary) -> dict[str, str]:
    """Tags of the version: each figure before and after, and where all of it stands."""
    figures = {
        f"sightline.{'.'.join(filter(None, (it.figure, it.name)))}": (
            f"{it.before:.4g} -> {it.after:.4g} ({it.verdict})"
        )
        for it in paired.figures
    }
    return figures | {
        "sightline.verdict": paired.sentence,
        "sightline.objective": settings.finetune.objective,
        "sightline.folder": str(settings.folder.absolute()),
    }


def _rows(catalog: pa.Table) -> dict[str, int]:
    return {"total": len(catalog), "labelled": len(catalog) - catalog["label"].null_count}
