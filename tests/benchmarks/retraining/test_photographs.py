"""Retraining on photographs: what is tested is never trained on, and cells are of what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.retraining import photograph_pictures, photographs
from benchmarks.retraining.photograph_pictures import (
    CLASSES,
    FOLDS,
    KINDS,
    CutOut,
    Material,
    PhotographTask,
    kinds_of,
)
from benchmarks.retraining.photographs import ROWS, SEEDS, RetrainingCell, figures_of
from models.classifier.small_resnet import small_resnet

OBJECTS, SCENES = 3, 15  # of a class, of a kind
SIDE = 48
NOWHERE = Path("nowhere")


def object_of(label: int, number: int) -> CutOut:
    """A disc; its colour is its name."""
    rows, columns = np.mgrid[:40, :40]
    mask_hw = np.where((rows - 20) ** 2 + (columns - 20) ** 2 < 300, 255, 0).astype(np.uint8)
    colour = [40 * label + number + 1, 200, 7]
    return CutOut(f"{label}-{number}", label, np.full((40, 40, 3), colour, np.uint8), mask_hw)


@pytest.fixture(autouse=True)
def material(monkeypatch: pytest.MonkeyPatch) -> Material:
    """Objects and scenes of one colour each, so that pictures tell what they are made of."""
    made = Material(
        tuple(object_of(label, number) for label in range(4) for number in range(OBJECTS)),
        tuple(
            tuple(
                np.full((SIDE, SIDE, 3), [60 * kind + number, 0, 90], np.uint8)
                for number in range(SCENES)
            )
            for kind in range(len(KINDS))
        ),
    )
    monkeypatch.setattr(photograph_pictures, "read_material", lambda _: made)
    monkeypatch.setattr(photograph_pictures, "SIZE", SIDE)
    monkeypatch.setattr(photograph_pictures, "TRAIN", 48)
    return made


@pytest.mark.parametrize("seed", SEEDS)
def test_test_objects_and_scenes_are_in_no_training_picture(seed: int) -> None:
    train, test = PhotographTask(NOWHERE, seed).train, PhotographTask(NOWHERE, seed).test
    assert not set(train.names) & set(test.names)
    corners = [set(part.images.image_NCHW[:, 0, 0, 0].tolist()) for part in (train, test)]
    assert not corners[0] & corners[1]  # each scene has a colour of its own


def test_the_seeds_test_each_object_once() -> None:
    names = [set(PhotographTask(NOWHERE, seed).test.names) for seed in SEEDS]
    assert sum(map(len, names)) == len(set.union(*names)) == 4 * OBJECTS
    assert len(SEEDS) == FOLDS


def test_training_has_the_correlation_and_the_test_has_none() -> None:
    task = PhotographTask(NOWHERE, 1)
    follows_N = task.train.kind_N == task.train.images.label_N
    assert 0.85 < follows_N.float().mean() < 1
    group_N = 4 * task.test.images.label_N + task.test.kind_N
    assert torch.bincount(group_N).tolist() == [2 * OBJECTS // FOLDS] * 16


def test_an_object_is_in_one_place_on_all_its_test_scenes_and_the_mask_is_on_it() -> None:
    images, names = PhotographTask(NOWHERE, 1).test.images, PhotographTask(NOWHERE, 1).test.names
    assert names[:8] == (names[0],) * 8
    assert (images.mask_NHW[:8] == images.mask_NHW[0]).all()
    inside_HW = images.mask_NHW[0] == 255
    assert (images.image_NCHW[:8, 1][:, inside_HW] == 200).all()
    assert (images.image_NCHW[:8, 1][:, images.mask_NHW[0] == 0] == 0).all()


def test_kinds_are_by_brightness_then_by_colour() -> None:
    generator = np.random.default_rng(0)
    scene_NHW3 = generator.integers(0, 255, (200, 1, 1, 3), np.uint8)
    kind_N, mean_N3 = kinds_of(scene_NHW3), scene_NHW3.mean((1, 2))
    assert np.bincount(kind_N[kind_N >= 0]).min() >= 25
    assert (
        mean_N3[np.isin(kind_N, (0, 1))].sum(1).max()
        < mean_N3[np.isin(kind_N, (2, 3))].sum(1).min()
    )
    for cool, warm in ((0, 1), (2, 3)):
        redness = [
            (it[:, 0] - it[:, 2]) for it in (mean_N3[kind_N == cool], mean_N3[kind_N == warm])
        ]
        assert redness[0].max() < redness[1].min()


def test_a_label_has_one_superclass() -> None:
    names = [name for names in CLASSES.values() for name in names]
    assert len(set(names)) == len(names)


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of cells of a small untrained network."""
    monkeypatch.setattr(photographs, "CELLS", tmp_path)
    recipe = photographs.RECIPE.model_copy(update={"steps": 1, "batch_size": 8})
    monkeypatch.setattr(photographs, "RECIPE", recipe)
    figures_of.cache_clear()
    return tmp_path


def small_network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return small_resnet(len(CLASSES))


def test_each_cell_is_trained_tested_and_kept(cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photographs, "pretrained_network", small_network)
    for row in ROWS:
        for seed in SEEDS:
            cell = RetrainingCell(row, seed).load(NOWHERE)
            assert len(cell["prediction"]) == 8 * 4 * OBJECTS // FOLDS
            assert (cell["flips"] >= 0).all()
    assert len(list(cells.iterdir())) == len(ROWS) * len(SEEDS)
    figures = {figure.name: figure for figure in photographs.run(None)}  # of the kept cells
    for row in ROWS:
        by_seed = [figures[f"{row}: accuracy, seed {seed}"].value for seed in SEEDS]
        assert figures[f"{row}: accuracy"].value == pytest.approx(np.mean(by_seed))
        assert figures[f"{row}: worst group"].value <= figures[f"{row}: accuracy"].value
    figures_of.cache_clear()


def test_what_is_missing_is_said(cells: Path) -> None:
    with pytest.raises(SystemExit, match="--photos DIR is not given: name the folder"):
        RetrainingCell("erm", 1).load(None)
