"""The study of retraining: which cells there are, what they say together, and what was hoped for.

python -m benchmarks.study [--quick] [--json] tells the figures of the cells that are kept, and
computes those that are missing (minutes each; --quick does not). `--part 1/2` computes those of
every second scenery and tells nothing, so that processes can share the work; `--tables` prints
Markdown.

An interval is a bootstrap's over seeds and, within a seed, over images; differences are paired.
Shapes: R draws, S seeds, N images, G groups.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.figures import Figure, main
from benchmarks.redrawn import Drawn, Floats, Interval
from benchmarks.retrained import MAPS, ROWS, Cell, Judged, computed
from benchmarks.scenery import Scenery
from tasks.generate import plan

SEEDS = (1, 2, 3)
SECOND_LOOK = ("erm", "swap", "sib, interventional")
WITHOUT = (
    "erm",
    "swap",
    "sib, paper",
    "sib, robust, annotated",
    "sib, feature",
    "sib, interventional",
)
CHEAPER = tuple(name for name, row in ROWS.items() if not 0.9 < row.cost < 1.1)


@dataclass(frozen=True)
class Chapter:
    """One question of the study: the same pictures, several rows."""

    title: str
    look: str
    strength: float
    rows: tuple[str, ...]
    equal: str = "steps"

    def cells(self, row: str) -> list[Cell]:
        return [
            Cell(Scenery(self.look, "small", self.strength, seed), row, self.equal)
            for seed in SEEDS
        ]


STRONG = Chapter("A strong shortcut, equal steps", "first", 0.95, tuple(ROWS))
SECONDS = Chapter("A strong shortcut, equal seconds", "first", 0.95, CHEAPER, "seconds")
SECOND = Chapter("The second look, a strong shortcut", "second", 0.95, SECOND_LOOK)
NONE = Chapter("No shortcut", "first", 0.25, WITHOUT)
CHAPTERS = (STRONG, SECOND, NONE, SECONDS)


@dataclass(frozen=True, eq=False)
class Truth:
    """Of a scenery's test pictures, known without drawing them."""

    label_N: NDArray[np.int64]
    background_N: NDArray[np.int64]

    @classmethod
    def of(cls, scenery: Scenery) -> Truth:
        settings = scenery.settings
        rows = [row for row in plan(settings) if row.split == "test"]
        return cls(
            np.array([settings.classes.index(row.label) for row in rows]),
            np.array([settings.backgrounds.index(row.background) for row in rows]),
        )

    @cached_property
    def follows_N(self) -> NDArray[np.bool_]:
        """Is the picture's background the one of its class in training?"""
        follows_N: NDArray[np.bool_] = self.label_N == self.background_N
        return follows_N

    @cached_property
    def group_GN(self) -> Floats:
        """1 where the picture is of the group."""
        group_N = self.label_N * 4 + self.background_N
        group_GN: Floats = (group_N == np.arange(16)[:, None]).astype(np.float64)
        return group_GN


@lru_cache(maxsize=1)
def drawn() -> Drawn:
    """For the benchmark's 1,280 test pictures."""
    return Drawn.of(1280, len(SEEDS))


def figures_of(cell: Cell, judged: Judged) -> dict[str, Floats]:
    """(R,) of each figure of one network."""
    truth, draws = Truth.of(cell.scenery), drawn()
    right_N = (judged.prediction_N == truth.label_N).astype(np.float64)
    changed_SN = (judged.moved_SN != judged.prediction_N).astype(np.float64)
    figures = {
        "accuracy": draws.means(right_N),
        "worst group": draws.worst(right_N, truth.group_GN),
        "follows": draws.means(np.where(truth.follows_N, right_N, np.nan)),
        "flips": draws.means(changed_SN[1:].mean(0)),
        "flips within": draws.means(changed_SN[0]),
    }
    return figures | {name: draws.means(judged.lift_M[name]) for name in MAPS}


def row_of(chapter: Chapter, row: str) -> dict[str, Floats]:
    """(R,) of each figure, over the seeds that are drawn."""
    cells = chapter.cells(row)
    found = [figures_of(cell, computed(cell)) for cell in cells]
    return {name: drawn().over_seeds(np.stack([own[name] for own in found])) for name in found[0]}


def run(quick: bool) -> list[Figure]:
    """What was hoped for, and what it came to; --quick: of the chapters whose cells are kept."""
    there = [chapter for chapter in CHAPTERS if not quick or _is_kept(chapter)]
    return [figure for chapter in there for figure in JUDGES[chapter.title](chapter)]


def _is_kept(chapter: Chapter) -> bool:
    return all(cell.file.exists() for row in chapter.rows for cell in chapter.cells(row))


def _rows(chapter: Chapter) -> dict[str, dict[str, Floats]]:
    return {row: row_of(chapter, row) for row in chapter.rows}


def _strong(chapter: Chapter) -> list[Figure]:
    rows = _rows(chapter)
    own, swap, erm = rows["sib, interventional"], rows["swap"], rows["erm"]
    worst, lost = Interval.of(own["worst group"]), Interval.of(erm["follows"] - own["follows"])
    share = Interval.of(own["flips"] / swap["flips"])
    ahead = sum(Interval.of(own[name] - swap[name]).value > 0 for name in MAPS)
    return [
        worst.figure("interventional: worst group", "at least 0.88", worst.value >= 0.88),
        lost.figure(
            "interventional: accuracy lost against erm on pictures that follow the correlation",
            "at most 0.02",
            lost.value <= 0.02,
        ),
        share.figure("interventional: flips, of swap's", "at most 0.5", share.value <= 0.5),
        Figure(
            "interventional: methods of six with more lift than swap",
            ahead,
            None,
            None,
            "at least 5",
            ahead >= 5,
        ),
    ]


def _second(chapter: Chapter) -> list[Figure]:
    """Is interventional > swap > erm?"""
    rows = _rows(chapter)
    figures = []
    for better, worse in (("sib, interventional", "swap"), ("swap", "erm")):
        for name, sign in (("worst group", 1), ("flips", -1)):
            lead = Interval.of(sign * (rows[better][name] - rows[worse][name]))
            told = f"second look: {better} better than {worse} in {name} by"
            figures.append(lead.figure(told, "above 0", lead.value > 0))
    return figures


def _none(chapter: Chapter) -> list[Figure]:
    """The paper's claim: maps move to the object, and accuracy stays."""
    rows = _rows(chapter)
    figures = []
    for row in chapter.rows[1:]:
        gains = [Interval.of(rows[row][name] - rows["erm"][name]) for name in MAPS]
        ahead = sum(gain.low > 0 for gain in gains)
        lead = Interval.of(rows[row]["accuracy"] - rows["erm"]["accuracy"])
        told = f"no shortcut: {row}"
        figures.append(
            Figure(
                f"{told}: methods of six with more lift than erm",
                ahead,
                None,
                None,
                "at least 5" if row.startswith("sib") else "",
                ahead >= 5 if row.startswith("sib") else None,
            )
        )
        figures.append(lead.figure(f"{told}: accuracy more than erm's", "", None))
    return figures


def _seconds(chapter: Chapter) -> list[Figure]:
    own = row_of(STRONG, "sib, interventional")
    figures = []
    for row in chapter.rows:
        lead = Interval.of(own["worst group"] - row_of(chapter, row)["worst group"])
        figures.append(lead.figure(f"equal seconds: interventional's worst group over {row}'s"))
    return figures


JUDGES: dict[str, Callable[[Chapter], list[Figure]]] = {
    STRONG.title: _strong,
    SECOND.title: _second,
    NONE.title: _none,
    SECONDS.title: _seconds,
}


def tables() -> str:
    """Every chapter whose cells are kept, as Markdown."""
    kept = [chapter for chapter in CHAPTERS if _is_kept(chapter)]
    return "\n\n".join(told for it in kept for told in (_table(it), _adds(it)))


ADDS = (  # what is added, to what
    ("the exchange, to cross entropy", "swap", "erm"),
    ("the feature term, to cross entropy", "sib, feature", "erm"),
    ("the feature term, to the exchange", "sib, interventional", "swap"),
    ("the exchange, to the feature term", "sib, interventional", "sib, feature"),
    ("masks on all images instead of 10%", "sib, interventional", "sib, interventional, 10% masks"),
    ("exact masks instead of estimated", "sib, interventional", "sib, interventional, estimated"),
    ("labels", "sib, interventional", "sib, interventional, no labels"),
    ("the paper's S-IB, to cross entropy", "sib, paper", "erm"),
    ("robust S-IB with its own mask, to cross entropy", "sib, robust, own mask", "erm"),
    ("robust S-IB with masks, to cross entropy", "sib, robust, annotated", "erm"),
    ("IB-SGL as its program, to cross entropy", "ibsgl, code", "erm"),
    ("IB-SGL as printed, to cross entropy", "ibsgl, paper", "erm"),
    ("the last layer on balanced groups, to nothing", "dfr", "erm"),
)
TOLD = ("accuracy", "worst group", "flips", "grad_cam", "integrated_gradients", "ibisa")


def _adds(chapter: Chapter) -> str:
    """What each term adds: paired differences."""
    rows = _rows(chapter)
    lines = [f"| {chapter.title}: what adds | {' | '.join(TOLD)} |", "|---" * 7 + "|"]
    for words, having, lacking in ADDS:
        if having in rows and lacking in rows:
            found = (Interval.of(rows[having][name] - rows[lacking][name]) for name in TOLD)
            cells = (_cell(having, name, it) for name, it in zip(TOLD, found, strict=True))
            lines.append(f"| {words} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _table(chapter: Chapter) -> str:
    rows = _rows(chapter)
    names = list(next(iter(rows.values())))
    lines = [f"### {chapter.title}", "", f"| objective | {' | '.join(names)} |"]
    lines.append("|" + "---|" * (len(names) + 1))
    for row, found in rows.items():
        cells = (_cell(row, name, Interval.of(found[name])) for name in names)
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: str, name: str, interval: Interval) -> str:
    """Rates in percent; lifts that the loss trains are marked."""
    if name in MAPS:
        mark = "*" if name in ROWS[row].trains else ""
        return f"{mark}{interval.value:.2f}{mark} ({interval.low:.2f} to {interval.high:.2f})"
    value, low, high = (100 * number for number in (interval.value, interval.low, interval.high))
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def compute(part: int, parts: int) -> None:
    """The missing cells of every so-many-th scenery, which no other part draws."""
    torch.set_num_threads(1)
    cells = list(_all_cells())
    names = list(dict.fromkeys(cell.scenery.name for cell in cells))
    for cell in cells:
        if names.index(cell.scenery.name) % parts == part - 1 and not cell.file.exists():
            sys.stderr.write(f"{cell.scenery.name}: {cell.row}, equal {cell.equal}\n")
            computed(cell)


def _all_cells() -> Iterator[Cell]:
    """Seed by seed, so that every row has one early."""
    for place in range(len(SEEDS)):
        for chapter in CHAPTERS:
            yield from (chapter.cells(row)[place] for row in chapter.rows)


def _parse(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", add_help=False)
    parser.add_argument("--part")
    parser.add_argument("--tables", action="store_true")
    return parser.parse_known_args(given)[0]


if __name__ == "__main__":
    asked = _parse(sys.argv[1:])
    if asked.part:
        compute(*map(int, asked.part.split("/")))
    elif asked.tables:
        sys.stdout.write(tables() + "\n")
    else:
        main(run)
