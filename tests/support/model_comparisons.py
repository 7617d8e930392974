"""Pairs to draw: ordinary, hostile, and with nothing to compare."""

from __future__ import annotations

from typing import Any

import numpy as np

from tasks.schema import (
    Answer,
    AuditedModel,
    ChangedImage,
    Interval,
    MissingFigure,
    PairedExample,
    PairedExchange,
    PairedFigure,
    PairedSummary,
    PatternChange,
    PatternChangeKind,
    PatternThen,
    Verdict,
    figures_of_images,
    wilson,
)
from tests.support.audit_summaries import LONG, NAMES, SPITEFUL

SENTENCES = {
    "worse": "worse by −6.0 points (−9.0 to −3.0)",
    "better": "better by +6.0 points (+3.0 to +9.0)",
    "unchanged": "no change that these numbers can show (−3.0 to +15.0 points)",
}


def paired_figure(figure: str, verdict: Verdict, name: str | None = None) -> PairedFigure:
    change = -0.06 if verdict == "worse" else 0.06
    half = 0.09 if verdict == "unchanged" else 0.03
    return PairedFigure(
        figure=figure,
        name=name,
        before=0.7,
        after=0.7 + change,
        change=change,
        low=change - half,
        high=change + half,
        of=480,
        differ=40,
        higher_is_better=True,
        verdict=verdict,
        sentence=SENTENCES[verdict],
        note="fish on sea before, owl after, the lowest of 16 values of the column group"
        if figure == "worst_group"
        else "",
    )


def audited_model(address: str) -> AuditedModel:
    return AuditedModel(
        run=f"runs/{address}", created="2026-08-04T02:00:11+00:00", address=address, digest="9f2c"
    )


def changed_image(name: str = "test/00017.png", label: str | None = "tent") -> ChangedImage:
    before = Answer(
        prediction="tent", confidence=0.91, correct=True, flag="rests_on_object", flips=0.0
    )
    after = Answer(
        prediction="teapot", confidence=0.62, correct=False, flag="rests_on_background", flips=0.667
    )
    return ChangedImage(
        row_id=name, label=label, before=before, after=after, turns=("broken", "newly_flagged")
    )


def pattern_change(kind: PatternChangeKind, name: str = "the white tag") -> PatternChange:
    """Confirmed on one side, or on both."""
    sides = (kind != "new", kind != "gone")
    before, now = (
        PatternThen(
            id="P3",
            verdict="confirmed" if is_confirmed else "not confirmed",
            share=wilson(count, 480),
            effect=Interval(value=0.4, low=0.3, high=0.5, of=32) if is_confirmed else None,
        )
        for is_confirmed, count in zip(sides, (96, 48), strict=True)
    )
    return PatternChange(
        name=name,
        pulls_to=name,
        kind=kind,
        before=before,
        now=None if kind == "gone" else now,
        change=Interval(value=-0.1, low=-0.14, high=-0.06, of=480) if all(sides) else None,
        sentence={
            "new": "new: not confirmed before, +1.0 points (−2.0 to +4.0)",
            "gone": "gone: no candidate has these images now",
        }.get(kind, "shrunk by −10.0 points (−14.0 to −6.0)"),
    )


def paired(**changes: Any) -> PairedSummary:
    verdicts: dict[str, Verdict] = {"accuracy": "worse", "flips": "better"}
    order = ["worse", "better", "unchanged"]
    names = [name for name in figures_of_images() if name != "lift"]
    figures = [paired_figure(name, verdicts.get(name, "unchanged")) for name in names]
    figures.append(paired_figure("lift", "unchanged", "grad_cam_pp"))
    ordinary: dict[str, Any] = {
        "before": audited_model("champion"),
        "after": audited_model("candidate"),
        "data": "/data/scenes",
        "foreground": "annotated",
        "method": "grad_cam_pp",
        "images": 480,
        "left_out": 2,
        "predictions_changed": wilson(31, 480),
        "sentence": "Worse: accuracy. Better: flips. 10 of 12 figures show no change.",
        "figures": tuple(sorted(figures, key=lambda it: order.index(it.verdict))),
        "missing": (MissingFigure(figure="lift", name="vjp", reason="no map was scored"),),
        "classes": (
            paired_figure("accuracy", "worse", "tent"),
            paired_figure("flips", "unchanged", "teapot"),
        ),
        "confidence": 0.975,
        "class_groups": (paired_figure("flips", "better", "shelter"),),
        "smallest_class": 20,
        "turns": {"broken": 12, "newly_flagged": 9, "fixed": 5, "no_longer_flagged": 3},
        "changed": (changed_image(),),
        "patterns": (pattern_change("new"), pattern_change("gone"), pattern_change("shrunk")),
    }
    return PairedSummary(**{**ordinary, **changes})


def paired_examples(summary: PairedSummary, size: int = 64) -> list[PairedExample]:
    """The first with all pictures, the others with the picture alone."""
    random = np.random.default_rng(0)
    picture_HW3 = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
    mask_HW = np.zeros((size, size), dtype=bool)
    mask_HW[size // 4 : size // 2, size // 4 : size // 2] = True
    full, *bare = summary.changed
    name = full.after.prediction
    exchange = PairedExchange(picture_HW3, "donor", full.label, "tent", name)
    maps = random.random((2, size, size))
    return [
        PairedExample(full, picture_HW3, mask_HW, maps[0], maps[1], exchange),
        *(PairedExample(image, picture_HW3, None, None, None, None) for image in bare),
    ]


def hostile_pair() -> PairedSummary:
    answer = changed_image().after.model_copy(update={"prediction": SPITEFUL, "flips": None})
    image = changed_image(SPITEFUL, SPITEFUL).model_copy(update={"after": answer})
    unlabelled = changed_image(LONG, None).model_copy(update={"before": answer, "after": answer})
    return paired(
        before=audited_model(SPITEFUL),
        after=audited_model(LONG),
        data=SPITEFUL,
        foreground=SPITEFUL,
        method=SPITEFUL,
        sentence=SPITEFUL,
        figures=tuple(paired_figure("lift", "worse", name) for name in NAMES),
        missing=tuple(MissingFigure(figure="lift", name=n, reason=n) for n in NAMES),
        classes=tuple(paired_figure("accuracy", "worse", name) for name in NAMES),
        class_groups=tuple(paired_figure("accuracy", "worse", name) for name in NAMES),
        changed=(image, unlabelled),
        patterns=tuple(pattern_change("new", name) for name in NAMES),
    )


def nothing_compared() -> PairedSummary:
    reason = "no image was predicted in both audits"
    return paired(
        images=0,
        predictions_changed=wilson(0, 0),
        sentence="No figure could be compared.",
        figures=(),
        missing=tuple(
            MissingFigure(figure=name, name=None, reason=reason) for name in figures_of_images()
        ),
        classes=(),
        class_groups=(),
        patterns=None,
        turns=dict.fromkeys(("broken", "newly_flagged", "fixed", "no_longer_flagged"), 0),
        changed=(),
    )
