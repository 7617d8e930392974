"""The gallery: pictures, maps, what was changed, and one sentence of why."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import pytest
from PIL import Image

from reports.example_sentences import explain_changes
from tasks.schema import Example
from tests.support.audit_summaries import SPITEFUL, summary, without_interventions
from tests.support.example_images import changes, example
from tests.support.html_page import read


def test_the_gallery_carries_its_pictures() -> None:
    page = read(summary(), [example(size=64), example(size=224)])
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert len(images) == 2 * (2 + 6) + 1
    for attributes in images:
        assert attributes["alt"]
        kind, _, data = attributes["src"].partition(",")
        assert kind in ("data:image/png;base64", "data:image/jpeg;base64")
        Image.open(io.BytesIO(base64.b64decode(data))).load()
    pairs = [images[index] for index in (1, 2, 9, 10)]
    assert [attributes["width"] for attributes in pairs] == ["256", "256", "448", "448"]
    assert "wrong, the label is tent" in page.text
    assert "confidence 85.3%" in page.text
    assert "outlined in white" in page.text


def test_changed_pictures_stand_beside_what_became_of_the_prediction() -> None:
    page = read(summary(), [example()])
    assert len(page.of("meter")) == 6
    assert "88.0% object removed 3.0% → bus background removed" in page.text
    assert "10.0% → tent background from a picture labelled teapot" in page.text
    assert "20.0% background from a picture labelled teapot" in page.text
    assert "70.0% background from a picture labelled teapot, its own class" in page.text
    assert "score 0.91 lift 0.11" in page.text
    titles = [attributes.get("title") for tag, attributes in page.elements if tag == "img"]
    assert "background from donor 0" in titles


def test_without_interventions_there_are_pictures_and_maps_alone() -> None:
    page = read(without_interventions(), [replace(example(), score=None, changes=())])
    assert not page.of("meter")
    assert not page.of("why")
    assert not page.of("gallery changed")
    assert "Predictions with their maps; none is flagged." in page.text


def test_an_estimated_foreground_is_named() -> None:
    words = read(summary(), [replace(example(), foreground="estimated")]).text
    assert "rests on the background, by an estimated foreground" in words
    assert "another object" not in words
    doubtful = replace(example(), foreground="estimated", other_object=True)
    words = read(summary(), [doubtful]).text
    assert "by an estimated foreground, which may be another object" in words


def sentence(case: Example) -> str:
    return explain_changes(case).striptags()


def outcomes(
    case: Example, *pairs: tuple[float, str], removed: float = 0.88, label: str | None = "teapot"
) -> Example:
    """The example with these exchanges across classes and none within."""
    one, other, exchange, *_ = changes(label=label)
    exchanges = (replace(exchange, probability=p, prediction=name) for p, name in pairs)
    return replace(case, changes=(replace(one, probability=removed), other, *exchanges))


def test_why_in_one_sentence() -> None:
    assert sentence(example()) == (
        "Predicted teapot with 85%; on backgrounds of other classes it keeps 12% on average and "
        "becomes tent on 2 of 3, while without the object it even has 88%."
    )


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([(0.1, "tent"), (0.1, "tent")], "it keeps 10% on average and becomes tent on all 2,"),
        (
            [(0.1, "bus"), (0.1, "tent"), (0.4, "teapot"), (0.2, "tent")],
            "it keeps 20% on average and becomes tent or bus on 3 of 4,",
        ),
        (
            [(0.0, "bus"), (0.0, "tent"), (0.0, "owl")],
            "it keeps 0% on average and becomes bus, tent or another class on all 3,",
        ),
        ([(0.6, "teapot"), (0.5, "teapot")], "it keeps 55% on average and stays teapot on all 2,"),
        ([(0.001, "tent")], "on a background of another class it keeps under 1% and becomes tent,"),
        ([(0.97, "teapot")], "on a background of another class it has 97% and stays teapot,"),
    ],
)
def test_what_other_backgrounds_leave_of_it(pairs: list[tuple[float, str]], words: str) -> None:
    assert words in sentence(outcomes(example(), *pairs))


@pytest.mark.parametrize(
    ("removed", "words"),
    [(0.88, "it even has 88%."), (0.5, "it still has 50%."), (0.04, "it has 4%.")],
)
def test_what_is_left_without_the_object(removed: float, words: str) -> None:
    case = outcomes(example(), (0.1, "tent"), removed=removed)
    assert sentence(case).endswith(f", while without the object {words}")


def test_of_an_estimate_it_is_the_estimated_object_that_was_removed() -> None:
    estimated = replace(outcomes(example(), (0.1, "tent")), foreground="estimated")
    assert sentence(estimated).endswith(", while without the estimated object it even has 88%.")


def test_without_labels_backgrounds_are_of_no_class() -> None:
    pairs = [(0.1, "tent"), (0.1, "tent")]
    unlabelled = outcomes(replace(example(), label=None), *pairs)
    assert "; on other backgrounds it keeps" in sentence(unlabelled)
    assert "; on another background it" in sentence(outcomes(example(), pairs[0], label=None))


def test_removals_alone_make_a_sentence_too() -> None:
    case = outcomes(example())
    assert sentence(case) == "Predicted teapot with 85%, while without the object it even has 88%."


def test_an_unchanged_picture_has_no_sentence() -> None:
    assert explain_changes(replace(example(), changes=())) == ""


def test_the_users_words_stay_words_in_the_sentence() -> None:
    case = outcomes(replace(example(), prediction=SPITEFUL), (0.1, SPITEFUL + "2"))
    assert "<script>" not in explain_changes(case)
    assert "\u202e" not in explain_changes(case)
    assert explain_changes(case).count("<bdi") == 2
