"""Scheduled audit: where does the model look, over the whole dataset?"""

from __future__ import annotations

import logging

from prefect import flow, task

from flows.runtime.prefect_results import show_result
from flows.runtime.prefect_tasks import attribute, catalog, publish
from flows.runtime.progress import show_trials
from flows.runtime.schedule import exclusive_run, warn_unpublished
from flows.settings.command_settings import AuditSettings
from flows.settings.compose import check_settings
from flows.settings.environment import home
from models.classifier.settings import ModelSettings
from reports.audit_page import render_page
from reports.estimated_foregrounds import lines_on_estimates
from reports.finding import headline
from reports.markdown import audit_as_markdown
from reports.pattern_sentences import pattern_lines
from tasks.attribution.settings import AttributionSettings
from tasks.catalog.settings import DataSettings
from tasks.discover.discover import add_patterns
from tasks.discover.pattern_pictures import pictures_of_patterns
from tasks.discover.settings import PatternSettings
from tasks.execution.settings import ComputeSettings
from tasks.flags.settings import FlagSettings
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.settings import ForegroundSettings
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.settings import OutputSettings
from tasks.scenarios.earlier_scenarios import take_earlier_scenarios
from tasks.schema import CostSummary, Summary
from tasks.storage.unused_memory import release_unused
from tasks.summary.examples import examples_of
from tasks.summary.summarise import summarise
from tasks.tracking.settings import TrackingSettings

log = logging.getLogger("sightline")


@flow(name="audit", validate_parameters=False)  # check_settings does, in one line
def audit(
    data: DataSettings,
    model: ModelSettings,
    output: OutputSettings,
    attribution: AttributionSettings = AttributionSettings(),
    interventions: InterventionSettings = InterventionSettings(),
    foreground: ForegroundSettings = ForegroundSettings(),
    compute: ComputeSettings = ComputeSettings(),
    flags: FlagSettings = FlagSettings(),
    patterns: PatternSettings = PatternSettings(),
    tracking: TrackingSettings = TrackingSettings(),
) -> str:
    """Catalog, attribute, flag, discover, report, publish. Returns the run folder."""
    settings = check_settings(AuditSettings, locals())
    with exclusive_run(settings) as settings:
        run = catalog(settings)
        cost = attribute(run, settings)
        flag(run, settings, cost)
        discover(run, settings)
        report(run, settings)
        published = publish(run, settings, return_state=True)
    warn_unpublished(published)
    return str(run.path)


@task
def flag(run: RunFolder, settings: AuditSettings, cost: CostSummary) -> None:
    summary = summarise(run, settings.flags, cost)
    take_earlier_scenarios(run)
    log.info(headline(summary))  # before the page and MLflow, which take seconds
    for line in lines_on_estimates(summary):
        log.info(line)
    release_unused()


@task
def discover(run: RunFolder, settings: AuditSettings) -> None:
    with show_trials(f"patterns of {run.path.name}") as on_progress:
        add_patterns(run, settings.compute, str(home() / "dask"), on_progress)
    for line in pattern_lines(open_run(run.path).summary()):
        log.info(line)


@task
def report(run: RunFolder, settings: AuditSettings) -> None:
    summary = write_page(run)
    show_result(audit_as_markdown(summary), run.report)


def write_page(run: RunFolder) -> Summary:
    """Of the run's summary, with pictures of the images to look at first and of the patterns."""
    summary = open_run(run.path).summary()
    examples = examples_of(run, summary.rule.method)
    run.finish(run.report, render_page(summary, examples, pictures_of_patterns(run)))
    return summary
