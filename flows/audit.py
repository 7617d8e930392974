"""Scheduled audit: where does the model look, over the whole dataset?"""

from __future__ import annotations

from prefect import flow, runtime, task

from flows.occasions import AuditSettings
from flows.progress import watched
from flows.schedule import mlflow_away, undisturbed, warn_unpublished
from flows.settings import home, tracking_of
from models.architectures import ModelSettings
from models.registered import fetched
from reports.page import render_page
from tasks.catalog import DataSettings
from tasks.cluster import ComputeSettings
from tasks.donors import InterventionSettings
from tasks.drive import attribute_run
from tasks.estimator import ForegroundSettings
from tasks.flag import FlagSettings
from tasks.gallery import examples_of
from tasks.prepare import prepare_run
from tasks.publish import TrackingSettings, publish_run
from tasks.reader import open_run
from tasks.schema import CostSummary
from tasks.shard import AttributionSettings
from tasks.store import OutputSettings, RunFolder
from tasks.summarise import summarise


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
    with undisturbed(settings) as settings:
        run = catalog(settings)
        cost = attribute(run, settings)
        flag(run, settings, cost)
        report(run, settings)
        published = publish(run, settings, return_state=True)
    warn_unpublished(published)
    return str(run.path)


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=mlflow_away)
def catalog(settings: AuditSettings) -> RunFolder:
    with fetched(settings.model, tracking_of(settings.tracking).uri) as model:
        return prepare_run(settings.asked, model, settings.output, settings.model_dump(mode="json"))


@task
def attribute(run: RunFolder, settings: AuditSettings) -> CostSummary:
    with watched(f"maps of {run.path.name}") as told:
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
