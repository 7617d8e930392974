"""Photographs: pasting keeps what it should keep, and scores are what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from benchmarks.audit import photographs
from benchmarks.audit.photograph_pastes import (
    FILLS,
    Mask,
    Paste,
    Picture,
    grow,
    move_background,
)
from benchmarks.audit.photograph_scores import (
    Outcomes,
    flag,
    kept_by_forecast,
    kept_by_mean,
    thirds,
    trust_in_forecast,
)
from models.moves import MOVES
from tasks.flags.forecast import log_odds


def picture_with_object(seed: int, colour: int = 255, size: int = 64) -> tuple[Picture, Mask]:
    """A noisy background with a square of one colour."""
    generator = np.random.default_rng(seed)
    picture_HW3 = generator.integers(0, 120, (size, size, 3), np.uint8)
    mask_HW = np.zeros((size, size), bool)
    top, left = generator.integers(8, size - 28, 2)
    mask_HW[top : top + 20, left : left + 20] = True
    picture_HW3[mask_HW] = colour
    return picture_HW3, mask_HW


@pytest.mark.parametrize("name", FILLS)
@given(seed=st.integers(0, 1000))
def test_a_fill_removes_the_object_and_keeps_the_rest(name: str, seed: int) -> None:
    picture_HW3, mask_HW = picture_with_object(seed)
    filled_HW3 = FILLS[name](picture_HW3, mask_HW)
    outside_HW = ~grow(mask_HW, 2)  # pixels: a hole of 64 has 1 more than its mask
    np.testing.assert_array_equal(filled_HW3[outside_HW], picture_HW3[outside_HW])
    assert filled_HW3[mask_HW].max() <= 130  # nothing of the object's 255


@pytest.mark.parametrize("name", FILLS)
def test_a_fill_does_not_depend_on_the_object(name: str) -> None:
    """Whatever its colour, the hole looks the same, so that it cannot tell the class."""
    dark_HW3, light_HW3 = (FILLS[name](*picture_with_object(1, colour)) for colour in (0, 255))
    np.testing.assert_array_equal(dark_HW3, light_HW3)


def test_an_even_background_is_filled_without_a_trace() -> None:
    picture_HW3, mask_HW = np.full((64, 64, 3), 90, np.uint8), np.zeros((64, 64), bool)
    mask_HW[20:40, 10:50] = True
    picture_HW3[mask_HW] = 255
    for name, fill in FILLS.items():
        np.testing.assert_allclose(fill(picture_HW3, mask_HW), 90, atol=1, err_msg=name)


def test_a_mask_of_all_pixels_still_gives_a_picture() -> None:
    picture_HW3, mask_HW = np.full((64, 64, 3), 90, np.uint8), np.ones((64, 64), bool)
    for fill in ("mean", "pyramid"):
        assert FILLS[fill](picture_HW3, mask_HW).shape == (64, 64, 3)


@pytest.mark.parametrize("name", MOVES)
def test_a_move_keeps_every_pixel_and_changes_the_picture(name: str) -> None:
    picture_HW3, _ = picture_with_object(2)
    moved_HW3 = move_background(MOVES[name], picture_HW3)
    assert not np.array_equal(moved_HW3, picture_HW3)
    pixels, moved = (np.sort(part_HW3.reshape(-1, 3), 0) for part_HW3 in (picture_HW3, moved_HW3))
    np.testing.assert_array_equal(pixels, moved)


@pytest.mark.parametrize("edge", ["hard", "feathered"])
def test_pasting_on_the_picture_itself_changes_nothing(edge: str) -> None:
    picture_HW3, mask_HW = picture_with_object(3)
    put_HW3 = Paste("mean", edge).put(picture_HW3, mask_HW, picture_HW3)
    np.testing.assert_array_equal(put_HW3, picture_HW3)


def test_a_hard_edge_takes_each_pixel_from_one_picture() -> None:
    picture_HW3, mask_HW = picture_with_object(4)
    put_HW3 = Paste("mean", "hard").put(picture_HW3, mask_HW, np.zeros_like(picture_HW3))
    assert (put_HW3[mask_HW] == 255).all()
    assert not put_HW3[~mask_HW].any()


def outcomes(object_N: np.ndarray, background_B: np.ndarray, additive: bool = True) -> Outcomes:
    """Of a network whose log-odds add up, or that sees no background."""
    images, backgrounds = len(object_N), len(background_B)
    alone_NB = 1 / (1 + np.exp(-np.tile(background_B, (images, 1))))
    all_NB = object_N[:, None] + (background_B if additive else np.zeros(backgrounds))
    on_NB = 1 / (1 + np.exp(-all_NB))
    donor_NE = np.tile(np.arange(4), (images, 1))
    return Outcomes(
        area_N=np.linspace(0.1, 0.5, images),
        own_NM=np.full((images, 4), 0.9),
        own_changed_NM=np.zeros((images, 4), bool),
        seen_NE=on_NB[:, :4],
        seen_changed_NE=on_NB[:, :4] < 0.5,
        seen_donor_NE=donor_NE,
        truth_N=on_NB.mean(1) < 0.5,
        alone_NB=alone_NB,
        confidence_N=np.full(images, 0.9),
    )


BACKGROUND_B = np.array([-1.0, 0.5, 2.0, -2.0, 1.0, -0.5])


def test_where_log_odds_add_up_the_forecast_is_exact_and_trusted() -> None:
    object_N = np.linspace(-2, 2, 9)
    found = outcomes(object_N, BACKGROUND_B)
    exact_N = (1 / (1 + np.exp(-(object_N[:, None] + BACKGROUND_B)))).mean(1)
    np.testing.assert_allclose(kept_by_forecast(found), exact_N, atol=1e-6)
    assert trust_in_forecast(found) == pytest.approx(1, abs=1e-6)


def test_where_backgrounds_say_nothing_the_mean_is_trusted() -> None:
    found = outcomes(np.linspace(-2, 2, 9), BACKGROUND_B, additive=False)
    assert trust_in_forecast(found) == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(log_odds(kept_by_mean(found)), np.linspace(-2, 2, 9))


def test_photographs_that_change_on_their_own_background_are_undecided() -> None:
    found = outcomes(np.full(40, 3.0), BACKGROUND_B)
    found.own_changed_NM[0] = True
    flags = flag(found)
    assert flags.decided_N.tolist() == [False] + [True] * 39
    assert not flags.flagged_N[0]
    assert flags.flagged_N[1:].all()  # .9 is left on its own background, less on others


def test_thirds_are_of_equal_size() -> None:
    assert np.bincount(thirds(np.random.default_rng(0).random(31))).tolist() == [11, 10, 10]


def _colour_network() -> nn.Module:
    """Four classes, by the mean colours."""
    torch.manual_seed(0)
    linear = nn.Linear(3, 4)
    nn.init.normal_(linear.weight)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear).eval()


def test_cells_are_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    lines = ["file_name,label,class_index,mask"]
    for number in range(5):
        picture_HW3, mask_HW = picture_with_object(number, 40 * number)
        Image.fromarray(picture_HW3).save(photos / f"{number}.png")
        Image.fromarray(mask_HW.astype(np.uint8) * 255).save(photos / f"{number}-mask.png")
        lines.append(f"{number}.png,thing,{number},{number}-mask.png")
    (photos / "table.csv").write_text("\n".join([*lines, "0.png,thing,9,"]))
    monkeypatch.setattr(photographs, "CELLS", tmp_path / "cells")
    monkeypatch.setattr(photographs, "load_network", lambda _: _colour_network())
    cell = photographs.Cell("lite0", Paste("mean", "hard"), "moved")
    moved = cell.load(photos)
    assert moved["own"].shape == (5, len(MOVES))
    assert moved["alone"].shape == (5, 5)
    exchanged = photographs.Cell("lite0", Paste("mean", "hard"), "exchanged").load(photos)
    assert exchanged["exchanged"].shape == exchanged["donors"].shape == (5, 4)
    assert all(number not in row for number, row in enumerate(exchanged["donors"]))
    again = cell.load(None)
    np.testing.assert_array_equal(again["own"], moved["own"])


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photographs, "CELLS", tmp_path)
    cell = photographs.Cell("lite0", Paste("mean", "hard"), "moved")
    with pytest.raises(SystemExit, match="--photos DIR is not given: name the folder"):
        cell.load(None)
    with pytest.raises(SystemExit, match=r"table.csv does not exist: --photos names a folder"):
        cell.load(tmp_path)
