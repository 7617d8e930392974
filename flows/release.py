"""Before a release: audit candidate and champion, hold them against a policy, promote or refuse."""

from __future__ import annotations

from prefect import flow, task

from flows.audit import audit
from flows.occasions import GateSettings, ReleaseSettings
from flows.promotion import Contest, compared, contest_of, decided, judged, policy_of, tagged
from flows.schedule import mlflow_away, undisturbed, warn_unpublished
from flows.settings import tracking_of
from models.architectures import ModelSettings
from tasks.catalog import DataSettings
from tasks.cluster import ComputeSettings
from tasks.donors import InterventionSettings
from tasks.estimator import ForegroundSettings
from tasks.flag import FlagSettings
from tasks.promote import Refused, check_versions
from tasks.publish import TrackingSettings
from tasks.schema.ruling import GateResult
from tasks.shard import AttributionSettings
from tasks.store import OutputSettings


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
    with undisturbed(settings) as settings:
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
        raise Refused(f"{result.sentence} {result.promotion}", settings.output.folder)
    return settings.output.folder


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=mlflow_away)
def challenge(settings: ReleaseSettings, candidate: str) -> Contest:
    return contest_of(settings, candidate)


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=mlflow_away)
def compare(settings: ReleaseSettings, contest: Contest, champion: str, candidate: str) -> None:
    compared(settings, contest.candidacy, champion, candidate)


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=mlflow_away)
def promote(settings: ReleaseSettings, contest: Contest, result: GateResult) -> GateResult:
    return decided(settings, contest, result)


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=mlflow_away)
def tag(settings: ReleaseSettings, contest: Contest, result: GateResult) -> None:
    tagged(settings, contest, result)
