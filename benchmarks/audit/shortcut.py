"""Is the planted shortcut real? The small network on the generated benchmark, strong and without.

python -m benchmarks.audit.shortcut [--quick] [--json]. Intervals are the lowest and highest of
the seeds (1, 2, 3; the recipe was chosen on seeds of 100 and more). One recipe for all rows.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.measure import Figure, main
from benchmarks.synthetic import DatasetVariant, chance_of, rows_of_split
from models.classifier.small_resnet import small_preprocessing, small_resnet
from tasks.finetune.predict import predict_classes
from tasks.synthetic.baseline import train_small_resnet, training_images_of
from tasks.synthetic.dataset import plan, scene_of, write_benchmark
from tasks.synthetic.scene import render
from tasks.synthetic.settings import BenchmarkSettings

STRONG = 0.95
SHORT_PLAN = {"train": 2000, "validation": 0, "test": 640}  # --quick
LONG_PLAN = {"validation": 0}  # not needed here
PROCESSES = 2


@dataclass(frozen=True)
class Cell:
    """One trained network, tested on the balanced split."""

    accuracy: float
    worst_group: float
    train_seconds: float
    draw_seconds: float


def run(quick: bool) -> list[Figure]:
    """All figures; --quick trains one seed on half of the pictures, first look only."""
    seeds = (1,) if quick else (1, 2, 3)
    figures = [_parameters(), *_areas(quick)]
    for look, size in [("first", "default")] if quick else _families():
        cells = {
            strength: [_cell(look, size, strength, seed, quick) for seed in seeds]
            for strength in (STRONG, chance_of(look))
        }
        has_goals = (look, size) == ("first", "default")
        figures += _accuracies(f"{look} look, {size} objects", cells, has_goals)
        if has_goals:
            figures += _seconds([cell for row in cells.values() for cell in row])
    return figures


def _families() -> list[tuple[str, str]]:
    return [("first", "default"), ("first", "small"), ("second", "default"), ("third", "default")]


def _cell(look: str, size: str, strength: float, seed: int, quick: bool) -> Cell:
    """Draw, train, test."""
    pictures = SHORT_PLAN if quick else LONG_PLAN
    settings = DatasetVariant(look, size, strength, seed).make_settings(**pictures)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        write_benchmark(Path(folder), settings, PROCESSES)
        drawn = time.perf_counter()
        return _train(Path(folder), settings, drawn - started)


def _train(folder: Path, settings: BenchmarkSettings, draw_seconds: float) -> Cell:
    preprocessing = small_preprocessing(settings.image_size)
    train = training_images_of(folder, "train", preprocessing)
    test = training_images_of(folder, "test", preprocessing)
    started = time.perf_counter()
    network = train_small_resnet(train, preprocessing, len(settings.classes), settings.seed)
    seconds = time.perf_counter() - started
    right = (predict_classes(network, test.image_NCHW, preprocessing) == test.label_N).tolist()
    groups = defaultdict(list)
    for row, is_right in zip(rows_of_split(folder, "test"), right, strict=True):
        groups[_group_of(row, settings)].append(is_right)
    worst = min(float(np.mean(group)) for group in groups.values())
    return Cell(float(np.mean(right)), worst, seconds, draw_seconds)


def _group_of(row: Mapping[str, str], settings: BenchmarkSettings) -> str:
    """A class on a background; of many classes, all on their own backgrounds or all on others."""
    if len(settings.classes) == len(settings.backgrounds):
        return row["group"]
    is_own = row["background"] == settings.drawing.own_background(row["label"])
    return "own background" if is_own else "another background"


def _accuracies(what: str, cells: dict[float, list[Cell]], has_goals: bool) -> list[Figure]:
    """Worst group and accuracy at both strengths; only one family of pictures has goals."""
    figures = []
    for strength, row in cells.items():
        worst = [cell.worst_group for cell in row]
        goal, holds = "", None
        if has_goals and strength == STRONG:
            goal, holds = "each seed below 0.30", max(worst) < 0.30
        elif has_goals:
            goal, holds = "each seed at least 0.90", min(worst) >= 0.90
        name = f"{what}, strength {strength}"
        figures.append(_figure(f"worst group, {name}", worst, goal, holds))
        figures.append(_figure(f"accuracy, {name}", [cell.accuracy for cell in row]))
    return figures


def _seconds(cells: Sequence[Cell]) -> list[Figure]:
    """Wall time on this machine, whatever else runs there."""
    train = [cell.train_seconds for cell in cells]
    draw = [cell.draw_seconds for cell in cells]
    return [
        _figure("seconds to train", train, "a few minutes", max(train) < 240),
        _figure(f"seconds to draw the pictures, {PROCESSES} processes", draw),
    ]


def _parameters() -> Figure:
    count = sum(weight.numel() for weight in small_resnet().parameters())
    return Figure("parameters", count, None, None, "at most 1,000,000", count <= 1_000_000)


def _areas(quick: bool) -> list[Figure]:
    """Mean share of the picture under the mask; the interval holds 95% of the pictures."""
    figures = []
    for size in ("small", "default", "large"):
        settings = BenchmarkSettings(object_size=size, train=100 if quick else 1000, test=0)
        rows = plan(settings)[: settings.train]
        areas = [float(render(scene_of(vars(row)), settings).mask_HW.mean()) for row in rows]
        low, high = np.quantile(areas, [0.025, 0.975])
        mean = float(np.mean(areas))
        figures.append(Figure(f"area, {size} objects", mean, float(low), float(high)))
    return figures


def _figure(
    name: str, values: Sequence[float], goal: str = "", holds: bool | None = None
) -> Figure:
    return Figure(name, float(np.mean(values)), min(values), max(values), goal, holds)


if __name__ == "__main__":
    main(run)
