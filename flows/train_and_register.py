"""The training of a retraining: train a network, log it in MLflow, register it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa
import torch

from flows.output_folders import refuse_foreign_training
from flows.runtime.progress import show_pictures, show_steps
from flows.settings.command_settings import RetrainSettings
from flows.settings.environment import tracking_of
from models.classifier.architectures import build_fresh
from models.classifier.classifier import Classifier, load_classifier, save_bundle
from models.classifier.mlflow_addresses import SCHEME
from models.classifier.mlflow_models import fetch
from models.classifier.settings import ModelSettings
from models.errors import MlflowUnavailable
from reports.formatting import count_of
from reports.heatmaps import contact_sheet
from tasks.execution import cluster
from tasks.execution.prepare import make_checked_catalog
from tasks.finetune.checkpoint import TrainingState
from tasks.finetune.loop import Training, finetune
from tasks.finetune.plan import TrainingPlan, digest_of_rows, plan_training, prepare_training
from tasks.finetune.snapshots import take_snapshots
from tasks.finetune.validation import HeldOut
from tasks.model_registry.registration import Origin, RegisteredModel, register_model
from tasks.schema import PairedSummary
from tasks.tracking.mlflow_client import Context, InputData
from tasks.tracking.training_log import EpochFigures, TrainingStart, log_training

log = logging.getLogger("sightline")


@dataclass(frozen=True)
class TrainedModel:
    """A trained model, and the training that made it."""

    start: ModelSettings  # the model that was trained; an alias is resolved to its version
    model: ModelSettings  # the bundle that the training wrote
    architecture: str
    training_id: str
    run_id: str | None  # in MLflow; None if it did not answer


def train(settings: RetrainSettings) -> TrainedModel:
    """Train and write the bundle; a training that was killed continues after its last epoch."""
    start, classifier = _load_model(settings)
    plan = _plan(settings, classifier)
    with show_pictures("reading pictures") as on_picture:
        training = prepare_training(plan, on_picture)
    _log_training(training)
    tracking, begin = tracking_of(settings.tracking), _describe_start(settings, plan)
    with log_training(tracking, begin) as mlflow, show_steps("training") as on_step:
        state = finetune(
            training, on_step, lambda now, _: mlflow.send(_epochs(now, _draw_maps(training)))
        )
        mlflow.send(_epochs(state))  # what a killed training did not send
    _log_best_epoch(state, training.held_out)
    bundle = _save_bundle(settings, plan.classifier)
    architecture = plan.classifier.architecture
    return TrainedModel(start, bundle, architecture, plan.training_id, mlflow.run_id)


def register_trained(
    settings: RetrainSettings, trained: TrainedModel, paired: PairedSummary
) -> RegisteredModel:
    """Register the audited bundle as a version, with its figures before and after as tags."""
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


def _load_model(settings: RetrainSettings) -> tuple[ModelSettings, Classifier]:
    refuse_foreign_training(settings.folder)
    with fetch(settings.model, tracking_of(settings.tracking).uri) as model:
        classifier, start = load_classifier(model.settings), settings.model
    if model.origin:  # fixed here, since an alias may move before the audit
        start = start.model_copy(update={"address": f"{SCHEME}{model.origin['address']}"})
    return start, classifier


def _plan(settings: RetrainSettings, classifier: Classifier) -> TrainingPlan:
    """Plan the training, its network on the device; refuse now what the audits would refuse."""
    make_checked_catalog(settings.audit_request, classifier)
    folder = settings.folder / "training"
    plan = plan_training(
        classifier, settings.training_request, folder, replace=settings.output.replace
    )
    if settings.finetune.start == "scratch":
        plan = replace(plan, classifier=_reset_weights(classifier, settings.finetune.training_seed))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    cluster.move_to_device(plan.classifier, device, settings.attribution.memory_format)
    return plan


def _reset_weights(classifier: Classifier, seed: int) -> Classifier:
    """The same network with new random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_fresh(classifier.architecture, len(classifier.classes))
    return replace(classifier, network=network.eval())


def _describe_start(settings: RetrainSettings, plan: TrainingPlan) -> TrainingStart:
    catalogs, data, learning = plan.catalogs, settings.data, settings.learning
    source, held_out = learning.train or data.path, learning.validation_split or "held out"
    datasets = [
        _input_data("training", catalogs.training, source, learning.train_split),
        _input_data("validation", catalogs.validation, source, held_out),
        _input_data("audit", catalogs.audited, data.path, data.split),
    ]
    name = f"retrain {settings.folder.name}"
    return TrainingStart(name, plan.training_id, settings.model_dump(mode="json"), datasets)


def _input_data(context: Context, catalog: pa.Table, source: str, split: str | None) -> InputData:
    name = f"{source} {split or 'all'} ({context})"  # MLflow keeps one entry per name and digest
    rows = {"total": len(catalog), "labelled": len(catalog) - catalog["label"].null_count}
    return InputData(context, name, digest_of_rows(catalog), source, rows)


def _epochs(state: TrainingState, picture: bytes | None = None) -> Iterator[EpochFigures]:
    """All epochs so far, the last one with the picture; the log sends those that MLflow lacks."""
    for epoch in state.history:
        of_epoch = picture if epoch is state.history[-1] else None
        yield EpochFigures(epoch.number, epoch.figures, of_epoch, epoch.ended)


def _draw_maps(training: Training) -> bytes | None:
    """PNG of the same held-out pictures each epoch, with their maps; None without any."""
    if training.held_out is None or not training.snapshot_grid:
        return None
    taken = take_snapshots(training.network, training.snapshot_grid, training.held_out)
    return contact_sheet(taken.picture_NHW3, taken.map_NHW, taken.mask_NHW, taken.correct_N)


def _save_bundle(settings: RetrainSettings, classifier: Classifier) -> ModelSettings:
    folder = settings.folder / "model"
    save_bundle(folder, classifier)
    is_users_own = ".py:" in classifier.architecture
    return ModelSettings(address=str(folder), allow_factory=is_users_own)


def _log_training(training: Training) -> None:
    annotated = int(training.images.known_N.sum())
    choice = "the last epoch is taken: there are no labelled validation images"
    if training.held_out is not None:
        choice = (
            f"the epoch is chosen by {training.held_out.figure_for(training.recipe.choose)} on "
            f"{count_of(len(training.held_out.images), 'validation image')}"
        )
    if training.images.patterns:
        log.info(
            "donors and artefacts are of %s", count_of(len(training.images.patterns), "pattern")
        )
    log.info(
        "training: %s, %s with a foreground, %s in %s; %s",
        count_of(len(training.images), "image"),
        f"{annotated:,}",
        count_of(training.steps, "step"),
        count_of(training.epochs, "epoch"),
        choice,
    )


def _log_best_epoch(state: TrainingState, held_out: HeldOut | None) -> None:
    epoch = state.best_epoch or state.history[-1]
    figures = ", ".join(
        f"{name.removeprefix('validation.')} {value:.3f}"
        for name, value in epoch.figures.items()
        if name.startswith("validation.")
    )
    log.info(
        "trained: epoch %d of %d is taken%s",
        epoch.number,
        len(state.history),
        f" ({figures})" if figures else "",
    )
    most_said = epoch.figures.get("validation.most_said", 0.0)  # of earlier versions: none
    if held_out is not None and held_out.has_collapsed(most_said):
        log.warning(
            "the trained network says one class for %.0f%% of the validation images: the training "
            "collapsed. Lower --learning-rate, train longer (--epochs), or choose another "
            "--objective",
            100 * most_said,
        )


def _evidence(settings: RetrainSettings, paired: PairedSummary) -> dict[str, str]:
    """Tags of the version: each figure before and after, and the folder with the evidence."""
    figures = {
        f"sightline.{'.'.join(filter(None, (change.figure, change.name)))}": (
            f"{change.before:.4g} -> {change.after:.4g} ({change.verdict})"
        )
        for change in paired.figures
    }
    return figures | {
        "sightline.verdict": paired.sentence,
        "sightline.objective": settings.finetune.objective,
        "sightline.folder": str(settings.folder.absolute()),
    }
