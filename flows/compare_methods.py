"""Before an audit: which attribution method to trust on this model, and what it costs."""

from __future__ import annotations

from prefect import flow, runtime, task

from flows.runtime.progress import show_progress
from flows.runtime.schedule import exclusive_run, mlflow_away, warn_unpublished
from flows.settings.environment import home, tracking_of
from flows.settings.sections import ComparedMethods, CompareMethodsSettings, SampledData
from models.classifier.architectures import ModelSettings
from models.classifier.mlflow_models import fetch
from reports.methods_page import render_methods
from tasks.attribution.job import ComparisonSettings
from tasks.execution.cluster import ComputeSettings
from tasks.execution.prepare import prepare_run
from tasks.execution.run_shards import attribute_run
from tasks.interventions.donors import InterventionSettings
from tasks.method_comparison.summarise import gallery_of, summarise_methods
from tasks.pictures.estimator import ForegroundSettings
from tasks.runs.folder import OutputSettings, RunFolder
from tasks.schema import CostSummary, MethodsSummary
from tasks.tracking.audit_run import TrackingSettings, publish_run


@flow(name="compare-methods")
def compare_methods(
    data: SampledData,
    model: ModelSettings,
    output: OutputSettings,
    attribution: ComparedMethods = ComparedMethods(),
    interventions: InterventionSettings = InterventionSettings(),
    foreground: ForegroundSettings = ForegroundSettings(),
    compute: ComputeSettings = ComputeSettings(),
    comparison: ComparisonSettings = ComparisonSettings(),
    tracking: TrackingSettings = TrackingSettings(),
) -> str:
    """Sample, explain by every method, measure, rank, report, publish. Returns the run folder."""
    settings = CompareMethodsSettings(**locals())
    with exclusive_run(settings) as settings:
        run = sample(settings)
        cost = explain(run, settings)
        summary = rank(run, cost)
        report(run, summary)
        published = publish(run, settings, return_state=True)
    warn_unpublished(published)
    return str(run.path)


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=mlflow_away)
def sample(settings: CompareMethodsSettings) -> RunFolder:
    with fetch(settings.model, tracking_of(settings.tracking).uri) as model:
        return prepare_run(settings.asked, model, settings.output, settings.model_dump(mode="json"))


@task
def explain(run: RunFolder, settings: CompareMethodsSettings) -> CostSummary:
    with show_progress(f"methods of {run.path.name}") as told:
        return attribute_run(run, settings.compute, str(home() / "dask"), told)


@task
def rank(run: RunFolder, cost: CostSummary) -> MethodsSummary:
    return summarise_methods(run, cost)


@task
def report(run: RunFolder, summary: MethodsSummary) -> None:
    run.finish(run.methods_page, render_methods(summary, gallery_of(run)))


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=mlflow_away)
def publish(run: RunFolder, settings: CompareMethodsSettings) -> None:
    publish_run(run, tracking_of(settings.tracking), runtime.flow_run.get_id())
