"""Which pictures judge a candidate: backgrounds of its members, backgrounds of others that are like
them in all else, and the images that are put on both. All are of the confirming half.

Shapes: N images.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np

from tasks.discover.candidates import Candidate
from tasks.discover.facts import UNKNOWN, Facts
from tasks.interventions.foreground_areas import LARGEST, LARGEST_DONOR_FOREGROUND, SMALLEST

FEW_IMAGES = 5_000  # of the run: from here on there is more to choose from
NEAREST = 4  # times the backgrounds needed: among so many, labels take turns
FEWEST_BACKGROUNDS, FEWEST_RECIPIENTS = 6, 8  # with fewer, nothing is decided
LOOKED_AT = 5_000  # images among which those like the exemplars are searched
SEED = 0


@dataclass(frozen=True)
class TrialImages:
    """Numbers of images."""

    exemplars: tuple[int, ...]  # the nearest to the centre first, labels in turn
    controls: tuple[int, ...]  # the image most like each exemplar, but for the pattern
    recipients: tuple[int, ...]

    @property
    def are_enough(self) -> bool:
        backgrounds = min(len(self.exemplars), len(self.controls))
        return backgrounds >= FEWEST_BACKGROUNDS and len(self.recipients) >= FEWEST_RECIPIENTS


def plan_trial(
    candidate: Candidate, facts: Facts, without_N: np.ndarray | None = None
) -> TrialImages:
    """The images for one candidate, none of them `without_N`."""
    without_N = np.zeros(len(facts), bool) if without_N is None else without_N
    out_N = candidate.member_N | without_N
    backgrounds, recipients = (12, 32) if len(facts) < FEW_IMAGES else (16, 64)
    usable_N = ~facts.proposes_N
    if candidate.exchanged == "background":
        usable_N &= (facts.area_N > 0) & (facts.area_N <= LARGEST_DONOR_FOREGROUND)
    exemplars = _exemplars(
        candidate, facts, usable_N & candidate.member_N & ~without_N, backgrounds
    )
    controls = _like(facts, usable_N & ~out_N & ~_are_copies(exemplars, facts), exemplars)
    receives_N = ~facts.proposes_N & ~out_N & (facts.prediction_N != candidate.pulls_to)
    receives_N &= facts.is_right_N  # a wrong one may rest on another pattern, and go back
    if candidate.exchanged == "background":
        receives_N &= (facts.area_N >= SMALLEST) & (facts.area_N <= LARGEST)
    receives_N &= ~_are_copies([*exemplars, *controls], facts)
    return TrialImages(exemplars, controls, _recipients(facts, receives_N, recipients))


def _exemplars(
    candidate: Candidate, facts: Facts, usable_N: np.ndarray, count: int
) -> tuple[int, ...]:
    numbers = np.flatnonzero(usable_N)
    near = numbers[np.argsort(candidate.grouping.distance_N[numbers], kind="stable")]
    distinct = list(_without_copies(near.tolist(), facts.content_N))[: NEAREST * count]
    return tuple(_in_turn(distinct, facts.label_N)[:count])


def _like(facts: Facts, usable_N: np.ndarray, exemplars: Sequence[int]) -> tuple[int, ...]:
    """For each exemplar, the unused image of its label, else of any, whose foreground is as large
    and whose picture is as bright."""
    pool = np.random.default_rng(SEED).permutation(np.flatnonzero(usable_N))[:LOOKED_AT]
    area_N, brightness_N = _standardised(facts.area_N), _standardised(facts.brightness_N)
    free, taken = np.ones(len(pool), bool), []
    for exemplar in exemplars:
        if not free.any():
            break
        apart = np.abs(area_N[pool] - area_N[exemplar])
        apart += np.abs(brightness_N[pool] - brightness_N[exemplar])
        same = facts.label_N[pool] == facts.label_N[exemplar]
        if same.any() and facts.label_N[exemplar] != UNKNOWN:
            apart = np.where(same, apart, apart + 1e3)
        best = int(np.where(free, apart, np.inf).argmin())
        free &= facts.content_N[pool] != facts.content_N[pool[best]]
        taken.append(int(pool[best]))
    return tuple(taken)


def _recipients(facts: Facts, receives_N: np.ndarray, count: int) -> tuple[int, ...]:
    """Predicted classes in turn, each in a random order."""
    shuffled = np.random.default_rng(SEED).permutation(np.flatnonzero(receives_N)).tolist()
    distinct = list(_without_copies(shuffled, facts.content_N))
    return tuple(_in_turn(distinct, facts.prediction_N)[:count])


def _are_copies(numbers: Sequence[int], facts: Facts) -> np.ndarray:
    """(N,) of booleans: of these images, and these themselves."""
    copy_N: np.ndarray = np.isin(facts.content_N, facts.content_N[[*numbers]])
    return copy_N


def _without_copies(numbers: Iterable[int], content_N: np.ndarray) -> Iterator[int]:
    seen = set()
    for number in numbers:
        if content_N[number] not in seen:
            seen.add(content_N[number])
            yield number


def _in_turn(numbers: Iterable[int], class_N: np.ndarray) -> list[int]:
    by_class: dict[int, list[int]] = defaultdict(list)
    for number in numbers:
        by_class[int(class_N[number])].append(number)
    turns = chain.from_iterable(zip_longest(*by_class.values()))
    return [number for number in turns if number is not None]


def _standardised(value_N: np.ndarray) -> np.ndarray:
    """0 where it is unknown."""
    known = value_N[np.isfinite(value_N)]
    if not len(known):
        return np.zeros(len(value_N))
    standard_N: np.ndarray = np.nan_to_num((value_N - known.mean()) / max(float(known.std()), 1e-6))
    return standard_N
