"""Summaries and examples to draw: ordinary, hostile, and with all that may be missing."""

from __future__ import annotations

import math
from typing import Any

from tasks.schema import (
    Contrast,
    Copy,
    CostSummary,
    CrossCell,
    CrossRow,
    CrossTable,
    DuplicateSummary,
    EvidenceSummary,
    Excess,
    FailureSummary,
    FlagRule,
    ForegroundSummary,
    GroupSummary,
    Histogram,
    ImageCounts,
    Interval,
    MethodSummary,
    ModelSummary,
    Summary,
    WorstGroup,
    wilson,
)

NOTHING = wilson(0, 0)
NO_DUPLICATES = DuplicateSummary(pictures=0, rows=0, contradictions=0, first=())
SPITEFUL = "<script>alert(1)</script>\"'&\n\u202egnp.exe\u0000\udcff</style></title>{{ 7*7 }}"
LONG = "a_very_long_name_without_any_space_" * 12
NAMES = (SPITEFUL, LONG, "שועל אדום", "<img src=x onerror=alert(1)>", "{% raw %}", "")


def class_summary(name: str, flagged: int, of: int) -> GroupSummary:
    """A class of which the null flags 5%."""
    null = wilson(of // 20, of)
    excess = excess_of((flagged - of // 20) / of, 0.08) if of >= 20 else None
    return GroupSummary(
        name=name,
        accuracy=wilson(of // 2, of),
        flagged=wilson(flagged, of),
        null=null,
        excess=excess,
        q=None if excess is None else 0.0002 if excess.low > 0 else 0.31,
    )


def excess_of(value: float, half: float) -> Excess:
    return Excess(value=value, low=value - half, high=value + half, p=0.0001)


def cross_table(
    values: tuple[str, ...] = ("reef", "sand"), classes: tuple[str, ...] = ("knife", "fork")
) -> CrossTable:
    """On the first value, images of other classes are taken for the first class."""
    cells = [
        CrossCell(
            right=wilson(12 + 20 * bool(column), 40),
            said=wilson(38 if (row, column) == (0, 0) else 9, 50 if column == 0 else 100),
        )
        for row in range(len(classes))
        for column in range(len(values))
    ]
    rows = [
        CrossRow(name=name, cells=tuple(cells[row * len(values) : (row + 1) * len(values)]))
        for row, name in enumerate(classes)
    ]
    said = {"figure": "said", "name": classes[0], "value": values[0], "low": 0.4, "high": 0.8}
    rates = {"here": wilson(38, 50), "elsewhere": wilson(9, 100)}
    return CrossTable(
        labelled=True,
        values=values,
        rows=tuple(rows),
        more_values=0,
        more_rows=0,
        contrast=Contrast.model_validate(said | rates),
    )


def figure(value: float, of: int = 1180) -> Interval:
    return Interval(value=value, low=value - 0.02, high=value + 0.02, of=of)


def evidence(**changes: Any) -> EvidenceSummary:
    ordinary: dict[str, Any] = {
        "images": 1180,
        "donors": 256,
        "digest": "2a29e427",
        "labelled": True,
        "flips_effect": figure(0.381),
        "flips_across": figure(0.467),
        "flips_within": figure(0.121),
        "reliance_removal": figure(0.164),
        "reliance_effect": figure(0.274),
        "reliance_across": figure(0.317),
        "reliance_within": figure(0.052),
        "accuracy": figure(0.782),
        "accuracy_within": figure(0.711),
        "accuracy_across": figure(0.433),
        "class_gap": figure(0.278),
        "accuracy_background_alone": figure(0.611),
        "accuracy_object_alone": figure(0.402),
    }
    return EvidenceSummary(**{**ordinary, **changes})


def unlabelled_evidence() -> EvidenceSummary:
    names = ("accuracy", "accuracy_within", "accuracy_across", "class_gap")
    alone = ("accuracy_background_alone", "accuracy_object_alone")
    return evidence(labelled=False, **dict.fromkeys((*names, *alone)))


def method(name: str) -> MethodSummary:
    return MethodSummary(
        method=name,
        maps=1180,
        mean_share=0.19,
        mean_lift=1.24,
        mean_lift_low=1.19,
        mean_lift_high=1.29,
        mean_centred_lift=1.07,
        pointing=wilson(291, 1180),
        lift=Histogram(edges=(0.0, 0.5, 1.0, 1.5, 2.0), counts=(200, 400, 380, 200)),
    )


def summary(**changes: Any) -> Summary:
    classes = (class_summary("tent", 91, 148), class_summary("teapot", 2, 9))
    ordinary: dict[str, Any] = {
        "run": "/runs/night",
        "created": "2026-08-04T02:00:11+00:00",
        "sightline": "0.1.0",
        "torch": "2.14.1",
        "data": "/data/scenes",
        "target": "prediction",
        "numeric": {"dtype": "float32"},
        "images": ImageCounts(total=1200, predicted=1197, failed=3, labelled=1197, scored=1180),
        "foreground": ForegroundSummary(
            source="annotated", polarity="white", mean_area=0.15, estimates=None
        ),
        "model": ModelSummary(
            address="torchvision:resnet18",
            digest="sha256:9f2c",
            layer="layer4",
            classes=("tent", "teapot"),
            preprocessing={"resize": 256, "mean": [0.485, 0.456, 0.406]},
        ),
        "rule": rule("Scores above 0.673 are flagged."),
        "accuracy": wilson(936, 1197),
        "flags": {
            "rests_on_background": wilson(412, 1197),
            "rests_on_object": wilson(571, 1197),
            "mixed": wilson(197, 1197),
            "undecided": wilson(17, 1197),
        },
        "flagged": wilson(412, 1180),
        "null": wilson(59, 1180),
        "excess": excess_of(0.2992, 0.03),
        "flagged_correct": wilson(226, 922),
        "flagged_incorrect": wilson(186, 258),
        "by_label": classes,
        "by_prediction": classes,
        "by_column": {"site": classes},
        "same_columns": {"site": ("site_id",)},
        "cross_tables": {"site": cross_table()},
        "figures": {"flips": figure(0.433), "flips_own": figure(0.083)},
        "worst_group": WorstGroup(
            name="tent on snow", accuracy=figure(0.05, 41), groups=16, column="group"
        ),
        "smallest_group": 20,
        "evidence": evidence(),
        "methods": (method("gradcam++"), method("layercam")),
        "failures": (failure("truncated image"),),
        "duplicates": NO_DUPLICATES,
        "cost": CostSummary(
            seconds=161.2,
            images_per_second=7.4,
            computed=1197,
            reused=0,
            workers=2,
            devices=("cpu",),
        ),
    }
    return Summary(**{**ordinary, **changes})


def rule(sentence: str, threshold: float | None = 0.673) -> FlagRule:
    return FlagRule(
        method="gradcam++",
        false_alarm=0.05,
        threshold=threshold,
        calibrated_on=1180 if threshold else 0,
        sentence=sentence,
    )


def failure(message: str, count: int = 3) -> FailureSummary:
    return FailureSummary(
        stage="read",
        kind="permanent",
        message=message,
        remedy="export it again",
        row_id="test/00017.jpg",
        count=count,
    )


def hostile_summary() -> Summary:
    classes = tuple(class_summary(name, 4, 9 + 12 * index) for index, name in enumerate(NAMES))
    fail = {"stage": SPITEFUL, "kind": LONG, "remedy": SPITEFUL, "row_id": LONG}
    model = ModelSummary(
        address=SPITEFUL,
        digest=LONG,
        layer=SPITEFUL,
        classes=NAMES,
        preprocessing={SPITEFUL: [SPITEFUL, None, math.nan]},
    )
    return summary(
        run=SPITEFUL,
        created=SPITEFUL,
        data=LONG,
        target=SPITEFUL,
        numeric={SPITEFUL: SPITEFUL},
        model=model,
        rule=rule(SPITEFUL).model_copy(update={"method": SPITEFUL}),
        by_label=classes,
        by_prediction=classes,
        by_column=dict.fromkeys(NAMES, classes),
        same_columns=dict.fromkeys(("label", *NAMES), NAMES),
        cross_tables=dict.fromkeys(NAMES, cross_table(NAMES, NAMES)),
        worst_group=WorstGroup(name=SPITEFUL, accuracy=figure(0.1), groups=6, column=SPITEFUL),
        methods=tuple(method(name) for name in NAMES),
        failures=tuple(failure(name).model_copy(update=fail) for name in NAMES),
        duplicates=DuplicateSummary(
            pictures=len(NAMES),
            rows=2 * len(NAMES),
            contradictions=len(NAMES),
            first=tuple(
                (Copy(row_id=name, label=name), Copy(row_id="b", label=None)) for name in NAMES
            ),
        ),
    )


def without_foreground(**changes: Any) -> Summary:
    flags = {"undecided": wilson(1197, 1197), "rests_on_background": wilson(0, 1197)}
    names = ("mean_share", "mean_lift", "mean_lift_low", "mean_lift_high", "mean_centred_lift")
    bare = dict.fromkeys(names)
    empty = Histogram(edges=(0.0, 1.0), counts=(0,))
    methods = method("gradcam++").model_copy(update={**bare, "pointing": NOTHING, "lift": empty})
    classes = undecided_classes()
    none: dict[str, Any] = {
        "foreground": ForegroundSummary(
            source="none", polarity="white", mean_area=None, estimates=None
        ),
        "rule": rule("Nothing is flagged: the data has no foreground.", None),
        "images": ImageCounts(total=1200, predicted=1197, failed=3, labelled=1197, scored=0),
        "flags": flags,
        **undecided(),
        "by_label": classes,
        "by_prediction": classes,
        "by_column": {"site": classes},
        "evidence": None,
        "figures": {},
        "methods": (methods,),
    }
    return summary(**{**none, **changes})


def undecided() -> dict[str, Any]:
    rates = ("flagged", "null", "flagged_correct", "flagged_incorrect")
    return {**dict.fromkeys(rates, NOTHING), "excess": None}


def undecided_classes() -> tuple[GroupSummary, ...]:
    nothing = {"flagged": NOTHING, "null": NOTHING, "excess": None, "q": None}
    return tuple(row.model_copy(update=nothing) for row in summary().by_label)


def without_interventions(**changes: Any) -> Summary:
    """A foreground, but no picture was changed."""
    classes = undecided_classes()
    none: dict[str, Any] = {
        "rule": rule("Nothing is flagged: no background was exchanged.", None),
        "flags": {"undecided": wilson(1197, 1197)},
        **undecided(),
        "by_label": classes,
        "by_prediction": classes,
        "by_column": {"site": classes},
        "evidence": None,
        "figures": {},
    }
    return summary(**{**none, **changes})


def without_layer() -> Summary:
    """Of a plain function, whose methods need none."""
    ordinary = summary()
    return summary(model=ordinary.model.model_copy(update={"layer": None}))


def without_labels() -> dict[str, Any]:
    return {
        "accuracy": NOTHING,
        "flagged_correct": NOTHING,
        "flagged_incorrect": NOTHING,
        "by_label": (),
        "worst_group": None,
        "evidence": unlabelled_evidence(),
        "images": ImageCounts(total=1200, predicted=1197, failed=3, labelled=0, scored=1180),
    }


def empty_summary() -> Summary:
    return without_foreground(
        **{**without_labels(), "evidence": None},
        by_prediction=(),
        by_column={},
        cross_tables={},
        same_columns={},
        methods=(),
        failures=(),
        flags={},
    ).model_copy(
        update={"images": ImageCounts(total=0, predicted=0, failed=0, labelled=0, scored=0)}
    )


def few_images() -> Summary:
    """19 images can calibrate a threshold, but no excess."""
    classes = (class_summary("tent", 1, 10), class_summary("teapot", 0, 9))
    return summary(
        images=ImageCounts(total=19, predicted=19, failed=0, labelled=19, scored=19),
        flags={
            "rests_on_background": wilson(1, 19),
            "rests_on_object": wilson(18, 19),
            "undecided": wilson(0, 19),
        },
        flagged=wilson(1, 19),
        null=wilson(0, 19),
        excess=None,
        flagged_correct=wilson(0, 10),
        flagged_incorrect=wilson(1, 9),
        by_label=classes,
        by_prediction=classes,
        by_column={},
        cross_tables={},
        evidence=evidence(images=19),
        worst_group=None,
    )
