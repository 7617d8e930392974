"""The classifiers that flags are judged on (flags.py)."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.audit.known_classifiers import ClassifierSpec, Kind

SEEDS = (1, 2, 3)
MIX, LIGHT_MIX = 1.0, 0.3  # of the background network in a product of two


def flag_specs(quick: bool) -> list[ClassifierSpec]:
    """With a shortcut, without one, composed, and such that know nothing."""
    if quick:
        return [ClassifierSpec("first", "small", 0.95, 1)]
    plain = [(strength, seed) for strength in (0.9, 0.25) for seed in SEEDS]
    plain += [(0.95, 1), (0.8, 1), (0.5, 1)]
    looks = ("first", "second")
    specs = [
        ClassifierSpec(look, "small", strength, seed) for look in looks for strength, seed in plain
    ]
    specs += [ClassifierSpec(look, "default", 0.95, 1) for look in looks]
    specs += [ClassifierSpec(look, "small", 0.25, 1, MIX) for look in looks]
    specs += [ClassifierSpec("third", "default", 0.1, seed) for seed in SEEDS]
    specs += [ClassifierSpec("third", "default", 0.1, 1, mix) for mix in (MIX, LIGHT_MIX)]
    kinds: dict[Kind, Sequence[int]] = {"untrained": SEEDS, "constant": (1,), "one-class": SEEDS}
    specs += [
        ClassifierSpec(look, "small", 0.25, seed, kind=kind)
        for look in looks
        for kind, seeds in kinds.items()
        for seed in seeds
    ]
    return specs
