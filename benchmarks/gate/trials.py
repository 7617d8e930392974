"""Does the gate refuse what rests on the background, and see no change where there is none?

python -m benchmarks.gate.trials [--quick] [--json] [--part 1/2] prints the figures of the trials
that are kept, and computes those that are missing (minutes each; --quick does not). `--part 1/2`
only computes, every second one.

A trial is a small network trained from scratch on pictures of its own, audited as by `sightline
audit` but in this process, and held against the policy of the demo, whose limits were set on seeds
of 100 and more. Between the same and the same: the model and itself, other donors drawn, where no
change is true; and two trainings of one recipe, networks that differ by what the seeds did.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from benchmarks.audit_in_process import attribute_in_process
from benchmarks.measure import Figure, make_parser, print_figures
from benchmarks.retraining.cells import CELLS
from models.classifier.settings import ModelSettings
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.compare.figures import FigureQuery, FigureValue, compute_figure, widen
from tasks.compare.paired_images import PairedImages, match_runs, read_alone, read_pair
from tasks.discover.discover import add_patterns
from tasks.discover.settings import PatternSettings
from tasks.execution.settings import ComputeSettings
from tasks.flags.settings import FlagSettings
from tasks.gate.pattern_counts import PatternEvidence
from tasks.gate.policy import Policy, read_policy
from tasks.gate.rules import Evidence, apply_policy, passes
from tasks.interventions.settings import InterventionSettings
from tasks.runs import open_run
from tasks.runs.folder import digest
from tasks.runs.reader import Run
from tasks.schema import FLAG_RULE, wilson
from tasks.summary.summarise import summarise
from tasks.synthetic.baseline import train_baseline
from tasks.synthetic.dataset import write_benchmark
from tasks.synthetic.settings import BenchmarkSettings

VERSION = 2  # of how trials are made and measured
KEPT = CELLS / "gate"
POLICY = Path(__file__).parents[2] / "flows/policy.toml"
STRONG, HALF, NONE = 0.95, 0.8, 0.25
SEEDS = range(1, 21)
SAME = 50  # trials of the same against the same
PICTURES = {"train": 2000, "validation": 0, "test": 1280}
METHOD = "grad_cam_pp"  # flags, and of the policy's lift
AGAIN = 10_000  # added to a seed: the second training's
HERE = ComputeSettings(workers=0)
CHANGES = ("accuracy", "worst_group", "flips", "exchange_gap", "excess", "lift")
KINDS = {"donors": "itself with other donors", "training": "another training of its recipe"}


@dataclass(frozen=True)
class Trial:
    """One network whose truth is known: how strong its shortcut was planted."""

    strength: float
    seed: int

    def file(self, question: str) -> Path:
        mark = digest(VERSION, PICTURES, read_policy(str(POLICY)).digest)
        return KEPT / f"{question}-{self.strength}-{self.seed}-{mark[:8]}.json"

    @cached_property
    def folder(self) -> Path:
        """With the pictures in it."""
        name = f"sightline-trials-{VERSION}/{self.strength}-{self.seed}"
        folder = Path(tempfile.gettempdir()) / name
        settings = BenchmarkSettings.model_validate(
            {"strength": self.strength, "seed": self.seed, **PICTURES}
        )
        write_benchmark(folder / "benchmark", settings, 1)
        return folder

    def bundle(self, training_seed: int) -> Path:
        """A network trained on the biased split."""
        bundle = self.folder / f"model-{training_seed}"
        return train_baseline(self.folder / "benchmark", bundle, seed=training_seed)

    def audit(self, name: str, bundle: Path, donors: InterventionSettings) -> Run:
        """All that `sightline audit` computes; a finished run is kept, while its flags are of the
        present rule: changes between two rules are no figures."""
        folder = self.folder / name
        if not (folder / "summary.json").is_file() or _flag_rule(folder) != FLAG_RULE:
            data = DataSettings(path=str(self.folder / "benchmark"), split="test")
            maps, patterns = AttributionSettings(methods=(METHOD,)), PatternSettings()
            request = AuditRequest(data, maps, donors, patterns=patterns)
            run, cost = attribute_in_process(folder, ModelSettings(address=str(bundle)), request)
            summarise(run, FlagSettings(method=METHOD), cost)
            add_patterns(run, HERE, str(self.folder / "dask"), lambda *_: None)
        return open_run(folder)


TRIALS = tuple(Trial(strength, seed) for strength in (NONE, HALF, STRONG) for seed in SEEDS)


def run(quick: bool) -> list[Figure]:
    """How often the gate said what is true; --quick: of the trials that are kept."""
    figures: list[Figure] = []
    for strength in (STRONG, HALF, NONE):
        own = [trial for trial in TRIALS if trial.strength == strength]
        figures += _verdicts(strength, list(_load_answers("verdict", own, quick)))
    every = [it["donors"] for it in _load_answers("same", TRIALS[:SAME], quick)]
    figures += _sure_changes(KINDS["donors"], every, "interval not above 0.05")
    for strength in (NONE, HALF, STRONG):
        own = [trial for trial in TRIALS[:SAME] if trial.strength == strength]
        found = list(_load_answers("same", own, quick))
        trained = [it["training"] for it in found]
        figures += _sure_changes(f"shortcut at {strength}: {KINDS['training']}", trained)
        for kind, words in KINDS.items():
            figures += _kept_rules(f"shortcut at {strength}: {words}", [it[kind] for it in found])
    return figures


def _load_answers(question: str, trials: Sequence[Trial], quick: bool) -> Iterator[dict[str, Any]]:
    for trial in trials:
        if not quick or trial.file(question).exists():
            yield load_answer(question, trial)


def load_answer(question: str, trial: Trial) -> dict[str, Any]:
    """What was kept of the trial, or is made now."""
    file = trial.file(question)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        found = QUESTIONS[question](trial)
        file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return kept


def measure_verdict(trial: Trial) -> dict[str, Any]:
    """What the gate says of the network alone."""
    policy = read_policy(str(POLICY))
    first = trial.audit("first", trial.bundle(trial.seed), InterventionSettings())
    alone = read_alone(first)
    classes, patterns = first.summary().model.classes, PatternEvidence.of(first, None)
    rulings = apply_policy(policy, Evidence(alone, None, classes, patterns))
    return {
        "passed": passes(rulings),
        "rules": {it.rule: it.status for it in rulings},
        "figures": {name: _found(alone, name, change=False) for name in CHANGES},
    }


def measure_changes(trial: Trial) -> dict[str, Any]:
    """What it says of the network against itself, and against another training of its recipe."""
    policy, bundle = read_policy(str(POLICY)), trial.bundle(trial.seed)
    first = trial.audit("first", bundle, InterventionSettings())
    same_donors = InterventionSettings(donors=str(first.folder.path))
    second = trial.audit("donors", bundle, InterventionSettings(donor_seed=1))
    third = trial.audit("training", trial.bundle(AGAIN + trial.seed), same_donors)
    pairs = {"donors": match_runs(first, second), "training": read_pair(first, third)}
    classes, others = first.summary().model.classes, {"donors": second, "training": third}
    return {
        kind: _judge_changes(
            policy, Evidence(pair, pair, classes, PatternEvidence.of(others[kind], first))
        )
        for kind, pair in pairs.items()
    }


QUESTIONS = {"verdict": measure_verdict, "same": measure_changes}


def _flag_rule(folder: Path) -> int:
    return open_run(folder).summary().rule.version


def _judge_changes(policy: Policy, evidence: Evidence) -> dict[str, Any]:
    """The policy's rules about two models, and each change with its interval."""
    rulings = apply_policy(policy, evidence)
    changes = [it for it, rule in zip(rulings, policy.rules, strict=True) if rule.needs_champion]
    return {
        "rules": {it.rule: it.status for it in changes},
        "figures": {name: _found(evidence.candidate, name, change=True) for name in CHANGES},
    }


def _found(images: PairedImages, figure: str, *, change: bool) -> list[float] | None:
    query = FigureQuery(figure, METHOD if figure == "lift" else None, change=change)
    found = compute_figure(images, query)
    if not isinstance(found, FigureValue):
        return None
    found = widen(found, query)
    return [found.value, found.low, found.high]


def _verdicts(strength: float, found: Sequence[Mapping[str, Any]]) -> Iterator[Figure]:
    refused = sum(not it["passed"] for it in found)
    whole = len(found) == len(SEEDS)
    if strength == NONE:
        passed = len(found) - refused
        name, goal = "without a shortcut that are let through", "at least 19 of 20"
        holds = passed >= 19 if whole else None
        yield Figure(f"trials of {len(found)} {name}", passed, None, None, goal, holds)
    else:
        name = f"trials of {len(found)} with a shortcut at {strength} that are refused"
        holds = refused == len(found) if whole else None
        yield Figure(name, refused, None, None, "20 of 20", holds)
        yield Figure(f"{name}, by a rule that is broken", sum(map(_is_broken, found)))
    rests = sum(map(_has_patterns, found))
    yield Figure(f"trials of {len(found)} at {strength} with a confirmed pattern", rests)
    for name in ("accuracy", "worst_group", "flips"):
        values = [it["figures"][name][0] for it in found]
        if values:
            mean = sum(values) / len(values)
            yield Figure(f"shortcut at {strength}: {name}", mean, min(values), max(values))


def _is_broken(found: Mapping[str, Any]) -> bool:
    """By a rule that does not only warn, and is not only undecided."""
    rules = zip(read_policy(str(POLICY)).rules, found["rules"].values(), strict=True)
    return any(status == "fail" and not rule.warn for rule, status in rules)


def _has_patterns(found: Mapping[str, Any]) -> bool:
    """Is the rule about confirmed patterns broken?"""
    return any(
        status == "fail"
        for rule, status in found["rules"].items()
        if rule.startswith("patterns.confirmed")
    )


def _sure_changes(
    words: str, found: Sequence[Mapping[str, Any]], goal: str = ""
) -> Iterator[Figure]:
    """How often an interval leaves out that nothing changed."""
    for name in CHANGES:
        known = [it["figures"][name] for it in found if it["figures"][name] is not None]
        surely = sum(not low <= 0 <= high for _, low, high in known)
        yield _share(f"{words}: a sure change of {name}", surely, len(known), goal)


def _kept_rules(words: str, found: Sequence[Mapping[str, Any]]) -> Iterator[Figure]:
    """How often each of the policy's rules about changes is kept."""
    for rule in found[0]["rules"] if found else ():
        kept = sum(it["rules"][rule] == "pass" for it in found)
        yield _share(f"{words}: kept: {rule.partition(' against')[0]}", kept, len(found))


def _share(name: str, count: int, of: int, goal: str = "") -> Figure:
    rate = wilson(count, of)
    value, low, high = (number or 0.0 for number in (rate.value, rate.low, rate.high))
    holds = low <= 0.05 if goal and of == SAME else None
    return Figure(f"{name}, of {of}", value, low, high, goal, holds)


def compute(part: int, parts: int) -> None:
    """What is missing of every so-many-th trial, verdicts first."""
    torch.set_num_threads(1)
    questions = [("verdict", trial) for trial in TRIALS] + [
        ("same", trial) for trial in TRIALS[:SAME]
    ]
    for question, trial in questions:
        if TRIALS.index(trial) % parts == part - 1 and not trial.file(question).exists():
            sys.stderr.write(f"{question}: strength {trial.strength}, seed {trial.seed}\n")
            load_answer(question, trial)


def main() -> None:
    """The command."""
    parser = make_parser()
    parser.add_argument("--part", help="only compute, this part of so many: 1/2")
    arguments = parser.parse_args()
    if arguments.part:
        compute(*map(int, arguments.part.split("/")))
    else:
        print_figures(run(arguments.quick), arguments)


if __name__ == "__main__":
    main()
