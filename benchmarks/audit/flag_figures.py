"""What the cells of benchmarks/audit/flags.py say together, and what was hoped for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.audit.known_classifiers import ClassifierSpec
from benchmarks.measure import Figure

Cell = dict[str, float]  # figures of one classifier by name
Range = tuple[float, float]

STRONG = (0.9, 0.95)
SCORE_GOALS = {
    "masks: score": (0.95, 1.0),
    "masks: score within": (0.92, 1.0),
    "estimates: score": (0.88, 1.0),
    "estimates: score within": (0.84, 1.0),
}
LEAD_GOALS = {
    f"masks: score over {rival}": (0.05, 1.0) for rival in ("attention", "low confidence")
}
FALSE_ALARM_GOALS = {"flagged": (0.02, 0.08), "estimates flagged": (0.02, 0.08)}
NO_FINDING_GOALS = {"finding": (0.0, 0.0), "estimates finding": (0.0, 0.0)}


def figures_of(cells: Mapping[ClassifierSpec, Cell]) -> list[Figure]:
    """Family by family: classifiers that differ by their seed alone."""
    families: dict[ClassifierSpec, list[Cell]] = {}
    for spec, cell in cells.items():
        families.setdefault(replace(spec, seed=0), []).append(cell)
    order = sorted(families, key=lambda it: (it.look, it.size, it.strength, it.mix or 0, it.kind))
    return [figure for spec in order for figure in _family(spec, families[spec])]


def _family(spec: ClassifierSpec, cells: Sequence[Cell]) -> list[Figure]:
    """All figures of some seeds: their mean, the lowest and the highest."""
    product = f", composed with weight {spec.mix:g}" if spec.mix else ""
    kind = "" if spec.kind == "trained" else f", {spec.kind}"
    name = f"{spec.look} look, {spec.size} objects, strength {spec.strength}{product}{kind}"
    goals = _goals(spec)
    found = []
    for figure in cells[0]:
        values = [cell[figure] for cell in cells if np.isfinite(cell.get(figure, math.nan))]
        if values:
            found.append(_figure(f"{name}: {figure}", values, goals.get(figure), figure))
    return found


def _figure(name: str, values: Sequence[float], goal: Range | None, figure: str) -> Figure:
    mean, low, high = float(np.mean(values)), min(values), max(values)
    if goal is None:
        return Figure(name, mean, low, high)
    compared = values if figure in FALSE_ALARM_GOALS else [mean]  # false alarms: on every seed
    holds = all(goal[0] <= value <= goal[1] for value in compared)
    return Figure(name, mean, low, high, f"{goal[0]:g} to {goal[1]:g}", holds)


def _goals(spec: ClassifierSpec) -> Mapping[str, Range]:
    if spec.kind != "trained":
        return NO_FINDING_GOALS
    if spec.mix:
        return {}
    if spec.size == "small" and spec.strength in STRONG:
        return SCORE_GOALS
    return LEAD_GOALS if spec.has_shortcut else FALSE_ALARM_GOALS
