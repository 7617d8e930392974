"""Patterns: what predictions rest on beside the object, found and confirmed by `discover`."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from tasks.schema.values import Interval, Rate, Value

PatternVerdict = Literal["confirmed", "not confirmed", "confounded", "too few"]
VERDICTS: tuple[PatternVerdict, ...] = ("confirmed", "not confirmed", "confounded", "too few")
Exchanged = Literal["background", "region", "property"]  # what others get of an exemplar
LEVEL = 0.05  # of q: more is not confirmed
LEAST_EFFECT = 0.05  # more predicted as the class, at the interval's lower end
MOST_SHOWN = 8  # patterns that a page shows with their pictures

PATTERNS = pa.schema(  # one row per candidate, the confirmed ones first
    [
        pa.field("pattern", pa.string(), nullable=False),  # its id
        pa.field("name", pa.string(), nullable=False),
        pa.field("space", pa.string(), nullable=False),
        pa.field("pulls_to", pa.string(), nullable=False),  # class
        pa.field("exchanged", pa.string(), nullable=False),  # background, region or property
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("sentence", pa.string(), nullable=False),
        pa.field("images", pa.int64(), nullable=False),  # members
        pa.field("effect", pa.float32()),  # more predicted as the class than on other backgrounds
        pa.field("effect_low", pa.float32()),  # ends of its 95% interval
        pa.field("effect_high", pa.float32()),
        pa.field("on_pattern", pa.float32()),  # predicted as the class, of images put on it
        pa.field("on_others", pa.float32()),
        pa.field("p", pa.float64()),
        pa.field("q", pa.float64()),
    ]
)

_floats = pa.list_(pa.float32())
PATTERN_SPACES = pa.schema(  # how images are assigned to small clusters; one row per space, and
    # one per pattern that an earlier run found and no candidate of this one has
    [
        pa.field("space", pa.string(), nullable=False),
        pa.field("scaling", pa.string(), nullable=False),  # as in tasks/discover/clusters.py
        pa.field("mean", _floats, nullable=False),
        pa.field("deviation", _floats, nullable=False),
        pa.field("basis", pa.list_(_floats), nullable=False),  # one list per number of a vector
        pa.field("centres", pa.list_(_floats), nullable=False),  # one list per small cluster
        pa.field("reach", _floats, nullable=False),  # of each small cluster
        pa.field("pattern", pa.string()),  # the only one assigned so; null: all others of the space
    ]
)

PATTERN_MEMBERS = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("pattern", pa.string(), nullable=False),  # its id
        pa.field("distance", pa.float32(), nullable=False),  # to its centre: the smaller the purer
        pa.field("half", pa.string(), nullable=False),  # that proposes, or that confirms
    ]
)

PATTERN_TRIALS = pa.schema(  # one row per picture that was made to confirm a pattern
    [
        pa.field("background", pa.string(), nullable=False),  # row_id of the one put behind
        pa.field("of_pattern", pa.bool_(), nullable=False),  # a member, else a control
        pa.field("recipient", pa.string(), nullable=False),  # row_id of the image put on it
        pa.field("check", pa.string(), nullable=False),  # main, or again with another fill
        pa.field("log_odds", pa.float32(), nullable=False),  # of the class that it pulls to
        pa.field("prediction", pa.string(), nullable=False),
    ]
)


class EnrichedValue(Value):
    """A value of the user's table that members have more often than other images."""

    column: str
    value: str
    members: Rate  # of members with a value in that column, those with this one
    others: Rate  # of all other images
    q: float  # of the hypergeometric p, corrected for all values


class Pattern(Value):
    """A recurring background or artefact, the class that it pulls to, and the verdict."""

    id: str  # kept from run to run, and never given to another pattern
    name: str  # the user's, else made from what its members share
    named: bool = False  # is it the user's?
    space: str  # in which it was found, as in tasks/discover/spaces.py, or the user's column
    clusters: tuple[int, ...]  # small clusters of that space; none where only pictures are known
    value: str | None = None  # of that column
    pulls_to: str  # class
    exchanged: Exchanged
    region: tuple[tuple[int, int], ...] = ()  # (row, column) of the cells, where that is exchanged
    grid: tuple[int, int] = (0, 0)  # rows and columns of those cells
    images: int  # members
    label_share: Rate  # of labelled members, those of the class that it pulls to
    alone: Rate  # of members with their object removed, those predicted as that class
    errors: Rate  # of all wrong predictions of that class, those of members
    enriched: tuple[EnrichedValue, ...]  # those that most members have first
    stability: float  # agreement with the nearest cluster under another seed, 0 to 1
    verdict: PatternVerdict
    sentence: str
    effect: Interval | None  # more predicted as the class than on other backgrounds, 0 to 1
    on_pattern: Rate | None  # predicted as the class, of images put on it
    on_others: Rate | None  # of the same images on other backgrounds
    p: float | None
    q: float | None  # p, corrected for all candidates
    trial: int | None  # its part of pattern_trials; null for too few images
    exemplars: tuple[str, ...]  # rows of the confirming half
    controls: tuple[str, ...]
    recipients: tuple[str, ...]


class PatternSummary(Value):
    """All candidates, the confirmed ones first."""

    candidates: tuple[Pattern, ...]
    halves: tuple[int, int]  # images that proposed, and that confirmed
    forwards: int  # pictures predicted to confirm
    numbered: int = 0  # the highest number that an id ever had, here or in the runs before
    known_from: str | None = None  # id of the run whose patterns have the same ids

    @property
    def confirmed(self) -> tuple[Pattern, ...]:
        return tuple(it for it in self.candidates if it.verdict == "confirmed")

    @property
    def shown(self) -> tuple[Pattern, ...]:
        """Those that a page shows with their pictures: the confirmed, then the confounded."""
        confounded = tuple(it for it in self.candidates if it.verdict == "confounded")
        return (self.confirmed + confounded)[:MOST_SHOWN]


PatternChangeKind = Literal["new", "gone", "grown", "shrunk", "unchanged"]
PATTERN_CHANGES: tuple[PatternChangeKind, ...] = ("new", "gone", "grown", "shrunk", "unchanged")


class PatternThen(Value):
    """A pattern as one of two runs judged it."""

    id: str
    verdict: PatternVerdict
    share: Rate  # of all images, those that are its members
    effect: Interval | None


class PatternChange(Value):
    """A pattern that at least one of two runs confirmed."""

    name: str
    pulls_to: str  # class
    kind: PatternChangeKind
    before: PatternThen | None  # null where none of that run's candidates is it
    now: PatternThen | None
    change: Interval | None  # of its share of the images, where both confirmed it
    sentence: str
