"""Tracked retraining: finetune, audit before and after on the same images, compare, register."""

from __future__ import annotations

from prefect import flow, task

from flows.audit import audit
from flows.compare_models import compare_audits
from flows.runtime.prefect_results import show_result
from flows.runtime.prefect_tasks import mlflow_task
from flows.runtime.schedule import exclusive_run
from flows.settings.command_settings import CandidateSettings, RetrainedMethods, RetrainSettings
from flows.settings.compose import check_settings
from flows.train_and_register import TrainedModel, register_trained, train
from models.addresses import as_path
from models.classifier.settings import ModelSettings
from reports.markdown import models_as_markdown
from tasks.catalog.settings import DataSettings
from tasks.discover.settings import PatternSettings
from tasks.execution.settings import ComputeSettings
from tasks.finetune.settings import FinetuneSettings, LearningSettings
from tasks.flags.settings import FlagSettings
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.settings import ForegroundSettings
from tasks.runs.settings import OutputSettings
from tasks.schema import PairedSummary
from tasks.tracking.settings import TrackingSettings


@flow(name="retrain", validate_parameters=False)  # check_settings does, in one line
def retrain(
    data: DataSettings,
    model: ModelSettings,
    output: OutputSettings,
    learning: LearningSettings = LearningSettings(),
    finetune: FinetuneSettings = FinetuneSettings(),
    attribution: RetrainedMethods = RetrainedMethods(),
    interventions: InterventionSettings = InterventionSettings(),
    foreground: ForegroundSettings = ForegroundSettings(),
    compute: ComputeSettings = ComputeSettings(),
    flags: FlagSettings = FlagSettings(),
    patterns: PatternSettings = PatternSettings(),
    registry: CandidateSettings = CandidateSettings(),
    tracking: TrackingSettings = TrackingSettings(),
) -> str:
    """Finetune, audit before and after, compare, register. Returns the retraining's folder."""
    settings = check_settings(RetrainSettings, locals())
    with exclusive_run(settings) as settings:
        if settings.learning.donors_from == "patterns" and settings.learning.patterns_run is None:
            audit(**dict(settings.training_audit))
        trained = learn(settings)
        before = audit(**dict(settings.audit_of(trained.start, "before")))
        after = audit(**dict(settings.audit_of(trained.model, "after", before)))
        paired = compare(settings, before, after)
        register(settings, trained, paired)
    return str(settings.folder)


@mlflow_task("learn")
def learn(settings: RetrainSettings) -> TrainedModel:
    return train(settings)


@task
def compare(settings: RetrainSettings, before: str, after: str) -> PairedSummary:
    folder = settings.output.folder
    paired = compare_audits(before, after, folder)
    show_result(models_as_markdown(paired), as_path(folder) / "compare.html")
    return paired


@mlflow_task("register")
def register(settings: RetrainSettings, trained: TrainedModel, paired: PairedSummary) -> None:
    register_trained(settings, trained, paired)
