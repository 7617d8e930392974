"""The gate's decision on a finished audit, by every rule of the policy and over every image."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from models.errors import UserError
from tasks.compare.paired_images import check_pair, pair_images, read_alone
from tasks.compare.two_models import audited_model
from tasks.gate.pattern_counts import PatternEvidence
from tasks.gate.policy import Policy
from tasks.gate.rules import Evidence, apply_policy, passes, verdict_of
from tasks.query.database import open_images
from tasks.runs.folder import digest
from tasks.runs.reader import Run
from tasks.runs.stages import FAILURES, PREDICT, PREDICTIONS
from tasks.scenarios.figures import choose_rows
from tasks.scenarios.filter_words import describe_filter
from tasks.schema.gate import GateResult, GateScenario

AUDIT_SECTIONS = (
    "attribution",
    "interventions",
    "foreground",
    "flags",
    "patterns",
)  # of the settings


def decide(policy: Policy, candidate: Run, champion: Run | None, compared: str) -> GateResult:
    """The policy's verdict on a candidate, which is not promoted yet.

    `compared` describes the champion it is compared with, or why there is none.
    """
    summary = candidate.summary()
    evidence = _evidence(policy, candidate, champion)
    rulings = apply_policy(policy, evidence)
    unanswered = _count_unanswered(candidate)
    return GateResult(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        policy=policy.address,
        policy_digest=policy.digest,
        data=summary.data,
        asked=_audit_digest(candidate),
        images=summary.images.predicted,
        candidate=audited_model(candidate, summary),
        champion=None if champion is None else audited_model(champion, champion.summary()),
        compared=compared,
        scenarios=tuple(_scenarios(policy, evidence)),
        rulings=rulings,
        unanswered=unanswered,
        unread=summary.images.failed - unanswered,
        passed=passes(rulings) and not unanswered,
        sentence=_refusal(unanswered) + verdict_of(rulings),
        promoted=False,
        promotion="The registry has not answered yet.",
    )


def still_holds(result: GateResult, policy: Policy, candidate: Run) -> bool:
    """Whether an earlier verdict passed the same audit under the same policy."""
    return (
        result.passed
        and result.asked == _audit_digest(candidate)
        and result.policy_digest == policy.digest
    )


def _evidence(policy: Policy, candidate: Run, champion: Run | None) -> Evidence:
    if champion is not None:
        check_pair(champion, candidate)
    images = read_alone(candidate)
    pair = None if champion is None else pair_images(read_alone(champion), images)
    classes = candidate.summary().model.classes
    patterns = PatternEvidence.of(candidate, champion)
    scenarios = _choose_images(policy, candidate, champion)
    return Evidence(images, pair, classes, patterns, scenarios)


def _choose_images(
    policy: Policy, candidate: Run, champion: Run | None
) -> dict[str, pa.Array | str]:
    """By scenario, the row ids of its images, the same for both models; or why there are none."""
    if not policy.scenarios:
        return {}
    database = open_images(candidate, champion, copied=False)
    found: dict[str, pa.Array | str] = {}
    for name, chosen in policy.scenarios.items():
        try:
            found[name] = choose_rows(database, chosen)
        except UserError as error:  # the audit's table lacks a column
            found[name] = f"the scenario {name!r} is not of this audit: {error}"
    return found


def _scenarios(policy: Policy, evidence: Evidence) -> Iterator[GateScenario]:
    for name, chosen in policy.scenarios.items():
        row_ids = evidence.scenarios[name]
        images = None if isinstance(row_ids, str) else len(row_ids)
        yield GateScenario(name=name, words=describe_filter(chosen), images=images)


def _count_unanswered(run: Run) -> int:
    """Images for which the model gave no number; a resumed run lists one in several parts."""
    row_ids: set[str] = set()
    for shard in run.shards:
        failures = run.part(FAILURES.of(PREDICTIONS.name), shard, ["row_id", "stage"])
        if failures is not None:
            unanswered = failures.filter(pc.field("stage") == PREDICT)
            row_ids.update(unanswered["row_id"].to_pylist())
    return len(row_ids)


def _refusal(unanswered: int) -> str:
    """No figure counts the images without an answer, so any such image refuses the candidate."""
    if not unanswered:
        return ""
    images = "1 image" if unanswered == 1 else f"{unanswered:,} images"
    return f"Refused: it gives no answer for {images}, which no rule counts. "


def _audit_digest(run: Run) -> str:
    """The same for two audits of the same model and data with the same settings."""
    settings = run.state.settings
    return digest(
        run.state.identity.as_json(), [settings.get(section) for section in AUDIT_SECTIONS]
    )
