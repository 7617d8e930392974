"""Before a release: audit candidate and champion, hold them against a policy, promote or refuse."""

from __future__ import annotations

from prefect import flow, task

from flows.audit import audit
from flows.promotion import Challenge, compared, contest_of, decided, judged, policy_of, tagged
from flows.runtime.schedule import exclusive_run, mlflow_away, warn_unpublished
from flows.settings.environment import tracking_of
from flows.settings.sections import GateSettings, ReleaseSettings
from models.classifier.settings import ModelSettings
from models.errors import ReleaseRefused
from tasks.attribution.settings import AttributionSettings
from tasks.catalog.settings import DataSettings
from tasks.execution.settings import ComputeSettings
from tasks.flags.settings import FlagSettings
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.settings import ForegroundSettings
from tasks.runs.settings import OutputSettings
from tasks.schema.gate import GateResult
from tasks.tracking.promotion import check_versions
from tasks.tracking.settings import TrackingSettings


@flow(name="release")
def release(
    data: DataSettings,
    model: ModelSettings,
    output: OutputSettings,
    gate: GateSettings,
    attribution: AttributionSettings = AttributionSettings(),
    interventions: InterventionSettings = InterventionSettings(),
    foreground: ForegroundSettings = ForegroundSettings(),
    compute: ComputeSettings = ComputeSettings(),
    flags: FlagSettings = FlagSettings(),
    tracking: TrackingSettings = TrackingSettings(),
) -> str:
    """Audit, judge, promote. Returns the folder of all of it; what is refused raises Refused."""
    settings = ReleaseSettings(**locals())
    policy = policy_of(settings)
    if gate.run is None:
        check_versions(model.address, gate.alias, tracking_of(tracking))
    with exclusive_run(settings) as settings:
        candidate = gate.run or audit(**dict(settings.audit_of(settings.model, "candidate")))
        contest = challenge(settings, candidate)
        champion = contest.champion_run
        if contest.champion is not None:
            champion = audit(**dict(settings.audit_of(contest.champion, "champion", candidate)))
        if champion is not None:
            compare(settings, contest, champion, candidate)
        found = judged(settings, policy, contest, (candidate, champion))
        result = promote(settings, contest, found)
        if not result.passed:
            warn_unpublished(tag(settings, contest, result, return_state=True))
    if not result.promoted:
        raise ReleaseRefused(f"{result.sentence} {result.promotion}", settings.output.folder)
    return settings.output.folder


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=mlflow_away)
def challenge(settings: ReleaseSettings, candidate: str) -> Challenge:
    return contest_of(settings, candidate)


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=mlflow_away)
def compare(settings: ReleaseSettings, contest: Challenge, champion: str, candidate: str) -> None:
    compared(settings, contest.candidacy, champion, candidate)


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=mlflow_away)
def promote(settings: ReleaseSettings, contest: Challenge, result: GateResult) -> GateResult:
    return decided(settings, contest, result)


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=mlflow_away)
def tag(settings: ReleaseSettings, contest: Challenge, result: GateResult) -> None:
    tagged(settings, contest, result)
