"""What the cells of the study say together, and how a run's patterns are read."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.patterns import networks, planted, study
from benchmarks.patterns.judge import FoundPattern, Judgement, PlantedPattern
from benchmarks.patterns.neighbours import NEIGHBOURS
from benchmarks.patterns.networks import Effects
from benchmarks.patterns.planted import PlantedSpec
from benchmarks.patterns.study import DISCOVER, Answer, Cell, figures_of

OTHER = "another method"
NOTHING = Judgement({})
PURE = (1.0, 0.96)


def cell(spec: PlantedSpec, ours: Judgement, other: Judgement = NOTHING) -> Cell:
    points = dict.fromkeys(map(str, spec.kinds), 0.5)
    effects = Effects(0.9, points, points, {})
    return Cell(spec, effects, {DISCOVER: Answer(ours, 2.0), OTHER: Answer(other, 1.0)})


CELLS = [
    cell(PlantedSpec("first", (), 1), Judgement({}), Judgement({}, others=("fish",))),
    cell(PlantedSpec("first", (), 1, trained=False), Judgement({}, unplanted=1)),
    cell(PlantedSpec("first", ("tag",), 1), Judgement({"tag": PURE})),
    cell(PlantedSpec("second", ("tag", "blur"), 1), Judgement({"tag": PURE}, ("blur",), 1)),
]


def test_figures_count_over_all_cells_of_a_group() -> None:
    figures = {it.name: it for it in figures_of(CELLS)}
    clean = "nothing planted: runs with a confirmed pattern"
    untrue = "runs with one that is not true of the network"
    found = {
        f"{DISCOVER}, {clean} (1 of 2)": (0.5, False),
        f"{DISCOVER}, nothing planted, trained: {untrue} (0 of 1)": (0.0, True),
        f"{DISCOVER}, nothing planted, random weights: {untrue} (0 of 1)": (0.0, True),
        f"{DISCOVER}, first look: discovery rate (1 of 1)": (1.0, True),
        f"{DISCOVER}, second look: discovery rate (1 of 2)": (0.5, False),
        f"{DISCOVER}, second look: false discovery rate (1 of 2)": (0.5, False),
        f"{DISCOVER}, 2 at once: precision of the first 25": (0.96, True),
        f"{DISCOVER}, tag: discovery rate (2 of 2)": (1.0, True),
        f"{DISCOVER}, blur: discovery rate (0 of 1)": (0.0, False),
        f"{OTHER}, {clean} (1 of 2)": (0.5, None),  # neighbours have no goal
        f"{OTHER}: seconds a run": (1.0, None),
        "planted effect of tag": (0.5, None),
    }
    assert {name: (figures[name].value, figures[name].holds) for name in found} == found
    assert len(figures) == len(list(figures_of(CELLS)))


def test_nothing_measured_gives_no_figure() -> None:
    assert list(figures_of([])) == []


def test_a_cell_is_read_as_it_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "CELLS", tmp_path)
    monkeypatch.setattr(study, "methods", lambda: {DISCOVER: None, OTHER: None})
    kept = CELLS[3]
    contents = {name: asdict(answer) for name, answer in kept.answers.items()}
    for name, content in {"effects": asdict(kept.effects), **contents}.items():
        assert study.load_cells() == []  # an unfinished cell gives no figure
        study._keep(study._file(kept.spec, name), content)
    monkeypatch.setattr(study, "SPECS", (kept.spec, CELLS[0].spec))
    assert study.load_cells() == [kept]


@pytest.mark.full
@pytest.mark.parametrize("trained", [True, False])
def test_a_cell_is_measured_from_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: bool
) -> None:
    """Pictures, network, effects, audit and the neighbours' answers, of a small data set."""
    for name, value in {"FOLDER": tmp_path, "TRAIN": 128, "TEST": 128, "HELD_OUT": 32}.items():
        monkeypatch.setattr(planted, name, value)
    for module in (networks, study):
        monkeypatch.setattr(module, "FOLDER", tmp_path)
    monkeypatch.setattr(study, "CELLS", tmp_path / "cells")
    neighbours = {name: study._reading(find) for name, find in NEIGHBOURS.items()}
    monkeypatch.setattr(study, "methods", lambda: neighbours)
    spec = PlantedSpec("first", ("frame", "jpeg"), 101, trained)
    monkeypatch.setattr(study, "SPECS", (spec,))
    study.measure(spec)
    [cell] = study.load_cells()
    assert cell.spec == spec and cell.effects.points.keys() == {"frame", "jpeg"}
    assert all(-1 <= points <= 1 for points in cell.effects.points.values())
    assert cell.answers.keys() == NEIGHBOURS.keys()
    assert list(study.figures_of([cell]))
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    study.measure(spec)  # again: nothing is computed
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_what_is_hardly_learnt_need_not_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = PlantedSpec("first", ("tag", "blur", "jpeg"), 1)
    monkeypatch.setattr(study, "read_backgrounds", lambda spec, scenes: list(scenes))
    scenes = {"sea: fish": 0.06, "sky: fish": 0.04}
    effects = Effects(0.9, {"tag": 0.3, "blur": 0.07, "jpeg": 0.01}, {}, scenes)
    tag, blur, jpeg = (PlantedPattern(kind, frozenset("ab"), "fish") for kind in spec.kinds)
    assert study.split_truths(effects, [tag, blur, jpeg], spec) == ([tag], [blur, "sea: fish"])


def test_the_commands_patterns_are_read_with_the_nearest_members_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "COMMAND", ("true",))
    patterns = [
        {"pattern": "P1", "pulls_to": "fish", "verdict": "confirmed"},
        {"pattern": "P2", "pulls_to": "cactus", "verdict": "too few"},
    ]
    members = [
        {"row_id": "far", "pattern": "P1", "distance": 2.0},
        {"row_id": "other", "pattern": "P2", "distance": 0.5},
        {"row_id": "near", "pattern": "P1", "distance": 1.0},
    ]
    pq.write_table(pa.Table.from_pylist(patterns), tmp_path / "patterns.parquet")
    pq.write_table(pa.Table.from_pylist(members), tmp_path / "pattern_members.parquet")
    assert study.find_patterns(tmp_path) == [
        FoundPattern(("near", "far"), "fish", "confirmed"),
        FoundPattern(("other",), "cactus", "too few"),
    ]
