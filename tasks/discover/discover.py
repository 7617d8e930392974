"""Which backgrounds and artefacts do predictions rest on? Proposed on one half of the images,
confirmed by exchanges on the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

import numpy as np
import pyarrow as pa

from tasks.attribution.job import Job
from tasks.compare.pattern_changes import add_pattern_changes
from tasks.discover.candidates import Candidate, propose
from tasks.discover.earlier_patterns import place_known, read_earlier_patterns
from tasks.discover.facts import UNKNOWN
from tasks.discover.groupings import Divided, divide
from tasks.discover.known_patterns import add_watched, identify
from tasks.discover.results import Found, describe, without_repetitions
from tasks.discover.trial import Place, Trial
from tasks.discover.trial_plan import TrialImages, plan_trial
from tasks.discover.trials_stage import OnProgress, run_trials
from tasks.discover.verdicts import Judgement, judge, trial_of
from tasks.discover.write_patterns import write_patterns
from tasks.execution.attribution_stage import job_of
from tasks.execution.settings import ComputeSettings
from tasks.interventions.settings import InterventionSettings
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run
from tasks.runs.stages import PREDICTIONS
from tasks.schema import PatternSummary
from tasks.storage.files import write_text


def add_patterns(
    run_folder: RunFolder, compute: ComputeSettings, scratch: str, on_progress: OnProgress
) -> None:
    """Write the patterns of a run that was summarised, and add them to its summary."""
    found = find_patterns(run_folder, compute, scratch, on_progress)
    run = open_run(run_folder.path)
    summary = run.summary().model_copy(update={"patterns": found})
    if summary.moved is not None:
        moved = add_pattern_changes(summary.moved, run, found)
        summary = summary.model_copy(update={"moved": moved})
    write_text(run_folder.summary, summary.model_dump_json(indent=2) + "\n")


def find_patterns(
    run_folder: RunFolder, compute: ComputeSettings, scratch: str, on_progress: OnProgress
) -> PatternSummary | None:
    """Write the patterns of a run; None where none was asked for, or nothing was predicted."""
    run, job = open_run(run_folder.path), job_of(run_folder, compute)
    if job.patterns_method is None:
        return None
    earlier = read_earlier_patterns(run, job)
    divided = divide(run, job.patterns_method, earlier.clusters)
    if divided is None:
        return None
    known = place_known(earlier, divided, run)
    proposed = propose(divided.groupings, divided.facts, len(run.state.classes))
    candidates = add_watched(proposed, known)
    planned = [plan_trial(candidate, divided.facts) for candidate in candidates]
    keys = _keys_of(run, divided, planned)
    trials = [
        _trial(job, candidate, images, keys)
        for candidate, images in zip(candidates, planned, strict=True)
    ]
    made = run_trials(job, compute, scratch, trials, on_progress)
    judgements = _judge(run, divided, candidates, made, keys)
    found = without_repetitions(map(Found, candidates, planned, judgements, count()))
    identities, numbered = identify(found, known, earlier.summary.numbered)
    patterns = describe(found, identities, divided, run.state.classes, keys)
    chosen = [it.candidate for it in found]
    write_patterns(run_folder, divided, patterns, chosen, earlier.clusters)
    proposing = int(divided.facts.proposes_N.sum())
    return PatternSummary(
        candidates=patterns,
        halves=(proposing, len(divided.facts) - proposing),
        forwards=sum(len(table) for table in made if table is not None),
        numbered=numbered,
        known_from=earlier.known_from,
    )


def _keys_of(run: Run, divided: Divided, planned: Sequence[TrialImages]) -> Mapping[int, Place]:
    """The shard and the key of every image that a trial needs, by its number."""
    numbers = sorted({n for it in planned for n in (*it.exemplars, *it.controls, *it.recipients)})
    starts = np.array([*divided.start_of_shard.values()])
    shards = [*divided.start_of_shard]
    places: dict[int, Place] = {}
    for index in np.unique(np.searchsorted(starts, numbers, "right") - 1):
        table = run.part(PREDICTIONS, shards[index], ["row_id"])
        assert table is not None
        row_ids = table["row_id"].to_pylist()
        for number in numbers:
            inside = number - int(starts[index])
            if 0 <= inside < len(row_ids):
                places[number] = (shards[index], row_ids[inside])
    return places


def _trial(
    job: Job, candidate: Candidate, images: TrialImages, keys: Mapping[int, Place]
) -> Trial | None:
    """None where there are too few images."""
    if not images.are_enough:
        return None
    settings = job.interventions or InterventionSettings()
    return Trial(
        candidate.pulls_to,
        candidate.region,
        exemplars=tuple(keys[number] for number in images.exemplars),
        controls=tuple(keys[number] for number in images.controls),
        recipients=tuple(keys[number] for number in images.recipients),
        fill=settings.fill,
    )


def _judge(
    run: Run,
    divided: Divided,
    candidates: Sequence[Candidate],
    made: Sequence[pa.Table | None],
    keys: Mapping[int, Place],
) -> list[Judgement]:
    classes, label_N = run.state.classes, divided.facts.label_N
    labels = {
        key: None if label_N[number] == UNKNOWN else classes[label_N[number]]
        for number, (_, key) in keys.items()
    }
    return judge(
        [
            None if table is None else trial_of(table, classes[candidate.pulls_to], labels)
            for candidate, table in zip(candidates, made, strict=True)
        ]
    )
