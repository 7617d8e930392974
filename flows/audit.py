"""Scheduled audit: where does the model look, over the whole dataset?"""

from __future__ import annotations

from prefect import flow, runtime, task

from flows.runtime.progress import show_progress
from flows.runtime.schedule import exclusive_run, mlflow_away, warn_unpublished
from flows.settings.environment import home, tracking_of
from flows.settings.sections import AuditSettings
from models.classifier.mlflow_models import fetch
from models.classifier.settings import ModelSettings
from reports.audit_page import render_page
from tasks.attribution.settings import AttributionSettings
from tasks.catalog.settings import DataSettings
from tasks.execution.prepare import prepare_run
from tasks.execution.run_shards import attribute_run
from tasks.execution.settings import ComputeSettings
from tasks.flags.settings import FlagSettings
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.settings import ForegroundSettings
from tasks.runs.folder import RunFolder
from tasks.runs.reader import open_run
from tasks.runs.settings import OutputSettings
from tasks.schema import CostSummary
from tasks.summary.examples import examples_of
from tasks.summary.summarise import summarise
from tasks.tracking.audit_run import publish_run
from tasks.tracking.settings import TrackingSettings


@flow(name="audit")
def audit(
    data: DataSettings,
    model: ModelSettings,
    output: OutputSettings,
    attribution: AttributionSettings = AttributionSettings(),
    interventions: InterventionSettings = InterventionSettings(),
    foreground: ForegroundSettings = ForegroundSettings(),
    compute: ComputeSettings = ComputeSettings(),
    flags: FlagSettings = FlagSettings(),
    tracking: TrackingSettings = TrackingSettings(),
) -> str:
    """Catalog, attribute, flag, report, publish. Returns the run folder."""
    settings = AuditSettings(**locals())
    with exclusive_run(settings) as settings:
        run = catalog(settings)
        cost = attribute(run, settings)
        flag(run, settings, cost)
        report(run, settings)
        published = publish(run, settings, return_state=True)
    warn_unpublished(published)
    return str(run.path)


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=mlflow_away)
def catalog(settings: AuditSettings) -> RunFolder:
    with fetch(settings.model, tracking_of(settings.tracking).uri) as model:
        return prepare_run(settings.asked, model, settings.output, settings.model_dump(mode="json"))


@task
def attribute(run: RunFolder, settings: AuditSettings) -> CostSummary:
    with show_progress(f"maps of {run.path.name}") as told:
        return attribute_run(run, settings.compute, str(home() / "dask"), told)


@task
def flag(run: RunFolder, settings: AuditSettings, cost: CostSummary) -> None:
    summarise(run, settings.flags, cost)


@task
def report(run: RunFolder, settings: AuditSettings) -> None:
    examples = examples_of(run, settings.flags.method)
    run.finish(run.report, render_page(open_run(run.path).summary(), examples))


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=mlflow_away)
def publish(run: RunFolder, settings: AuditSettings) -> None:
    publish_run(run, tracking_of(settings.tracking), runtime.flow_run.get_id())
