"""The page as text. test_browser.py looks at the same pages with a browser."""

from __future__ import annotations

import base64
import io
import math
import re
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError
from PIL import Image

from reports import page as reports_page
from reports.page import render_page
from tasks.schema import (
    ClassSummary,
    Copy,
    CostSummary,
    DuplicateSummary,
    Example,
    FailureSummary,
    FlagRule,
    ForegroundSummary,
    Histogram,
    ImageCounts,
    MethodSummary,
    ModelSummary,
    Summary,
    wilson,
)

NOTHING = wilson(0, 0)
NO_DUPLICATES = DuplicateSummary(pictures=0, rows=0, contradictions=0, first=())
SPITEFUL = "<script>alert(1)</script>\"'&\n\u202egnp.exe\u0000\udcff</style></title>{{ 7*7 }}"
LONG = "a_very_long_name_without_any_space_" * 12
NAMES = (SPITEFUL, LONG, "שועל אדום", "<img src=x onerror=alert(1)>", "{% raw %}", "")


def class_summary(name: str, flagged: int, of: int) -> ClassSummary:
    return ClassSummary(name=name, accuracy=wilson(of // 2, of), flagged=wilson(flagged, of))


def method(name: str) -> MethodSummary:
    return MethodSummary(
        method=name,
        maps=1180,
        mean_share=0.19,
        mean_lift=1.24,
        mean_lift_low=1.19,
        mean_lift_high=1.29,
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
        "foreground": ForegroundSummary(source="annotated", polarity="white", mean_area=0.15),
        "model": ModelSummary(
            address="torchvision:resnet18",
            digest="sha256:9f2c",
            layer="layer4",
            classes=("tent", "teapot"),
            preprocessing={"resize": 256, "mean": [0.485, 0.456, 0.406]},
        ),
        "rule": FlagRule(method="gradcam++", threshold=0.8, sentence="Lift below 0.80 is flagged."),
        "accuracy": wilson(936, 1197),
        "flags": {
            "rests_on_background": wilson(412, 1197),
            "rests_on_object": wilson(571, 1197),
            "mixed": wilson(197, 1197),
            "undecided": wilson(17, 1197),
        },
        "flagged": wilson(412, 1180),
        "flagged_correct": wilson(226, 922),
        "flagged_incorrect": wilson(186, 258),
        "by_label": classes,
        "by_prediction": classes,
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


def failure(message: str, count: int = 3) -> FailureSummary:
    return FailureSummary(
        stage="read",
        kind="permanent",
        message=message,
        remedy="export it again",
        row_id="test/00017.jpg",
        count=count,
    )


def example(number: int = 0, size: int = 64) -> Example:
    random = np.random.default_rng(number)
    mask_HW = np.zeros((size, size), dtype=bool)
    mask_HW[size // 4 : size // 2, size // 4 : size // 2] = True
    return Example(
        row_id=f"test/{number:05d}.png",
        label="tent",
        prediction="teapot",
        confidence=0.853,
        correct=False,
        flag="rests_on_background",
        reason="lift 0.11 is below 0.80",
        share=0.02,
        lift=0.11,
        picture_HW3=random.integers(0, 256, (size, size, 3), dtype=np.uint8),
        map_HW=random.random((size, size)),
        mask_HW=mask_HW,
    )


def examples() -> list[Example]:
    return [example(number) for number in range(3)]


def hostile_examples() -> list[Example]:
    return [
        replace(example(0), row_id=SPITEFUL, label=SPITEFUL, prediction=SPITEFUL, reason=SPITEFUL),
        replace(example(1), row_id="x" * 4000, prediction="x" * 4000, reason="שועל " * 40),
        replace(example(2), label=None, correct=None, mask_HW=None, lift=None, share=None),
    ]


def hostile_summary() -> Summary:
    classes = tuple(class_summary(name, 4, 9 + 12 * place) for place, name in enumerate(NAMES))
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
        rule=FlagRule(method=SPITEFUL, threshold=0.8, sentence=SPITEFUL),
        by_label=classes,
        by_prediction=classes,
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
    bare = {"mean_share": None, "mean_lift": None, "mean_lift_low": None, "mean_lift_high": None}
    empty = Histogram(edges=(0.0, 1.0), counts=(0,))
    methods = method("gradcam++").model_copy(update={**bare, "pointing": NOTHING, "lift": empty})
    classes = tuple(row.model_copy(update={"flagged": NOTHING}) for row in summary().by_label)
    none: dict[str, Any] = {
        "foreground": ForegroundSummary(source="none", polarity="white", mean_area=None),
        "images": ImageCounts(total=1200, predicted=1197, failed=3, labelled=1197, scored=0),
        "flags": flags,
        "flagged": NOTHING,
        "flagged_correct": NOTHING,
        "flagged_incorrect": NOTHING,
        "by_label": classes,
        "by_prediction": classes,
        "methods": (methods,),
    }
    return summary(**{**none, **changes})


def without_labels() -> dict[str, Any]:
    return {
        "accuracy": NOTHING,
        "flagged_correct": NOTHING,
        "flagged_incorrect": NOTHING,
        "by_label": (),
        "images": ImageCounts(total=1200, predicted=1197, failed=3, labelled=0, scored=1180),
    }


def empty_summary() -> Summary:
    return without_foreground(
        **without_labels(), by_prediction=(), methods=(), failures=(), flags={}
    ).model_copy(
        update={"images": ImageCounts(total=0, predicted=0, failed=0, labelled=0, scored=0)}
    )


OURS = """
    html head meta link title style body main header section nav footer article h1 h2 h3 h4 p a
    dl dt dd div span b em small bdi code ul ol li table thead tbody tr th td blockquote
    figure figcaption img details summary svg desc rect line text
"""
VOID = {"meta", "link", "img", "line", "rect"}


@dataclass
class Page(HTMLParser):
    """The page as a reader meets it: elements, addresses, words."""

    html: str
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    words: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)
        self.close()
        assert self.open == []
        self.words = " ".join(self.words.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.words += " " if tag in {"dt", "dd", "th", "td", "small", "span"} else ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += data

    def of(self, kind: str) -> list[dict[str, str]]:
        return [attributes for _, attributes in self.elements if attributes.get("class") == kind]


def read(summary: Summary, examples: list[Example] | None = None) -> Page:
    return Page(render_page(summary, examples or []))


PAGES: dict[str, tuple[Summary, list[Example]]] = {
    "ordinary": (summary(), examples()),
    "hostile": (hostile_summary(), hostile_examples()),
    "no foreground": (without_foreground(), hostile_examples()),
    "no labels": (summary(**without_labels()), hostile_examples()),
    "neither": (without_foreground(**without_labels()), []),
    "nothing at all": (empty_summary(), []),
}


@pytest.mark.parametrize("name", PAGES)
def test_only_our_own_markup_is_on_the_page(name: str) -> None:
    page = read(*PAGES[name])
    assert {tag for tag, _ in page.elements} <= set(OURS.split())
    names = {name for _, attributes in page.elements for name in attributes}
    assert not [name for name in names if name.startswith("on")]


@pytest.mark.parametrize("name", PAGES)
def test_the_page_points_nowhere_but_to_itself(name: str) -> None:
    page = read(*PAGES[name])
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    for _, attributes in page.elements:
        for address in (attributes.get("src"), attributes.get("href")):
            assert address is None or address.startswith("data:") or address[1:] in ids
    style = page.html[page.html.index("<style>") : page.html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in page.html


@pytest.mark.parametrize("name", PAGES)
def test_no_missing_figure_shows_as_code(name: str) -> None:
    page = read(*PAGES[name])
    preprocessing = re.sub(r"NaN\]", "]", page.words)  # the user's own NaN in the configuration
    assert not re.search(r"\b(None|NaN|nan|inf|undefined|Infinity)\b", preprocessing)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_can_be_written_and_hides_nothing(name: str) -> None:
    html = render_page(*PAGES[name])
    html.encode("utf-8")
    assert html.startswith("<!doctype html>")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", html)


def test_hostile_words_are_shown_as_words() -> None:
    page = read(hostile_summary(), hostile_examples())
    assert "<script>alert(1)</script>\"'&↵�gnp.exe" in page.words
    assert "{{ 7*7 }}" in page.words
    assert "49" not in page.words
    assert "<img src=x onerror=alert(1)>" in page.words
    assert "(empty)" in page.words


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_any_text_stays_text(text: str) -> None:
    ordinary = [tag for tag, _ in read(summary(data="data"), []).elements]
    classes = (class_summary(text, 91, 148), class_summary(text, 2, 9))
    page = read(summary(by_label=classes, by_prediction=classes, data="data"))
    page.html.encode("utf-8")
    shown = [tag for tag, _ in page.elements]
    assert {*shown} == {*ordinary}


def test_the_headline_in_words_and_figures() -> None:
    page = read(summary(), examples())
    assert (
        "34.9% of the decided predictions are flagged as resting on the background." in page.words
    )
    assert "That is 412 of 1,180 decided predictions (95% interval 32.2 to 37.7%)." in page.words
    assert (
        "Wrong predictions are flagged more often than right ones: 72.1% against 24.5%"
        in page.words
    )
    assert "Accuracy 78.2% 75.8 to 80.4% 936 of 1,197 labelled" in page.words
    assert "Failures 3 images without a prediction" in page.words
    assert sum(tag == "h1" for tag, _ in page.elements) == 1


def test_what_is_not_clearly_different_is_said_to_be_so() -> None:
    page = read(summary(flagged_correct=wilson(4, 20), flagged_incorrect=wilson(5, 20)))
    assert (
        "Wrong predictions (25.0%) and right ones (20.0%) are not clearly different." in page.words
    )


def test_source_method_rule_and_numeric_mode_are_named() -> None:
    words = read(summary()).words
    assert "Foreground annotated, 15.0% of the picture on average" in words
    assert "Method gradcam++, of the prediction" in words
    assert "Numeric mode dtype float32" in words
    assert "Lift below 0.80 is flagged." in words
    assert "Threshold lift 0.80" in words
    assert "A map is not a proof." in words
    assert "Preprocessing: mean [0.485, 0.456, 0.406]" in words


def test_right_and_wrong_against_the_flag() -> None:
    words = read(summary()).words
    assert "Right 226 696 24.5% 21.8 to 27.4%" in words
    assert "Wrong 186 72 72.1% 66.3 to 77.2%" in words


def test_predictions_without_a_label_are_accounted_for() -> None:
    words = read(summary(flagged_correct=wilson(226, 900))).words
    assert "22 decided predictions without a label count in the last row only." in words


def test_without_a_foreground_nothing_is_flagged_and_predictions_are_shown() -> None:
    page = read(
        without_foreground(), [replace(example(), flag="undecided", mask_HW=None, lift=None)]
    )
    assert "Nothing is flagged: this audit had no foreground." in page.words
    assert "Rests on the background not judged" in page.words
    assert "teapot" in page.words
    assert "outlined" not in page.words
    assert "This is the accuracy by class" in page.words
    assert len(page.of("interval-bar")) == 2
    assert not page.of("histogram")


def test_without_labels_it_says_so() -> None:
    page = read(summary(**without_labels()), [replace(example(), label=None, correct=None)])
    assert "Accuracy no labels" in page.words
    assert "Flagged when wrong no labels" in page.words
    assert "right and wrong are not known" in page.words
    assert "By label" not in page.words
    assert "By predicted class" in page.words


def test_no_flag_is_a_finding_too() -> None:
    page = read(summary(flagged=wilson(0, 1180), flagged_correct=wilson(0, 922)))
    assert "No prediction is flagged as resting on the background." in page.words
    assert "Not one of 1,180 decided predictions. The 95% interval ends at 0.3%." in page.words


def test_nothing_decided() -> None:
    assert "No prediction could be decided." in read(summary(flagged=NOTHING)).words


def test_a_thousand_classes_show_the_thirty_that_are_surely_worst() -> None:
    names = [f"species {number}" for number in range(1000)]
    classes = tuple(class_summary(name, place % 40, 50) for place, name in enumerate(names))
    alone = class_summary("one image of one", 1, 1)
    page = read(summary(by_label=(alone, *classes), by_prediction=classes))
    assert len(page.of("interval-bar")) == 60
    assert "971 more classes are not drawn" in page.words
    assert "one image of one" not in page.words[: page.words.index("Methods Share")]
    assert "78.0%" in page.words


def test_small_classes_say_so() -> None:
    page = read(summary(by_prediction=()))
    assert "teapot few images" in page.words
    assert "tent few images" not in page.words
    assert len(page.of("few-images")) == 1


def test_classes_without_a_decided_image_are_counted_not_drawn() -> None:
    page = read(summary(by_label=(class_summary("bus", 0, 0), class_summary("tent", 1, 40))))
    assert "1 more class is not drawn" in page.words


def test_many_kinds_of_failure_are_cut_with_the_rest_counted() -> None:
    failures = tuple(failure(f"message {number}", count=2) for number in range(80))
    page = read(summary(failures=failures))
    assert "message 29" in page.words
    assert "message 30" not in page.words
    assert "50 more kinds of failure, 100 rows, are in failures/" in page.words


def test_no_failure_is_said() -> None:
    images = ImageCounts(total=9, predicted=9, failed=0, labelled=9, scored=9)
    assert "Nothing failed" in read(summary(failures=(), images=images)).words


def test_the_gallery_carries_its_pictures() -> None:
    page = read(summary(), [example(size=64), example(size=224)])
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert len(images) == 2 * 2 + 1
    for attributes in images:
        assert attributes["alt"]
        kind, _, data = attributes["src"].partition(",")
        assert kind == "data:image/png;base64"
        Image.open(io.BytesIO(base64.b64decode(data))).load()
    assert [images[place]["width"] for place in (1, 2, 3, 4)] == ["256", "256", "448", "448"]
    assert "wrong, the label is tent" in page.words
    assert "confidence 85.3%" in page.words
    assert "outlined in white" in page.words


def test_a_map_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="map is"):
        render_page(summary(), [replace(example(), map_HW=np.ones((7, 7)))])


def test_a_word_that_a_template_misspells_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        reports_page._environment().from_string("{{ flaged }}").render()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.31, "0.3 s"),
        (41.2, "41 s"),
        (161.2, "2 min 41 s"),
        (59.7, "1 min 0 s"),
        (10921, "3 h 2 min"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert reports_page.duration(seconds) == words


def test_a_long_name_keeps_both_ends() -> None:
    shortened = reports_page.short("folder/" + "x" * 500 + "/17.png", 40)
    assert len(shortened) == 40
    assert shortened.startswith("folder/")
    assert shortened.endswith("/17.png")


def test_counted_words() -> None:
    assert reports_page.counted(1, "image") == "1 image"
    assert reports_page.counted(1200, "class") == "1,200 classes"


def test_a_stamp_is_shown_in_utc() -> None:
    assert reports_page.when("2026-08-04T02:00:11+00:00") == "4 August 2026, 02:00 UTC"
    assert reports_page.when("2026-08-04T02:00:11+02:00") == "4 August 2026, 00:00 UTC"
    assert reports_page.when("yesterday") == "yesterday"


def test_pictures_with_two_labels_are_listed() -> None:
    copies = (Copy(row_id="a.png", label="cat"), Copy(row_id="b.png", label="owl"))
    found = DuplicateSummary(pictures=1, rows=2, contradictions=1, first=(copies,))
    words = read(summary(duplicates=found)).words
    assert "1 picture has different labels" in words
    assert "b.png" in words
    assert "byte for byte" not in read(summary()).words
