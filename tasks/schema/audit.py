"""summary.json: every figure that the report, the table and MLflow show."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, ConfigDict, Field, model_validator

from tasks.schema.class_groups import ClassGroups
from tasks.schema.cross_tables import CrossTable
from tasks.schema.patterns import PatternChange, PatternSummary
from tasks.schema.tables import GROUP_COLUMN, VERSION, ForegroundSource
from tasks.schema.values import Excess, Interval, Rate, Value, wilson


class ImageCounts(Value):
    total: int
    predicted: int
    failed: int  # images without a prediction
    labelled: int
    scored: int  # images with a foreground score of the flag's method


class EstimateSummary(Value):
    """Estimated foregrounds, and how good they are on images that are annotated too."""

    source: str  # `estimate`, or the segmenter's address
    digest: str
    estimated: int  # images whose foreground is an estimate
    unsure: int  # of them, undecided because the estimate has too little confidence
    least: float  # confidence that an estimate needs; above 1 where none suffices
    calibrated: bool  # is `least` chosen so that most estimates of annotated images are right?
    annotated: int  # images that have both
    iou: Interval | None  # mean over them
    good: Rate  # of them, with an IoU of at least 0.5
    flagged_annotated: Rate  # of images that mask and estimate both decide, by their masks
    flagged_estimated: Rate  # the same images by their estimates
    agreement: Rate  # flagged alike
    other_object: Rate | None = None  # of the images flagged by an estimate, see FLAGS_TABLE

    @property
    def sure(self) -> Rate:
        """Of the images whose foreground is an estimate, those that it can decide."""
        return wilson(self.estimated - self.unsure, self.estimated)


class ForegroundSummary(Value):
    source: ForegroundSource  # of the annotations; estimates are used for images without one
    polarity: str
    mean_area: float | None  # share of the picture
    estimates: EstimateSummary | None


class ModelSummary(Value):
    address: str
    digest: str
    layer: str | None  # None: the model has no layer with cells
    classes: tuple[str, ...]
    preprocessing: dict[str, object]


class FlagRule(Value):
    version: int = 0  # 0: of a summary that does not name it yet
    method: str
    false_alarm: float  # share of the null that may be flagged
    threshold: float | None  # of the score; null where too few images can calibrate it
    calibrated_on: int  # images
    sentence: str  # the rule in words, with its numbers

    def describe(self) -> str:
        """What makes two rules the same, whatever the data: `grad_cam_pp at 0.05, version 1`."""
        return f"{self.method} at {self.false_alarm:g}, version {self.version}"


class Histogram(Value):
    edges: tuple[float, ...]  # len(counts) + 1; the last bin also holds everything above
    counts: tuple[int, ...]


class MethodSummary(Value):
    method: str
    maps: int
    mean_share: float | None
    mean_lift: float | None
    mean_lift_low: float | None  # 95% normal interval of the mean
    mean_lift_high: float | None
    mean_centred_lift: float | None  # lift / lift of other images' masks on the same map
    pointing: Rate
    lift: Histogram


class GroupSummary(Value):
    """The images of one label, one predicted class, one group of classes or one value of a column
    of the user's table."""

    name: str
    accuracy: Rate  # among those with a label
    flagged: Rate  # rests_on_background, among the decided ones
    null: Rate  # share of the same images that the null flags
    excess: Excess | None  # null below the smallest number of decided images
    q: float | None  # the excess's p, corrected for all groups of this audit


class WorstGroup(Value):
    """The lowest accuracy among groups of enough images."""

    name: str
    accuracy: Interval
    groups: int
    column: str | None = None  # whose values the groups are; None: labels, or
    of_classes: bool = False  # groups of classes


class EvidenceSummary(Value):
    """What interventions show over all images; null where it could not be measured."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    images: int  # with interventions
    donors: int
    digest: str  # of the donor pool
    labelled: bool  # do the donors have labels, so that within and across a class differ?
    flips_effect: Interval | None = None  # changed by other backgrounds - by the own, moved
    flips_across: Interval | None  # of exchanges with donors predicted as another class
    flips_within: Interval | None  # with donors predicted alike; null for too few images
    reliance_removal: Interval | None
    reliance_effect: Interval | None = None  # probability lost on others - on the own, moved
    reliance_across: Interval | None  # probability lost, with the same two kinds of donors
    reliance_within: Interval | None
    accuracy: Interval | None  # of the same images, unchanged
    accuracy_within: Interval | None  # on backgrounds of the same class
    accuracy_across: Interval | None  # on backgrounds of other classes
    class_gap: Interval | None = Field(  # within - across
        validation_alias=AliasChoices("class_gap", "gap")  # its name in older runs
    )
    accuracy_background_alone: Interval | None  # object removed
    accuracy_object_alone: Interval | None  # background removed


class FailureSummary(Value):
    stage: str
    kind: str
    message: str  # of the first one
    remedy: str
    row_id: str  # of the first one
    count: int


class Copy(Value):
    """One of several rows with the same picture."""

    row_id: str
    label: str | None


class DuplicateSummary(Value):
    """A summary of duplicates.parquet."""

    pictures: int  # that occur more than once
    rows: int  # that have them
    contradictions: int  # pictures whose copies have different labels
    first: tuple[tuple[Copy, ...], ...]  # a few pictures, contradictions first, a few copies each


class StepCost(Value):
    """What one step of the workers' work cost, over all shards."""

    name: Literal["read", "compute", "write"]
    images: int
    bytes: int | None  # written, before compression; null where they are not counted
    seconds: float  # of all workers together; of reading, those that the computing waited for

    def __add__(self, other: StepCost) -> StepCost:
        together = None if self.bytes is None else self.bytes + (other.bytes or 0)
        return StepCost(
            name=self.name,
            images=self.images + other.images,
            bytes=together,
            seconds=self.seconds + other.seconds,
        )


class CostSummary(Value):
    seconds: float
    images_per_second: float | None  # of the images computed in this run
    computed: int
    reused: int
    workers: int
    devices: tuple[str, ...]
    steps: tuple[StepCost, ...] = ()  # empty where nothing was computed, and in older runs


class Difference(Value):
    """A field in which two runs differ, apart from their images."""

    field: str
    before: str
    now: str


class Move(Value):
    """A figure in two runs and its change, with an interval that accounts for shared images."""

    figure: str  # accuracy, flagged, undecided, excess, mean_lift
    name: str | None  # the predicted class; null for all images
    before: float
    now: float
    change: float  # now - before
    low: float
    high: float
    of_before: int  # images that the figure is based on, then and now
    of: int
    shared: int  # images that are among both
    moved: bool  # the interval excludes 0
    sentence: str


class Comparison(Value):
    """What moved between a run and the one before it."""

    before: str  # run folder
    created: str  # its summary's
    differs: tuple[Difference, ...]  # any of these may have moved a figure
    same: int  # images with the same bytes in both, predicted in both
    changed: int  # with other bytes
    added: int
    removed: int
    predictions_changed: Rate  # among the same images
    figures: tuple[Move, ...]  # 95% each
    classes: tuple[Move, ...]  # flagged by predicted class, where enough images are decided
    confidence: float  # of each class's interval, so that all hold together with 95%
    patterns: tuple[PatternChange, ...] | None = None  # null where one run looked for none


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
    flagged: Rate  # rests_on_background among decided images
    null: Rate  # share of the same images that the null flags
    excess: Excess | None  # flagged - null: the headline
    flagged_correct: Rate
    flagged_incorrect: Rate
    by_label: tuple[GroupSummary, ...]
    by_prediction: tuple[GroupSummary, ...]
    class_groups: ClassGroups | None = None  # as --class-groups names them
    by_class_group: tuple[GroupSummary, ...] = ()  # of labels; of the prediction without a label
    by_column: dict[str, tuple[GroupSummary, ...]]  # of the user's table, the group column first
    same_columns: dict[str, tuple[str, ...]] = Field({})  # left out, by the one that says the same
    cross_tables: dict[str, CrossTable] = Field({})  # classes, or groups of them, by values
    worst_group: WorstGroup | None = None
    smallest_group: int  # decided images that a group needs for an excess
    evidence: EvidenceSummary | None  # null without interventions
    figures: dict[str, Interval] = Field({})  # figures of FIGURES that no other field holds
    methods: tuple[MethodSummary, ...]
    patterns: PatternSummary | None = None  # null where none was looked for
    failures: tuple[FailureSummary, ...]
    duplicates: DuplicateSummary
    cost: CostSummary
    warnings: tuple[str, ...] = ()  # what was found before the first image was computed
    moved: Comparison | None = None  # since the previous run

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, values: Any) -> Any:
        """In older runs the worst group stands among the evidence, without its column."""
        evidence = values.get("evidence") if isinstance(values, dict) else None
        if not isinstance(evidence, dict) or "worst_group" not in evidence:
            return values
        others = {name: value for name, value in evidence.items() if name != "worst_group"}
        worst = evidence["worst_group"]
        if isinstance(worst, dict) and GROUP_COLUMN in values.get("by_column", ()):
            worst = worst | {"column": GROUP_COLUMN}
        return values | {"evidence": others, "worst_group": worst}

    def by_name(self) -> dict[str, Rate | Interval | Excess]:
        """Every figure of the dataset that has a value, by its name in FIGURES."""
        names = ("accuracy", "flagged", "null", "flagged_correct", "flagged_incorrect", "excess")
        figures = {name: getattr(self, name) for name in names}
        figures["undecided"] = self.flags.get("undecided")
        figures["worst_group"] = None if self.worst_group is None else self.worst_group.accuracy
        if self.evidence is not None:
            figures |= {f"evidence.{name}": value for name, value in self.evidence}
        if self.foreground.estimates is not None:
            figures["evidence.iou"] = self.foreground.estimates.iou
        figures |= self.figures
        return {
            name: value
            for name, value in figures.items()
            if isinstance(value, Rate | Interval | Excess)
        }
