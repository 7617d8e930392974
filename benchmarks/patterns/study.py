"""Does discovery find every planted pattern, and none where none was planted? And its neighbours?

    nice -n 10 python -m benchmarks.patterns.study [--quick] [--json | --markdown]

A cell is one network (planted.py), audited on pictures whose patterns are known. Cells are kept in
benchmarks/cells/patterns, pictures, networks and runs in the machine's temporary folder: a stopped
study goes on. --quick prints the figures of the cells that are kept.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.parquet as pq
import torch

from benchmarks.audit_in_process import attribute_in_process
from benchmarks.measure import Figure, main
from benchmarks.patterns.artefacts import KINDS
from benchmarks.patterns.judge import (
    FIRST,
    FoundPattern,
    Judgement,
    PlantedPattern,
    count_false,
    count_found,
    judge,
    mean_precision,
)
from benchmarks.patterns.neighbours import METHOD, NEIGHBOURS, RunImages, read_images
from benchmarks.patterns.networks import Effects, load_effects
from benchmarks.patterns.planted import (
    FOLDER,
    SPECS,
    PlantedSpec,
    read_backgrounds,
    read_planted,
    write_planted,
)
from models.classifier.settings import ModelSettings
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.discover.settings import PatternSettings
from tasks.flags.settings import FlagSettings
from tasks.schema import wilson
from tasks.summary.summarise import summarise

CELLS = Path(__file__).parents[1] / "cells" / "patterns"
VERSION = 1  # of what a cell measures
AUDIT = 1  # of the runs that are kept: another version is audited again
EFFECTS, DISCOVER = "effects", "sightline discover"
COMMAND = (sys.executable, "-c", "from flows.cli import main; main()", "discover")
LEARNT = 0.1  # effect from which a planted pattern counts: 10 points
REAL = 0.05  # effect from which a kind of background that was not planted is no false discovery
INVISIBLE = ("blur", "jpeg")  # no map can show where they are
Find = Callable[[Path], list[FoundPattern]]


@dataclass(frozen=True)
class Answer:
    """What one method found in one run."""

    judgement: Judgement
    seconds: float


@dataclass(frozen=True)
class Cell:
    """One network: what is true of it, and what each method says."""

    spec: PlantedSpec
    effects: Effects
    answers: Mapping[str, Answer]


def run(quick: bool) -> list[Figure]:
    """What is missing is measured first."""
    if not quick:
        torch.set_num_threads(1)
        for spec in SPECS:
            measure(spec)
    return list(figures_of(load_cells()))


def find_patterns(run_folder: Path) -> list[FoundPattern]:
    """By the command, as a user has it."""
    subprocess.run([*COMMAND, str(run_folder), "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return read_patterns(run_folder)


def read_patterns(run_folder: Path) -> list[FoundPattern]:
    """What `sightline discover` wrote."""
    patterns = pq.read_table(run_folder / "patterns.parquet").to_pylist()
    members = pq.read_table(run_folder / "pattern_members.parquet").sort_by("distance").to_pylist()
    return [
        FoundPattern(
            tuple(it["row_id"] for it in members if it["pattern"] == pattern["pattern"]),
            pattern["pulls_to"],
            pattern["verdict"],
        )
        for pattern in patterns
    ]


def methods() -> dict[str, Find]:
    """Ours and its neighbours, by name."""
    return {DISCOVER: find_patterns, **{name: _reading(find) for name, find in NEIGHBOURS.items()}}


def _reading(find: Callable[[RunImages], list[FoundPattern]]) -> Find:
    return lambda run_folder: find(read_images(run_folder))


def measure(spec: PlantedSpec) -> None:
    """What is missing of one cell: its effects, or the answers of some methods."""
    missing = {name: find for name, find in methods().items() if not _file(spec, name).exists()}
    if not missing:
        return
    sys.stderr.write(f"patterns: {spec.name}\n")
    effects, run_folder = load_effects(spec), audit(spec)
    truths = split_truths(effects, read_planted(spec), spec)
    _keep(_file(spec, EFFECTS), asdict(effects))
    for name, find in missing.items():
        _keep(_file(spec, name), asdict(_answer(find, run_folder, *truths)))


def split_truths(
    effects: Effects, planted: Sequence[PlantedPattern], spec: PlantedSpec
) -> tuple[list[PlantedPattern], list[PlantedPattern]]:
    """What must be found, and what may be: patterns that are hardly learnt, and kinds of background
    that matter although nobody planted them."""
    learnt = [it for it in planted if effects.points[it.name] >= LEARNT]
    hardly = [it for it in planted if REAL <= effects.points[it.name] < LEARNT]
    scenes = [name for name, effect in effects.scenes.items() if effect >= REAL]
    return learnt, [*hardly, *read_backgrounds(spec, scenes)]


def _answer(
    find: Find,
    run_folder: Path,
    planted: Sequence[PlantedPattern],
    unplanted: Sequence[PlantedPattern],
) -> Answer:
    start = time.perf_counter()
    found = find(run_folder)
    return Answer(judge(found, planted, unplanted), time.perf_counter() - start)


def audit(spec: PlantedSpec) -> Path:
    """The finished run of a network on its audited split."""
    folder = FOLDER / spec.data_name / f"run-{spec.bundle.name}-{AUDIT}"
    if not (folder / "summary.json").is_file():
        data = DataSettings(path=str(write_planted(spec)), split="test")
        attribution = AttributionSettings(methods=(METHOD,))
        request = AuditRequest(data, attribution, patterns=PatternSettings())
        run, cost = attribute_in_process(folder, ModelSettings(address=str(spec.bundle)), request)
        summarise(run, FlagSettings(method=METHOD), cost)
    return folder


def _keep(file: Path, content: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_suffix(".tmp").write_text(json.dumps(content, indent=1) + "\n")
    file.with_suffix(".tmp").replace(file)


def load_cells() -> list[Cell]:
    """Those with the answers of all methods."""
    complete = [it for it in SPECS if all(_file(it, name).exists() for name in methods())]
    return [load_cell(spec) for spec in complete]


def load_cell(spec: PlantedSpec) -> Cell:
    """As it was kept."""
    kept = {name: json.loads(_file(spec, name).read_text()) for name in (EFFECTS, *methods())}
    effects = Effects(**kept.pop(EFFECTS))
    answers = {
        name: Answer(_as_judgement(it["judgement"]), it["seconds"]) for name, it in kept.items()
    }
    return Cell(spec, effects, answers)


def _as_judgement(kept: Mapping[str, Any]) -> Judgement:
    """Lists in JSON were tuples."""
    precisions = {name: tuple(shares) for name, shares in kept["found"].items()}
    missed, others = tuple(kept["missed"]), tuple(kept["others"])
    return Judgement(precisions, missed, kept["repeats"], kept["unplanted"], others)


def _file(spec: PlantedSpec, content: str) -> Path:
    """Of the effects, or of a method's answer."""
    return CELLS / spec.name / f"{content.replace(',', '').replace(' ', '-')}-{VERSION}.json"


def figures_of(cells: Sequence[Cell]) -> Iterator[Figure]:
    """What is true of the networks, then method by method, ours first; goals are for ours."""
    planted = [cell for cell in cells if cell.spec.kinds]
    yield from _effects(planted)
    for name in cells[0].answers if cells else ():
        runs = {cell.spec: cell.answers[name].judgement for cell in cells}
        yield from _clean_figures(name, runs)
        for where, belongs in GROUPS.items():
            own = [it for spec, it in runs.items() if spec.kinds and belongs(spec)]
            yield from _planted_figures(f"{name}, {where}", own, name)
        yield from _kind_figures(name, list(runs.values()))
        seconds = [cell.answers[name].seconds for cell in cells]
        yield Figure(f"{name}: seconds a run", fmean(seconds), min(seconds), max(seconds))


GROUPS: dict[str, Callable[[PlantedSpec], bool]] = {
    "first look": lambda spec: spec.look == "first",
    "second look": lambda spec: spec.look == "second",
    "1 at once": lambda spec: len(spec.kinds) == 1,
    "2 at once": lambda spec: len(spec.kinds) == 2,
    "3 at once": lambda spec: len(spec.kinds) == 3,
}


@dataclass(frozen=True)
class Goal:
    """Of `sightline discover`; its neighbours have none."""

    limit: float
    at_most: bool
    ours: str  # the method that is judged

    def apply(self, value: float) -> tuple[str, bool | None]:
        """In words, and whether it holds."""
        if self.ours != DISCOVER or math.isnan(value):
            return "", None
        words = f"{'at most' if self.at_most else 'at least'} {self.limit:.2g}"
        return words, value <= self.limit if self.at_most else value >= self.limit


def _effects(cells: Sequence[Cell]) -> Iterator[Figure]:
    """How strong each kind of pattern is in the networks that have learnt it."""
    for kind in dict.fromkeys(kind for cell in cells for kind in cell.spec.kinds):
        points = [cell.effects.points[kind] for cell in cells if kind in cell.spec.kinds]
        yield Figure(f"planted effect of {kind}", fmean(points), min(points), max(points))


def _clean_figures(name: str, runs: Mapping[PlantedSpec, Judgement]) -> Iterator[Figure]:
    """Runs with a confirmed pattern where none is planted; a network with random weights may rest
    on backgrounds all the same, so that the last two leave out what is true of the network."""
    every = {spec: it for spec, it in runs.items() if not spec.kinds}
    wrong = sum(bool(it.false or it.unplanted) for it in every.values())
    title = f"{name}, nothing planted: runs with a confirmed pattern"
    yield _rate(title, wrong, len(every), Goal(1 / 30, at_most=True, ours=name))
    for words, trained in (("trained", True), ("random weights", False)):
        own = [bool(it.false) for spec, it in every.items() if spec.trained == trained]
        title = f"{name}, nothing planted, {words}: runs with one that is not true of the network"
        yield _rate(title, sum(own), len(own), Goal(1 / 30, at_most=True, ours=name))


def _planted_figures(title: str, runs: Sequence[Judgement], name: str) -> Iterator[Figure]:
    high, low = Goal(0.9, at_most=False, ours=name), Goal(0.1, at_most=True, ours=name)
    yield _rate(f"{title}: discovery rate", *count_found(runs), high)
    yield _rate(f"{title}: false discovery rate", *count_false(runs), low)
    for first in FIRST:
        value = mean_precision(runs, first)
        title_of_first = f"{title}: precision of the first {first}"
        yield Figure(title_of_first, value, None, None, *high.apply(value))


def _kind_figures(name: str, runs: Sequence[Judgement]) -> Iterator[Figure]:
    """Discovery rate of each kind of pattern."""
    for kind in KINDS:
        found = sum(kind in it.found for it in runs)
        missed = sum(kind in it.missed for it in runs)
        goal = Goal(0.7 if kind in INVISIBLE else 0.9, at_most=False, ours=name)
        yield _rate(f"{name}, {kind}: discovery rate", found, found + missed, goal)


def _rate(title: str, count: int, of: int, goal: Goal) -> Figure:
    rate = wilson(count, of)
    value = math.nan if rate.value is None else rate.value
    return Figure(f"{title} ({count} of {of})", value, rate.low, rate.high, *goal.apply(value))


if __name__ == "__main__":
    main(run)
