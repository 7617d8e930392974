"""Cells of one family have a mean and a range, and are held against the family's goals."""

from __future__ import annotations

from benchmarks.audit.flag_figures import figures_of
from benchmarks.audit.known_classifiers import ClassifierSpec
from benchmarks.measure import Figure


def test_seeds_of_one_family_are_one_figure() -> None:
    spec = "first", "small", 0.9
    cells = {ClassifierSpec(*spec, seed): {"masks: score": seed / 10} for seed in (8, 9, 10)}
    name = "first look, small objects, strength 0.9: masks: score"
    assert figures_of(cells) == [Figure(name, 0.9, 0.8, 1.0, "0.95 to 1", False)]


def test_false_alarms_hold_on_every_seed() -> None:
    shares = {1: 0.05, 2: 0.09}
    cells = {ClassifierSpec("first", "small", 0.25, s): {"flagged": f} for s, f in shares.items()}
    (figure,) = figures_of(cells)
    assert (figure.goal, figure.holds) == ("0.02 to 0.08", False)


def test_products_of_experts_have_no_goals() -> None:
    spec = ClassifierSpec("second", "small", 0.25, 1, 1.0)
    (figure,) = figures_of({spec: {"flagged": 0.5, "excess": float("nan")}})
    assert (
        figure.name == "second look, small objects, strength 0.25, composed with weight 1: flagged"
    )
    assert figure.holds is None
    assert spec.folder == ClassifierSpec("second", "small", 0.25, 1).folder


def test_networks_that_know_nothing_must_give_no_finding() -> None:
    spec = ClassifierSpec("first", "small", 0.25, 1, kind="untrained")
    flagged, finding = figures_of({spec: {"flagged": 0.3, "finding": 0.0}})
    assert flagged.name == "first look, small objects, strength 0.25, untrained: flagged"
    assert (flagged.holds, finding.holds) == (None, True)
