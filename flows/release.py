"""Before a release: audit candidate and champion, hold them to a policy, promote or refuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prefect import flow
from pydantic import ValidationError

from flows.audit import audit
from flows.compare_models import compare_audits
from flows.output_folders import RELEASE
from flows.runtime.prefect_results import show_result
from flows.runtime.prefect_tasks import mlflow_task
from flows.runtime.schedule import exclusive_run, warn_unpublished
from flows.settings.command_settings import GateSettings, ReleaseSettings
from flows.settings.compose import check_settings
from flows.settings.environment import tracking_of
from models.addresses import as_path
from models.classifier.mlflow_addresses import SCHEME
from models.classifier.settings import ModelSettings
from models.errors import ReleaseRefused, UserError
from models.methods.registry import method_names
from reports.gate_page import render_gate
from reports.junit import as_junit
from reports.markdown import gate_as_markdown
from tasks.attribution.settings import AttributionSettings
from tasks.catalog.settings import DataSettings
from tasks.discover.settings import PatternSettings
from tasks.execution.settings import ComputeSettings
from tasks.flags.settings import FlagSettings
from tasks.gate.decide import decide, still_holds
from tasks.gate.policy import Policy, read_policy
from tasks.interventions.settings import InterventionSettings
from tasks.model_registry import promotion
from tasks.model_registry.promotion import Candidacy, describe_version
from tasks.pictures.settings import ForegroundSettings
from tasks.runs import open_run
from tasks.runs.settings import OutputSettings
from tasks.schema.gate import GateResult
from tasks.storage.files import write_text
from tasks.tracking.settings import TrackingSettings

POLICY, FOLDER = "sightline.release.policy", "sightline.release.folder"  # tags of a version


@dataclass(frozen=True)
class Challenge:
    """A candidate, and the champion that it is compared with."""

    candidacy: Candidacy
    champion: ModelSettings | None  # if it is still to be audited
    champion_run: str | None  # if it is audited already
    compared: str  # how they are compared, in words


@flow(name="release", validate_parameters=False)  # check_settings does, in one line
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
    patterns: PatternSettings = PatternSettings(),
    tracking: TrackingSettings = TrackingSettings(),
) -> str:
    """Audit, decide, promote. Returns the release's folder, or raises ReleaseRefused."""
    settings = check_settings(ReleaseSettings, locals())
    policy = check_request(settings)
    with exclusive_run(settings) as settings:
        candidate = settings.gate.run
        if candidate is None:
            candidate = audit(**dict(settings.audit_of(settings.model, "candidate")))
        challenge = find_challenge(settings, candidate)
        champion = challenge.champion_run
        if challenge.champion is not None:
            champion = audit(**dict(settings.audit_of(challenge.champion, "champion", candidate)))
        if champion is not None:
            write_comparison(settings, challenge, champion, candidate)
        verdict = decide_once(settings, policy, challenge, candidate, champion)
        result = promote(settings, challenge, verdict)
        if not result.passed:
            warn_unpublished(tag_refused(settings, challenge, result, return_state=True))
    if not result.promoted:
        raise ReleaseRefused(f"{result.sentence} {result.promotion}", settings.output.folder)
    return settings.output.folder


def check_request(settings: ReleaseSettings) -> Policy:
    """The policy; refuses, before any audit, a request that could not be decided after it."""
    gate, changes = settings.gate, settings.interventions.choice
    policy = read_policy(gate.policy)
    if gate.run is None:
        policy.check_methods(method_names(settings.attribution.methods))
        policy.check_class_groups(settings.data.class_groups is not None)
        policy.check_patterns("none" not in (settings.patterns.choice, changes))
        tracking = tracking_of(settings.tracking)
        promotion.check_versions(settings.model.address, gate.alias, tracking)
    return policy


@mlflow_task("challenge")
def find_challenge(settings: ReleaseSettings, candidate: str) -> Challenge:
    """Find the version that has the alias now, and how the candidate is compared with it."""
    tracking, gate = tracking_of(settings.tracking), settings.gate
    address, folder = settings.model.address, settings.output.folder
    candidacy = promotion.candidacy_of(open_run(candidate), address, gate.alias, tracking, folder)
    if candidacy.is_champion:
        words = f"version {candidacy.version} is the {gate.alias} already: absolute rules decide"
        return Challenge(candidacy, None, None, words)
    if gate.champion_run is not None:
        check_champion_run(settings, candidacy, gate.champion_run)
        return Challenge(candidacy, None, gate.champion_run, f"compared with {gate.champion_run}")
    if candidacy.champion is None:
        words = f"{candidacy.name} has no {gate.alias} yet: absolute rules decide"
        return Challenge(candidacy, None, None, words)
    version = f"models:/{candidacy.name}/{candidacy.champion}"
    unset = dict.fromkeys(("weights", "classes", "preprocessing"))
    champion = settings.model.model_copy(update=unset | {"address": f"{SCHEME}{version}"})
    return Challenge(candidacy, champion, None, f"compared with {gate.alias} {version}")


@mlflow_task("compare")
def write_comparison(
    settings: ReleaseSettings, challenge: Challenge, champion: str, candidate: str
) -> None:
    """Write the comparison of both models on the same images, beside the verdict."""
    check_champion_run(settings, challenge.candidacy, champion)
    compare_audits(champion, candidate, settings.output.folder)


def check_champion_run(settings: ReleaseSettings, candidacy: Candidacy, champion_run: str) -> None:
    """Refuse an audit of another model than the version that has the alias."""
    champion = open_run(champion_run)
    if candidacy.champion is None:
        raise UserError(
            f"{candidacy.name!r} has no champion that {champion.folder.path} could be an audit of: "
            "leave out --champion-run, and absolute rules decide"
        )
    digest = promotion.digest_of_champion(candidacy, tracking_of(settings.tracking))
    audited = champion.state.identity.model
    if audited != digest:
        raise UserError(
            f"{champion.folder.path} audited the model {audited[:12]}, and version "
            f"{candidacy.champion} of {candidacy.name!r}, which has the alias, is "
            f"{(digest or 'unknown')[:12]}: audit that one, or leave out --champion-run"
        )


def decide_once(
    settings: ReleaseSettings,
    policy: Policy,
    challenge: Challenge,
    candidate: str,
    champion: str | None,
) -> GateResult:
    """The gate's verdict. An earlier one stands if it made the candidate the champion before the
    release was cut off: now the candidate would be compared with itself."""
    run = open_run(candidate)
    if challenge.candidacy.is_champion:
        earlier = _read_result(settings)
        if earlier is not None and still_holds(earlier, policy, run):
            return earlier
    other = None if champion is None else open_run(champion)
    return decide(policy, run, other, challenge.compared)


@mlflow_task("promote")
def promote(settings: ReleaseSettings, challenge: Challenge, verdict: GateResult) -> GateResult:
    """Give the alias to a candidate that passed; returns the verdict with the outcome."""
    _write_result(settings, verdict)  # kept, wherever MLflow fails
    candidacy, alias = challenge.candidacy, settings.gate.alias
    reason = None
    if verdict.passed:
        evidence = _evidence(settings, verdict, "passed", verdict.sentence)
        evidence[promotion.AUDITS] = ",".join(_ids_of_audits(verdict))
        tracking = tracking_of(settings.tracking)
        reason = promotion.promote(candidacy, alias, tracking, evidence)
    if not verdict.passed:
        words = f"Alias {alias} stays {describe_version(candidacy.champion)}."
    elif reason is not None:
        words = f"Not promoted: {reason.rstrip('.')}."
    else:
        words = f"Alias {alias} of {candidacy.name} is version {candidacy.version} now."
    promoted = verdict.passed and reason is None
    result = verdict.model_copy(update={"promoted": promoted, "promotion": words})
    _write_result(settings, result)
    show_result(gate_as_markdown(result), as_path(settings.output.folder) / "release.html")
    return result


@mlflow_task("tag")
def tag_refused(settings: ReleaseSettings, challenge: Challenge, result: GateResult) -> None:
    """Tag the refused candidate in MLflow with the reasons."""
    failed = [ruling for ruling in result.rulings if ruling.effect == "fail"]
    reasons = [f"rule {ruling.number}: {ruling.reason}" for ruling in failed]
    if result.unanswered or not reasons:
        reasons = [result.sentence, *reasons]
    evidence = _evidence(settings, result, "refused", "; ".join(reasons))
    promotion.refuse(challenge.candidacy, tracking_of(settings.tracking), evidence)


def _evidence(
    settings: ReleaseSettings, result: GateResult, verdict: str, reasons: str
) -> dict[str, str]:
    return {
        promotion.VERDICT: verdict,
        promotion.REASONS: reasons,
        POLICY: result.policy_digest,
        FOLDER: str(as_path(settings.output.folder)),
    }


def _ids_of_audits(result: GateResult) -> Iterator[str]:
    """Ids of the runs that the verdict was made of: `sightline remove` keeps them."""
    for audited in filter(None, (result.candidate, result.champion)):
        state = open_run(audited.run).state
        if state.id is not None:
            yield state.id


def _read_result(settings: ReleaseSettings) -> GateResult | None:
    """The result of an earlier attempt; None if there is none, or an older version wrote it."""
    file = as_path(settings.output.folder) / RELEASE.identity
    try:
        return GateResult.model_validate_json(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError):
        return None


def _write_result(settings: ReleaseSettings, result: GateResult) -> None:
    """Write result.json first, which identifies the others as ours, and the three others."""
    folder = as_path(settings.output.folder)
    RELEASE.check(folder)
    RELEASE.remove_temporary_files(folder)
    write_text(folder / RELEASE.identity, result.model_dump_json(indent=2) + "\n")
    write_text(folder / "junit.xml", as_junit(result))
    write_text(folder / "release.html", render_gate(result))
    write_text(folder / "release.md", gate_as_markdown(result))
