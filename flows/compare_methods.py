"""Before an audit: which attribution method to trust on this model, and what it costs."""

from __future__ import annotations

from prefect import flow, task

from flows.runtime.prefect_results import show_result
from flows.runtime.prefect_tasks import attribute, catalog, publish
from flows.runtime.schedule import exclusive_run, warn_unpublished
from flows.settings.command_settings import ComparedMethods, CompareMethodsSettings, SampledData
from flows.settings.compose import check_settings
from models.classifier.settings import ModelSettings
from reports.markdown import escape
from reports.methods_page import render_methods
from tasks.attribution.settings import ComparisonSettings
from tasks.execution.settings import ComputeSettings
from tasks.interventions.settings import InterventionSettings
from tasks.method_comparison.summarise import gallery_of, summarise_methods
from tasks.pictures.settings import ForegroundSettings
from tasks.runs.folder import RunFolder
from tasks.runs.settings import OutputSettings
from tasks.schema import CostSummary, MethodsSummary
from tasks.tracking.settings import TrackingSettings

sample = catalog.with_options(name="sample")
explain = attribute.with_options(name="explain")


@flow(name="compare-methods", validate_parameters=False)  # check_settings does, in one line
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
    settings = check_settings(CompareMethodsSettings, locals())
    with exclusive_run(settings) as settings:
        run = sample(settings)
        cost = explain(run, settings, "methods")
        summary = rank(run, cost)
        report(run, summary)
        published = publish(run, settings, return_state=True)
    warn_unpublished(published)
    return str(run.path)


@task
def rank(run: RunFolder, cost: CostSummary) -> MethodsSummary:
    return summarise_methods(run, cost)


@task
def report(run: RunFolder, summary: MethodsSummary) -> None:
    run.finish(run.methods_page, render_methods(summary, gallery_of(run)))
    show_result(escape(summary.sentence), run.methods_page)
