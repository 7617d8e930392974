"""The study of retraining: what each comparison found, what was hoped for, and its tables.

    python -m benchmarks.retraining.study [--quick] [--json] [--part 1/2 | --tables]

prints the figures of the cells that are kept, and computes those that are missing (minutes each;
--quick does not). `--part 1/2` only computes, for every second variant of the pictures, so that
processes can share the work; `--tables` prints the tables of results.md.

An interval is a bootstrap's over seeds and, within a seed, over images; differences are paired.
Shapes: R draws.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from benchmarks.measure import Figure, make_parser, print_figures
from benchmarks.retraining.cells import MAPS, ROWS, Cell, load_cell
from benchmarks.retraining.comparisons import (
    COMPARISONS,
    NONE,
    SECOND,
    SECONDS,
    SEEDS,
    STRONG,
    Comparison,
    figures_of_row,
)
from benchmarks.retraining.seed_bootstrap import Interval
from tasks.intervals.bootstrap import Floats


def run(quick: bool) -> list[Figure]:
    """What was hoped for, and what it came to; --quick: of the comparisons whose cells are kept."""
    comparisons = _kept() if quick else list(COMPARISONS)
    return [figure for it in comparisons for figure in FIGURES[it.title](it)]


def _kept() -> list[Comparison]:
    kept = (comparison.kept() for comparison in COMPARISONS)
    return [comparison for comparison in kept if comparison.seeds]


def _rows(comparison: Comparison) -> dict[str, dict[str, Floats]]:
    return {row: figures_of_row(comparison, row) for row in comparison.rows}


def _strong(comparison: Comparison) -> list[Figure]:
    rows = _rows(comparison)
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
        _count("interventional: methods of six with more lift than swap", ahead, has_goal=True),
    ]


def _second(comparison: Comparison) -> list[Figure]:
    """Is interventional > swap > erm?"""
    rows = _rows(comparison)
    figures = []
    for better, worse in (("sib, interventional", "swap"), ("swap", "erm")):
        for figure, sign in (("worst group", 1), ("flips", -1)):
            lead = Interval.of(sign * (rows[better][figure] - rows[worse][figure]))
            name = f"second look: {better} better than {worse} in {figure} by"
            figures.append(lead.figure(name, "above 0", lead.value > 0))
    return figures


def _none(comparison: Comparison) -> list[Figure]:
    """The paper's claim: maps move to the object, and accuracy stays."""
    rows = _rows(comparison)
    figures = []
    for row in (row for row in comparison.rows if row not in ("before", "erm")):
        gains = [Interval.of(rows[row][name] - rows["erm"][name]) for name in MAPS]
        ahead, name = sum(gain.low > 0 for gain in gains), f"no shortcut: {row}"
        lead = Interval.of(rows[row]["accuracy"] - rows["erm"]["accuracy"])
        figures += [
            _count(
                f"{name}: methods of six with more lift than erm",
                ahead,
                has_goal=row.startswith("sib"),
            ),
            lead.figure(f"{name}: accuracy more than erm's"),
        ]
    return figures


def _count(name: str, methods: int, *, has_goal: bool) -> Figure:
    if not has_goal:
        return Figure(name, methods)
    return Figure(name, methods, None, None, "at least 5", methods >= 5)


def _seconds(comparison: Comparison) -> list[Figure]:
    equal_steps = replace(STRONG, seeds=comparison.seeds)
    own = figures_of_row(equal_steps, "sib, interventional")["worst group"]
    return [
        Interval.of(own - figures["worst group"]).figure(
            f"equal seconds: interventional's worst group over {row}'s"
        )
        for row, figures in _rows(comparison).items()
    ]


FIGURES: dict[str, Callable[[Comparison], list[Figure]]] = {
    STRONG.title: _strong,
    SECOND.title: _second,
    NONE.title: _none,
    SECONDS.title: _seconds,
}


def tables() -> str:
    """Every comparison whose cells are kept, as Markdown."""
    found = (table for it in _kept() for table in (_table(it), _table_of_differences(it)))
    return "\n\n".join(table for table in found if table)


DIFFERENCES = (  # what is added, to what
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
SHOWN = ("accuracy", "worst group", "flips", "grad_cam", "integrated_gradients", "ibisa")


def _table_of_differences(comparison: Comparison) -> str:
    """What each term adds: paired differences; nothing where no two rows differ by one."""
    rows = _rows(comparison)
    lines = []
    for words, having, lacking in DIFFERENCES:
        if having in rows and lacking in rows:
            found = (Interval.of(rows[having][name] - rows[lacking][name]) for name in SHOWN)
            cells = (_cell(having, name, it) for name, it in zip(SHOWN, found, strict=True))
            lines.append(f"| {words} | {' | '.join(cells)} |")
    head = [f"| {comparison.title}: what adds | {' | '.join(SHOWN)} |", "|---" * 7 + "|"]
    return "\n".join([*head, *lines]) if lines else ""


def _table(comparison: Comparison) -> str:
    rows = _rows(comparison)
    names = list(next(iter(rows.values())))
    lines = [
        f"### {comparison.title} (seeds {', '.join(map(str, comparison.seeds))})",
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
    """The missing cells of every so-many-th variant of the pictures: no two parts draw the same."""
    torch.set_num_threads(1)
    cells = list(_all_cells())
    names = list(dict.fromkeys(cell.pictures.name for cell in cells))
    for cell in cells:
        if names.index(cell.pictures.name) % parts == part - 1 and not cell.file.exists():
            sys.stderr.write(f"{cell.pictures.name}: {cell.row}, equal {cell.equal}\n")
            load_cell(cell)


def _all_cells() -> Iterator[Cell]:
    """Seed by seed, so that every row has one early."""
    for index in range(len(SEEDS)):
        for comparison in COMPARISONS:
            yield from (comparison.cells(row)[index] for row in comparison.rows)


def main() -> None:
    """The command."""
    parser = make_parser()
    parser.add_argument("--part", help="only compute, this part of so many: 1/2")
    parser.add_argument("--tables", action="store_true", help="print the tables of results.md")
    arguments = parser.parse_args()
    if arguments.part:
        compute(*map(int, arguments.part.split("/")))
    elif arguments.tables:
        sys.stdout.write(tables() + "\n")
    else:
        print_figures(run(arguments.quick), arguments)


if __name__ == "__main__":
    main()
