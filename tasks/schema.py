"""The data contracts of a run folder, once. A leaf: imports nothing of ours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

VERSION = 1  # of every table and of summary.json; a change of meaning raises it

ForegroundSource = Literal["annotated", "box", "estimated", "none"]
Flag = Literal["rests_on_background", "rests_on_object", "mixed", "undecided"]
FLAGS: tuple[Flag, ...] = ("rests_on_background", "rests_on_object", "mixed", "undecided")

_name = pa.dictionary(pa.int32(), pa.string())

CATALOG = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("image", pa.string(), nullable=False),  # address
        pa.field("label", pa.string()),  # the model's class name, null when unknown
        pa.field("masks", pa.list_(pa.string())),  # addresses, united; null when there are none
        pa.field("mask_values", pa.list_(pa.int32())),  # foreground's in them; null: all but zero
        pa.field("regions", pa.string()),  # JSON: boxes, polygons, run lengths; null when none
        pa.field("stamp", pa.string(), nullable=False),  # sizes and times of image and masks
    ]
)
"""One row an image; every extra column of the user's table follows these, untouched."""

PREDICTIONS = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("content_id", pa.string(), nullable=False),  # hash of the image's bytes
        pa.field("foreground_id", pa.string()),  # hash of masks' bytes, values and regions
        pa.field("label", _name),
        pa.field("prediction", _name, nullable=False),
        pa.field("confidence", pa.float32(), nullable=False),  # softmax of the prediction, 0 to 1
        pa.field("correct", pa.bool_()),  # null without a label
    ]
)

_vector = pa.list_(pa.float16())  # of at most 64; Parquet loses nulls among fixed-size lists

FEATURES = pa.schema(  # pooled activations of the map layer
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("whole", _vector),
        pa.field("object", _vector),  # null without a foreground
        pa.field("background", _vector),
    ]
)

SCORES = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("area", pa.float32(), nullable=False),  # foreground's share of the picture, 0 to 1
        pa.field("share", pa.float32()),  # foreground share of the energy; null for a map of zeros
        pa.field("lift", pa.float32()),  # share / area, 1 = chance
        pa.field("pointing", pa.bool_()),  # the map's largest value lies in the foreground
    ]
)

FAILURES = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),  # read, foreground, or the method's name
        pa.field("kind", pa.string(), nullable=False),  # permanent or transient
        pa.field("message", pa.string(), nullable=False),
        pa.field("remedy", pa.string(), nullable=False),
    ]
)

FLAGS_TABLE = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("flag", _name, nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("method", _name, nullable=False),
        pa.field("area", pa.float32()),
        pa.field("share", pa.float32()),
        pa.field("lift", pa.float32()),
    ]
)


DUPLICATES = pa.schema(
    [
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("labels", pa.int32(), nullable=False),  # different ones among the copies
    ]
)


def maps_schema(height: int, width: int) -> pa.Schema:
    """Maps at the method's native resolution, divided by `scale`, their largest magnitude."""
    return pa.schema(
        [
            pa.field("row_id", pa.string(), nullable=False),
            pa.field("target", _name, nullable=False),  # the class explained
            pa.field("map", pa.fixed_shape_tensor(pa.float16(), (height, width)), nullable=False),
            pa.field("scale", pa.float32(), nullable=False),
        ]
    )


class Value(BaseModel):
    """What travels together, frozen and without surprises."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Rate(Value):
    """`count` of `of`, with a 95% Wilson interval. Null where `of` is 0."""

    value: float | None
    low: float | None
    high: float | None
    count: int
    of: int


def wilson(count: int, of: int, z: float = 1.959964) -> Rate:
    """Rate with its Wilson score interval, of 95% unless another quantile is given."""
    if of == 0:
        return Rate(value=None, low=None, high=None, count=0, of=0)
    p = count / of
    centre = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return Rate(
        value=p, low=max(0.0, centre - half), high=min(1.0, centre + half), count=count, of=of
    )


class ImageCounts(Value):
    total: int
    predicted: int
    failed: int  # images without a prediction
    labelled: int
    scored: int  # images with a foreground score of the flag's method


class ForegroundSummary(Value):
    source: ForegroundSource
    polarity: str
    mean_area: float | None  # share of the picture


class ModelSummary(Value):
    address: str
    digest: str
    layer: str
    classes: tuple[str, ...]
    preprocessing: dict[str, object]


class FlagRule(Value):
    method: str
    threshold: float
    sentence: str  # the rule in words, with its numbers


class Histogram(Value):
    edges: tuple[float, ...]  # len(counts) + 1; the last bin holds everything above too
    counts: tuple[int, ...]


class MethodSummary(Value):
    method: str
    maps: int
    mean_share: float | None
    mean_lift: float | None
    mean_lift_low: float | None  # 95% normal interval of the mean
    mean_lift_high: float | None
    pointing: Rate
    lift: Histogram


class ClassSummary(Value):
    name: str
    accuracy: Rate  # among images with this label
    flagged: Rate  # rests_on_background, among decided images of the class


class FailureSummary(Value):
    stage: str
    kind: str
    message: str  # of the first one
    remedy: str
    row_id: str  # of the first one
    count: int


class Copy(Value):
    """One row that holds a picture which other rows hold too."""

    row_id: str
    label: str | None


class DuplicateSummary(Value):
    """duplicates.parquet in short."""

    pictures: int  # that are there more than once
    rows: int  # that hold them
    contradictions: int  # pictures whose copies have different labels
    first: tuple[tuple[Copy, ...], ...]  # a few pictures, contradictions first, a few copies each


class CostSummary(Value):
    seconds: float
    images_per_second: float | None  # of the images computed in this run
    computed: int
    reused: int
    workers: int
    devices: tuple[str, ...]


class Difference(Value):
    """Something in which two runs differ beside their images."""

    field: str
    before: str
    now: str


class Move(Value):
    """A figure in two runs and its change, with an interval that knows the images they share."""

    figure: str  # accuracy, flagged, undecided, mean_lift
    name: str | None  # the predicted class; null for all images
    before: float
    now: float
    change: float  # now - before
    low: float
    high: float
    of_before: int  # images that the figure stands on, then and now
    of: int
    shared: int  # the same images among both
    moved: bool  # the interval excludes 0
    sentence: str


class Comparison(Value):
    """What moved between a run and the one before it."""

    before: str  # run folder
    created: str  # its summary's
    differs: tuple[Difference, ...]  # any of these may be why a figure moved
    same: int  # images with the same bytes in both, predicted in both
    changed: int  # with other bytes
    added: int
    removed: int
    predictions_changed: Rate  # among the same images
    figures: tuple[Move, ...]  # 95% each
    classes: tuple[Move, ...]  # flagged by predicted class, where enough images are decided
    confidence: float  # of each class's interval, so that all hold together with 95%


class Summary(Value):
    """summary.json: every figure that the report, the table and MLflow show."""

    schema_version: int = VERSION
    run: str  # folder
    created: str  # UTC, ISO 8601
    sightline: str
    torch: str
    data: str  # address of the dataset
    target: str
    numeric: dict[str, str]
    images: ImageCounts
    foreground: ForegroundSummary
    model: ModelSummary
    rule: FlagRule
    accuracy: Rate
    flags: dict[str, Rate]  # each flag, among all images with a prediction
    flagged: Rate  # rests_on_background among decided images: the headline
    flagged_correct: Rate
    flagged_incorrect: Rate
    by_label: tuple[ClassSummary, ...]
    by_prediction: tuple[ClassSummary, ...]
    methods: tuple[MethodSummary, ...]
    failures: tuple[FailureSummary, ...]
    duplicates: DuplicateSummary
    cost: CostSummary
    moved: Comparison | None = None  # since the night before


@dataclass(frozen=True)
class Example:
    """One image of the report's gallery, in the geometry that the model saw."""

    row_id: str
    label: str | None
    prediction: str
    confidence: float
    correct: bool | None
    flag: str
    reason: str
    share: float | None
    lift: float | None
    picture_HW3: np.ndarray  # uint8
    map_HW: np.ndarray  # float, >= 0, enlarged to the picture's size
    mask_HW: np.ndarray | None  # bool
