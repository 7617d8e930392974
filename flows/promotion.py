"""What a release does between its audits: who is challenged, what the gate says, what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from pydantic import ValidationError

from flows.compare_models import compare_audits
from flows.settings.compose import compose, read_config
from flows.settings.environment import tracking_of
from flows.settings.sections import AuditSettings, ReleaseSettings
from models.addresses import as_path
from models.classifier.architectures import ModelSettings
from models.classifier.mlflow_models import SCHEME
from models.errors import UserError
from reports.formatting import count_of
from reports.gate_page import render_gate
from reports.junit import as_junit
from reports.markdown import gate_as_markdown
from tasks.attribution.batch import UNANSWERED
from tasks.compare.paired_images import read_alone, read_pair
from tasks.compare.two_models import audited_model
from tasks.gate.policy import Policy, read_policy
from tasks.gate.rules import Evidence, passes, rule_on, verdict_of
from tasks.runs.folder import digest
from tasks.runs.reader import Run, open_run
from tasks.schema.gate import GateResult
from tasks.storage.files import write_text
from tasks.tracking.promotion import (
    REASONS,
    VERDICT,
    Candidacy,
    candidacy_of,
    digest_of_champion,
    promote,
    refuse,
)

RESULT = "result.json"
POLICY, FOLDER = "sightline.release.policy", "sightline.release.folder"  # tags of the version


@dataclass(frozen=True)
class Challenge:
    """A candidate, and the champion that it is compared with."""

    candidacy: Candidacy
    champion: ModelSettings | None  # to be audited
    champion_run: str | None  # finished
    compared: str  # in words


def settings_of_release(config: Path | None, given: Mapping[str, Any]) -> ReleaseSettings:
    """As given; what a finished run is taken with, its own settings say, unless others do."""
    told = {} if config is None else read_config(config)
    run = given.get("gate.run") or _of_section(told, "gate", "run")
    if run is None:
        return compose(ReleaseSettings, config, given)
    settings = open_run(run).state["settings"]
    usual = {
        f"{section}.{key}": value
        for section in AuditSettings.model_fields.keys() - {"output"}
        for key, value in settings.get(section, {}).items()
    }
    if not (given.get("output.series") or _of_section(told, "output", "series")):
        usual["output.run"] = run
    return compose(ReleaseSettings, config, given, usual)


def _of_section(told: Mapping[str, Any], section: str, key: str) -> Any:
    found = told.get(section)
    return found.get(key) if isinstance(found, dict) else None


def policy_of(settings: ReleaseSettings) -> Policy:
    """As its file says; what the audit would not compute for it is refused before."""
    policy = read_policy(settings.gate.policy)
    if settings.gate.run is None:
        policy.check_methods(settings.attribution.methods)
    return policy


def contest_of(settings: ReleaseSettings, candidate: str) -> Challenge:
    """Who has the alias now, and how it is compared with the candidate."""
    tracking, gate = tracking_of(settings.tracking), settings.gate
    address, folder = settings.model.address, settings.output.folder
    candidacy = candidacy_of(open_run(candidate), address, gate.alias, tracking, folder)
    if candidacy.is_champion:
        words = f"version {candidacy.version} is the {gate.alias} already: absolute rules decide"
        return Challenge(candidacy, None, None, words)
    if gate.champion_run is not None:
        _refuse_other(settings, candidacy, gate.champion_run)
        return Challenge(candidacy, None, gate.champion_run, f"compared with {gate.champion_run}")
    if candidacy.champion is None:
        words = f"{candidacy.name} has no {gate.alias} yet: absolute rules decide"
        return Challenge(candidacy, None, None, words)
    address = f"models:/{candidacy.name}/{candidacy.champion}"
    own = {"address": f"{SCHEME}{address}", "weights": None, "classes": None, "preprocessing": None}
    champion = settings.model.model_copy(update=own)
    return Challenge(candidacy, champion, None, f"compared with {gate.alias} {address}")


def judged(
    settings: ReleaseSettings, policy: Policy, contest: Challenge, runs: tuple[str, str | None]
) -> GateResult:
    """The policy against the candidate's audit, and the champion's where there is one."""
    kept = _judged_before(settings, policy, contest, runs[0])
    if kept is not None:
        return kept
    candidate, champion = (None if run is None else open_run(run) for run in runs)
    assert candidate is not None
    summary = candidate.summary()
    pair = None if champion is None else read_pair(champion, candidate)
    rulings = rule_on(policy, Evidence(read_alone(candidate), pair, summary.model.classes))
    unanswered = _unanswered(candidate)
    sentence = verdict_of(rulings)
    if unanswered:  # what it does not answer, no figure counts
        sentence = (
            f"Refused: it gives no answer for {count_of(unanswered, 'image')}, which no rule "
            f"counts. {sentence}"
        )
    return GateResult(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        policy=settings.gate.policy,
        policy_digest=policy.digest,
        data=summary.data,
        asked=_asked(candidate),
        images=summary.images.predicted,
        candidate=audited_model(candidate, summary),
        champion=None if champion is None else audited_model(champion, champion.summary()),
        compared=contest.compared,
        rulings=rulings,
        unanswered=unanswered,
        unread=summary.images.failed - unanswered,
        passed=passes(rulings) and not unanswered,
        sentence=sentence,
        promoted=False,
        promotion="The registry has not answered yet.",
    )


def _judged_before(
    settings: ReleaseSettings, policy: Policy, contest: Challenge, candidate: str
) -> GateResult | None:
    """The verdict of an earlier try of this release, which set the alias and then was cut off: it
    stands, since now the candidate would be its own champion."""
    file = as_path(settings.output.folder) / RESULT
    if not contest.candidacy.is_champion or not file.is_file():
        return None
    try:
        kept = GateResult.model_validate_json(file.read_text(encoding="utf-8"))
    except ValidationError:  # an older version's, or no result of ours
        return None
    same = (kept.asked, kept.policy_digest) == (_asked(open_run(candidate)), policy.digest)
    return kept if kept.passed and same else None


def decided(settings: ReleaseSettings, contest: Challenge, result: GateResult) -> GateResult:
    """Promote what passed; the result with what the registry says then, in three files."""
    write_result(settings, result)  # kept, wherever MLflow goes away
    candidacy, alias = contest.candidacy, settings.gate.alias
    stays = f"Alias {alias} stays {_told(candidacy.champion)}"
    reason: str | None = None
    if result.passed:
        evidence = _evidence(settings, result, "passed", result.sentence)
        reason = promote(candidacy, alias, tracking_of(settings.tracking), evidence)
        stays = f"Not promoted: {reason}"
    promoted = result.passed and reason is None
    promotion = _now(settings, candidacy) if promoted else f"{stays.rstrip('.')}."
    result = result.model_copy(update={"promoted": promoted, "promotion": promotion})
    write_result(settings, result)
    return result


def tagged(settings: ReleaseSettings, contest: Challenge, result: GateResult) -> None:
    """The refused candidate with its reasons, in MLflow."""
    failed = [it for it in result.rulings if it.effect == "fail"]
    reasons = [f"rule {it.number}: {it.reason}" for it in failed]
    if result.unanswered or not reasons:
        reasons = [result.sentence, *reasons]
    evidence = _evidence(settings, result, "refused", "; ".join(reasons))
    refuse(contest.candidacy, tracking_of(settings.tracking), evidence)


def write_result(settings: ReleaseSettings, result: GateResult) -> None:
    """result.json, junit.xml, release.html and release.md."""
    folder = as_path(settings.output.folder)
    write_text(folder / "junit.xml", as_junit(result))
    write_text(folder / "release.html", render_gate(result))
    write_text(folder / "release.md", gate_as_markdown(result))
    write_text(folder / RESULT, result.model_dump_json(indent=2) + "\n")


def compared(
    settings: ReleaseSettings, candidacy: Candidacy, champion: str, candidate: str
) -> None:
    """Both models on the same images, beside the verdict."""
    _refuse_other(settings, candidacy, champion)
    compare_audits(champion, candidate, settings.output.folder)


def _refuse_other(settings: ReleaseSettings, candidacy: Candidacy, champion_run: str) -> None:
    """The champion's audit must be of the version that has the alias."""
    champion = open_run(champion_run)
    if candidacy.champion is None:
        raise UserError(
            f"{candidacy.name!r} has no champion that {champion.folder.path} could be an audit of: "
            "leave out --champion-run, and absolute rules decide"
        )
    digest = digest_of_champion(candidacy, tracking_of(settings.tracking))
    found = champion.state["identity"]["model"]
    if found != digest:
        raise UserError(
            f"{champion.folder.path} audited the model {found[:12]}, and version "
            f"{candidacy.champion} of {candidacy.name!r}, which has the alias, is "
            f"{(digest or 'unknown')[:12]}: audit that one, or leave out --champion-run"
        )


def _unanswered(run: Run) -> int:
    """Images for which the model's answer was no number. A continued run says so of each part."""
    found: set[str] = set()
    for shard in run.shards:
        failures = run.part("failures/predictions", shard, ["row_id", "stage"])
        if failures is not None:
            mine = failures.filter(pc.field("stage") == UNANSWERED)
            found.update(mine["row_id"].to_pylist())
    return len(found)


def _asked(run: Run) -> str:
    """What was audited, and how: two audits of one digest are one."""
    settings = run.state["settings"]
    sections = ("attribution", "interventions", "foreground", "flags")
    return digest(run.state["identity"], [settings.get(section) for section in sections])


def _evidence(
    settings: ReleaseSettings, result: GateResult, verdict: str, reasons: str
) -> dict[str, str]:
    return {
        VERDICT: verdict,
        REASONS: reasons,
        POLICY: result.policy_digest,
        FOLDER: settings.output.folder,
    }


def _now(settings: ReleaseSettings, candidacy: Candidacy) -> str:
    return f"Alias {settings.gate.alias} of {candidacy.name} is version {candidacy.version} now."


def _told(version: str | None) -> str:
    return "nobody's" if version is None else f"version {version}"
