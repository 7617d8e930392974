"""Every candidate is judged by its trial; a confirmed one again, without the images of stronger
patterns: what images without a strong pattern have in common must not count as one itself.

Shapes: N images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tasks.attribution.job import Job
from tasks.discover.candidates import Candidate
from tasks.discover.facts import UNKNOWN, Facts
from tasks.discover.groupings import Divided
from tasks.discover.results import Judged, strongest_first
from tasks.discover.trial import RowKey, Trial
from tasks.discover.trial_plan import FEWEST_BACKGROUNDS, TrialImages, plan_trial
from tasks.discover.trials_stage import OnProgress, run_trials
from tasks.discover.verdicts import TrialResult, judge, read_trial
from tasks.execution.settings import ComputeSettings
from tasks.interventions.settings import InterventionSettings
from tasks.runs.reader import Run
from tasks.runs.stages import PREDICTIONS
from tasks.schema.patterns import LEAST_EFFECT

ONLY_WITH = "but nearly all its images have a stronger pattern, too"
ONLY_WITHOUT = "but nearly all other images have a stronger pattern, so it may be the lack of that"


@dataclass
class Trials:
    """The trials of one run, and what is known of the images that they use."""

    run: Run
    job: Job
    divided: Divided
    compute: ComputeSettings
    scratch: str
    on_progress: OnProgress
    row_keys: dict[int, RowKey] = field(default_factory=dict)  # of images, by their numbers
    forwards: int = 0  # pictures that were made

    def measure(
        self,
        candidates: Mapping[int, Candidate],
        planned: Mapping[int, TrialImages],
        first_number: int = 0,
    ) -> dict[int, TrialResult]:
        """By the number of the candidate; those with too few images are left out. Trials are
        numbered from `first_number` on."""
        self.row_keys |= row_keys_of(self.run, self.divided, planned.values())
        trials = {
            first_number + number: self._trial(candidates[number], images)
            for number, images in planned.items()
            if images.are_enough
        }
        made = run_trials(self.job, self.compute, self.scratch, trials, self.on_progress)
        self.forwards += sum(map(len, made.values()))
        classes, labels, results = self.run.state.classes, self._labels(), {}
        for trial, table in made.items():
            candidate = candidates[trial - first_number]
            class_name = classes[candidate.pulls_to]
            results[trial - first_number] = read_trial(table, candidate, class_name, labels)
        return results

    def _trial(self, candidate: Candidate, images: TrialImages) -> Trial:
        settings = self.job.interventions or InterventionSettings()
        exemplars, controls, recipients = (
            tuple(self.row_keys[number] for number in numbers)
            for numbers in (images.exemplars, images.controls, images.recipients)
        )
        return Trial(
            candidate.pulls_to,
            candidate.region,
            candidate.given,
            exemplars,
            controls,
            recipients,
            settings.fill,
        )

    def _labels(self) -> dict[str, str | None]:
        """By the key of a row."""
        classes, label_N = self.run.state.classes, self.divided.facts.label_N
        return {
            key: None if label_N[number] == UNKNOWN else classes[label_N[number]]
            for number, (_, key) in self.row_keys.items()
        }


def confirm(trials: Trials, candidates: Sequence[Candidate]) -> list[Judged]:
    """A verdict for each candidate, in their order."""
    facts, numbered = trials.divided.facts, dict(enumerate(candidates))
    planned = {number: plan_trial(it, facts) for number, it in numbered.items()}
    results = trials.measure(numbered, planned)
    first = _judge(numbered, planned, results)

    without = _members_of_stronger(first)
    planned_again = {it: plan_trial(numbered[it], facts, without[it]) for it in without}
    results_again = trials.measure(numbered, planned_again, first_number=len(candidates))
    refuted = {
        it: judged
        for it in without
        if it not in results_again
        and (judged := _refute(first[it], planned_again[it], facts)) is not None
    }
    # Those count as p = 1 from here on, as all that cannot be confirmed (verdicts.py).
    lasting = {it: result for it, result in results.items() if it not in refuted}
    tried_again = {it: planned_again[it] for it in results_again}
    second = _judge(numbered, planned | tried_again, lasting | results_again)
    return [
        replace(second[it], number=len(candidates) + it)
        if it in results_again
        else refuted[it]
        if it in refuted
        # The weaker: corrected anew, q may fall, which confirms nothing that was not tried again.
        else max(second[it], first[it], key=strongest_first)
        for it in numbered
    ]


def _judge(
    candidates: Mapping[int, Candidate],
    planned: Mapping[int, TrialImages],
    results: Mapping[int, TrialResult],
) -> list[Judged]:
    judgements = judge([results.get(number) for number in candidates])
    return [
        Judged(candidate, planned[number], judgement, number)
        for (number, candidate), judgement in zip(candidates.items(), judgements, strict=True)
    ]


def _members_of_stronger(judged: Sequence[Judged]) -> dict[int, np.ndarray]:
    """(N,) by the number of each confirmed candidate whose trial used images of stronger patterns:
    the members of those."""
    confirmed = sorted((it for it in judged if it.is_confirmed), key=strongest_first)
    without = {}
    for rank, it in enumerate(confirmed):
        stronger = [other.candidate.member_N for other in confirmed[:rank]]
        used = [*it.images.exemplars, *it.images.controls, *it.images.recipients]
        if stronger and np.any(np.stack(stronger)[:, used]):
            without[it.number] = np.any(np.stack(stronger), axis=0)
    return without


def _refute(first: Judged, planned: TrialImages, facts: Facts) -> Judged | None:
    """What was confirmed, where there are too few images without stronger patterns for a second
    trial: not confirmed; None where it stays so. Where other images are missing, not members, what
    the recipients are predicted as without any background decides."""
    if len(planned.exemplars) < FEWEST_BACKGROUNDS:
        reason = ONLY_WITH
    elif _exceeds_no_background(first, facts):
        return None
    else:
        reason = ONLY_WITHOUT
    judgement = replace(first.judgement, verdict="not confirmed", reason=reason)
    return replace(first, judgement=judgement)


def _exceeds_no_background(judged: Judged, facts: Facts) -> bool:
    """Is the class clearly predicted more often with the pattern than without any background?"""
    measured = judged.judgement.measured
    assert measured is not None  # it was confirmed
    bare_r = facts.bare_N[list(judged.images.recipients)]
    bare_r = bare_r[bare_r != UNKNOWN]
    if not len(bare_r):
        return False
    bare = float(np.mean(bare_r == judged.candidate.pulls_to))
    return measured.effect_over(bare).low >= LEAST_EFFECT


def row_keys_of(run: Run, divided: Divided, planned: Iterable[TrialImages]) -> dict[int, RowKey]:
    """The shard and the key of every image that trials need, by its number."""
    numbers = sorted({n for it in planned for n in (*it.exemplars, *it.controls, *it.recipients)})
    starts, shards = np.array([*divided.start_of_shard.values()]), [*divided.start_of_shard]
    row_keys: dict[int, RowKey] = {}
    for index in np.unique(np.searchsorted(starts, numbers, "right") - 1):
        table = run.part(PREDICTIONS, shards[index], ["row_id"])
        assert table is not None
        row_ids = table["row_id"].to_pylist()
        for number in numbers:
            inside = number - int(starts[index])
            if 0 <= inside < len(row_ids):
                row_keys[number] = (shards[index], row_ids[inside])
    return row_keys
