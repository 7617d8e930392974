"""The page of compared methods as text. test_browser.py looks at it with a browser."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from reports.method_figures import GROUPS
from reports.methods_page import render_methods
from tasks.schema import METHOD_FIGURES, Column, GalleryRow, MethodsSummary
from tasks.schema.figures import COST
from tests.support.html_page import Page
from tests.support.method_comparisons import (
    ORDINARY,
    comparison,
    gallery,
    hostile_comparison,
    hostile_gallery,
    interval,
    method,
    no_cost,
    row,
    without_figures,
    without_recommendation,
)


def read(summary: MethodsSummary, shown: Sequence[GalleryRow] = ()) -> Page:
    return Page(render_methods(summary, shown))


def test_hostile_words_are_shown_as_words() -> None:
    words = read(hostile_comparison(), hostile_gallery()).words
    assert "<script>alert(1)</script>\"'&↵�gnp.exe" in words
    assert "{{ 7*7 }}" in words
    assert "(empty)" in words


def test_every_figure_answers_a_question_once() -> None:
    listed = [figure.name for group in GROUPS for figure in group.figures]
    assert listed == [*METHOD_FIGURES, *COST]


def test_the_recommendation_comes_first() -> None:
    words = read(comparison()).words
    title = words.index("Attribution methods for torchvision:resnet18 on /data/scenes Use ibisa:")
    names = (
        "Recommended ibisa",
        "Cost and faithfulness Higher",
        "↑ higher is better, ↓",
        "Verdicts grad_cam",
    )
    others = ("What the figures mean", "A good map certifies nothing.", "Run folder /runs/methods")
    positions = [words.index(name) for name in (*names, *others)]
    assert positions == sorted(positions)
    assert title < positions[0]


def test_without_a_recommendation_it_says_why() -> None:
    words = read(without_recommendation()).words
    assert "No method is recommended: none was checked by randomisation." in words
    assert "Recommended none" in words
    assert "Not checked by randomisation." in words


def test_values_stand_with_their_intervals_and_the_best_is_marked() -> None:
    words = read(comparison()).words
    assert "iba best 0.513 0.485 to 0.541 best 3.42 3.22 to 3.62" in words
    assert "ibisa recommended 0.497 0.469 to 0.525" in words
    assert "captum:GuidedBackprop fails sanity 0.366" in words
    assert "vjp dominated 0.287" in words
    assert "Share ↑" in words.replace("\xa0", " ")
    assert "Deletion, mean ↓" in words.replace("\xa0", " ")


def marked(summary: MethodsSummary) -> int:
    return len([it for _, it in read(summary).elements if it.get("class") == "n best"])


def test_the_lowest_is_best_where_lower_is_better_and_equals_are_not_marked() -> None:
    one, other = (
        method("vjp", figures={"half": interval(value), "lift": interval(2)})
        for value in (0.1, 0.2)
    )
    words = read(comparison(methods=(other, one))).words
    assert "best 0.100 0.072 to 0.128" in words
    assert marked(comparison(methods=(other, one))) == 1
    assert marked(comparison(methods=(one,))) == 0


def test_what_is_missing_is_a_dash() -> None:
    words = read(without_figures()).words
    assert f"vjp {' '.join(['–'] * 5)} Method" in words
    assert "No method has both a measured cost and a figure of faithfulness" in words


def test_verdicts_with_what_is_odd() -> None:
    words = read(comparison()).words
    assert "less faithful than iba 120 maps, 3 all zeros. Passes the" in words
    assert "grad_cam is cheaper, and no worse in faithfulness, lift and stability." in words
    assert "118 maps, 2 could not be made." in words
    assert "Fails the randomisation check." in words


def test_methods_that_cannot_be_drawn_are_named() -> None:
    bare = method("vjp", figures={})
    words = read(comparison(methods=(method("iba"), bare))).words
    assert "Not drawn, since cost or faithfulness is not known: vjp." in words
    untimed = read(comparison(methods=(method("iba"), method("vjp", cost=no_cost())))).words
    assert "Not timed: vjp. The cost of this method is the number of declared passes" in untimed
    assert "there is nothing to draw" in read(comparison(methods=(bare,))).words


def test_the_sample_and_the_configuration_are_named() -> None:
    words = read(comparison()).words
    assert "10 attribution methods compared on 120 images · 4 August 2026, 02:00 UTC" in words
    assert "Sanity was checked on 32 of 120 images" in words
    assert (
        "Numeric mode float32, deterministic Workers 2 Time 21 min 24 s Rule Of the sane" in words
    )


def images(page: Page, alt: str) -> list[dict[str, str]]:
    return [it for tag, it in page.elements if tag == "img" and it["alt"].startswith(alt)]


def pixels(image: dict[str, str]) -> np.ndarray:
    content = base64.b64decode(image["src"].partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=int)


def test_the_gallery_has_each_picture_and_each_map() -> None:
    page = read(comparison(), gallery(comparison(), images=2))
    assert len(images(page, "Picture of test/0000")) == 2
    assert [it["alt"] for it in images(page, "Map by")] == [f"Map by {it}" for it in ORDINARY] * 2
    assert "tent right test/00000.png picture grad_cam" in page.words
    assert "teapot wrong, the label is tent" in page.words
    assert len({it["width"] for it in images(page, "Map by")}) == 1


def test_a_map_that_could_not_be_made_says_so() -> None:
    page = read(hostile_comparison(), hostile_gallery())
    assert page.words.count("no map") == 3
    assert page.words.count("zeros") >= 3
    assert "no foreground" in page.words


def test_a_map_of_few_cells_is_enlarged_smoothly_and_by_its_magnitude() -> None:
    picture_HW3 = np.full((96, 96, 3), 120, dtype=np.uint8)
    signed = Column("vjp", np.array([[-1.0, 0.0], [0.0, 0.0]]))
    shown = row(0, [], columns=(signed,), picture_HW3=picture_HW3, mask_HW=None)
    (image,) = images(read(comparison(), [shown]), "Map by")
    heat_HW = pixels(image)[..., 0]  # red rises with heat
    diagonal = heat_HW.diagonal()[:: len(heat_HW) // 12]
    assert diagonal[0] > diagonal[-1] + 60
    steps = np.abs(np.diff(diagonal))
    assert steps.max() < 0.5 * (diagonal[0] - diagonal[-1])


def test_the_mask_is_outlined_on_the_picture_which_keeps_its_colours() -> None:
    picture_HW3 = np.full((192, 192, 3), (200, 40, 40), dtype=np.uint8)
    mask_HW = np.zeros((192, 192))
    mask_HW[48:144, 48:144] = 0.7
    shown = row(0, [], picture_HW3=picture_HW3, mask_HW=mask_HW)
    (image,) = images(read(comparison(), [shown]), "Picture of")
    found_HW3 = pixels(image)
    assert np.abs(found_HW3[96, 96] - (200, 40, 40)).max() < 12
    assert found_HW3[96, 44:54].min(1).max() > 150  # a white line somewhere near the border


@pytest.mark.parametrize(("methods", "across"), [(1, 2), (8, 9), (9, 5), (10, 6), (12, 7)])
def test_lines_of_the_gallery_are_evenly_filled(methods: int, across: int) -> None:
    names = [f"method{index}" for index in range(methods)]
    page = read(comparison(), [row(0, names)])
    (line,) = page.of("maps")
    assert line["style"] == f"--across: {across}"


def test_an_empty_gallery_says_so() -> None:
    assert "There is no image to show." in read(comparison()).words
