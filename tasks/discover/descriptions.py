"""A pattern in words: its name and its sentence."""

from __future__ import annotations

import numpy as np

from tasks.discover.candidates import Candidate, Grouping
from tasks.discover.verdicts import Judgement
from tasks.pictures.map_region import Region
from tasks.schema.patterns import Exchanged

NAMES = {  # by the space in which it was found
    "background": "backgrounds that look alike",
    "attended": "things beside the object that look alike",
    "place": "a place beside the object",
    "properties": "pictures alike in plain properties",
}
MOSTLY = 0.5  # of a candidate's members have the value of a column that names it
LEAST_RATIO = 2.0  # so much more often than other images
WORDS: dict[Exchanged, tuple[str, str]] = {  # of what the images get, and of the controls
    "background": ("on such backgrounds", "on other backgrounds"),
    "region": ("with this region of such pictures", "with the same region of other pictures"),
    "property": ("changed to be like such pictures", "changed to be like other pictures"),
}
PARTS = ("upper", "middle", "lower"), ("left", "centre", "right")


def name_of(candidate: Candidate, columns: list[Grouping], proposes_N: np.ndarray) -> str:
    """By the value of a column that most members share; else by where or in what it was found."""
    if candidate.value is not None:
        return f"{candidate.grouping.space} {candidate.value}"
    if candidate.grouping.space not in NAMES:
        return candidate.grouping.space.replace("_", " ")  # such as low sharpness
    if candidate.region is not None:
        return f"something {_position(candidate.region)}"
    shared = _shared_value(candidate, columns, proposes_N)
    return shared or NAMES[candidate.grouping.space]


def sentence_of(candidate: Candidate, judgement: Judgement, class_name: str) -> str:
    """What the trial showed, and what follows."""
    main = judgement.measured
    if main is None:
        return f"It could not be judged: {judgement.reason}."
    pattern, others = main.rate(of_pattern=True), main.rate(of_pattern=False)
    effect = main.effect
    what, other = WORDS[candidate.exchanged]
    end = f", {judgement.reason}" if judgement.reason else ""
    return (
        f"{pattern.value:.0%} of images of other classes, predicted rightly, become {class_name} "
        f"{what}, {others.value:.0%} {other} ({100 * effect.value:+.0f} points, "
        f"{100 * effect.low:+.0f} to {100 * effect.high:+.0f}){end}."
    )


def _position(region: Region) -> str:
    """In the upper left, say."""
    row, column = (np.mean(region.cells, axis=0) + 0.5) / np.array(region.grid) * 3
    vertical, horizontal = PARTS[0][int(row)], PARTS[1][int(column)]
    if (vertical, horizontal) == ("middle", "centre"):
        return "in the middle"
    return f"in the {vertical} {horizontal}"


def _shared_value(
    candidate: Candidate, columns: list[Grouping], proposes_N: np.ndarray
) -> str | None:
    """Of all members, also those without a value; and much more often than of all others."""
    member_N, other_N = (proposes_N & it for it in (candidate.member_N, ~candidate.member_N))
    for grouping in columns:
        members, others = map(grouping.count_values, (member_N, other_N))
        value = int(members.argmax())
        share, usual = (
            members[value] / max(1, member_N.sum()),
            others[value] / max(1, other_N.sum()),
        )
        if share >= MOSTLY and share >= LEAST_RATIO * usual:
            return f"mostly {grouping.space} {grouping.values[value]}"
    return None
