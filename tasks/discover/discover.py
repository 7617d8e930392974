"""Which backgrounds and artefacts do predictions rest on? Proposed on one half of the images,
confirmed by exchanges on the other.
"""

from __future__ import annotations

from tasks.compare.pattern_changes import add_pattern_changes
from tasks.discover.candidates import propose
from tasks.discover.confirm import Trials, confirm
from tasks.discover.earlier_patterns import find_known, read_earlier_patterns
from tasks.discover.groupings import divide
from tasks.discover.known_patterns import add_watched, identify
from tasks.discover.results import describe, without_repetitions
from tasks.discover.trials_stage import OnProgress
from tasks.discover.write_patterns import write_patterns
from tasks.execution.attribution_stage import job_of
from tasks.execution.settings import ComputeSettings
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
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
    known = find_known(earlier, divided, run)
    proposed = propose(divided.groupings, divided.facts, len(run.state.classes))
    candidates = add_watched(proposed, known)
    trials = Trials(run, job, divided, compute, scratch, on_progress)
    judged = without_repetitions(confirm(trials, candidates))
    identities, numbered = identify(judged, known, earlier.summary.numbered)
    patterns = describe(judged, identities, divided, run.state.classes, trials.row_keys)
    chosen = [it.candidate for it in judged]
    write_patterns(run_folder, divided, patterns, chosen, earlier.clusters)
    proposing = int(divided.facts.proposes_N.sum())
    return PatternSummary(
        candidates=patterns,
        halves=(proposing, len(divided.facts) - proposing),
        forwards=trials.forwards,
        numbered=numbered,
        known_from=earlier.known_from,
    )
