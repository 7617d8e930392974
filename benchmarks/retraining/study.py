"""The study of retraining: which cells there are, what they say together, and what was hoped for.

python -m benchmarks.retraining.study [--quick] [--json] tells the figures of the cells that are
kept, and computes those that are missing (minutes each; --quick does not). `--part 1/2` computes
those of every second scenery and tells nothing, so that processes can share the work; `--tables`
prints Markdown.

An interval is a bootstrap's over seeds and, within a seed, over images; differences are paired.
Shapes: R draws.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from benchmarks.measure import Figure, main
from benchmarks.retraining.cells import MAPS, ROWS, Cell, computed
from benchmarks.retraining.questions import (
    CHAPTERS,
    NONE,
    SECOND,
    SECONDS,
    SEEDS,
    STRONG,
    Chapter,
    row_of,
)
from benchmarks.retraining.seed_bootstrap import Interval
from tasks.intervals.bootstrap import Floats


def run(quick: bool) -> list[Figure]:
    """What was hoped for, and what it came to; --quick: of the chapters whose cells are kept."""
    there = _kept() if quick else list(CHAPTERS)
    return [figure for chapter in there for figure in JUDGES[chapter.title](chapter)]


def _kept() -> list[Chapter]:
    kept = (chapter.kept() for chapter in CHAPTERS)
    return [chapter for chapter in kept if chapter.seeds]


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
    for row in (row for row in chapter.rows if row not in ("before", "erm")):
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
    own = row_of(replace(STRONG, seeds=chapter.seeds), "sib, interventional")
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
    told = (table for it in _kept() for table in (_table(it), _adds(it)))
    return "\n\n".join(table for table in told if table)


ADDS = (  # what is added, to what
    ("cross entropy for as many steps, to the network before", "erm", "before"),
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
    ("the last layer alone on balanced groups, instead of cross entropy", "dfr", "erm"),
)
TOLD = ("accuracy", "worst group", "flips", "grad_cam", "integrated_gradients", "ibisa")


def _adds(chapter: Chapter) -> str:
    """What each term adds: paired differences; nothing where no two rows differ by one."""
    rows = _rows(chapter)
    lines = []
    for words, having, lacking in ADDS:
        if having in rows and lacking in rows:
            found = (Interval.of(rows[having][name] - rows[lacking][name]) for name in TOLD)
            cells = (_cell(having, name, it) for name, it in zip(TOLD, found, strict=True))
            lines.append(f"| {words} | {' | '.join(cells)} |")
    head = [f"| {chapter.title}: what adds | {' | '.join(TOLD)} |", "|---" * 7 + "|"]
    return "\n".join([*head, *lines]) if lines else ""


def _table(chapter: Chapter) -> str:
    rows = _rows(chapter)
    names = list(next(iter(rows.values())))
    lines = [
        f"### {chapter.title} (seeds {', '.join(map(str, chapter.seeds))})",
        "",
        f"| objective | {' | '.join(names)} |",
    ]
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
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retraining.study", add_help=False)
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
