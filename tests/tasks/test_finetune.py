"""Training on pictures in memory: it learns, it repeats itself, it refuses what it cannot learn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from models.smallnet import small_preprocessing, small_resnet
from tasks.finetune import (
    FinetuneMistake,
    FinetuneSettings,
    LabelledImages,
    finetune,
    load_split,
    predict,
)
from tasks.generate import BenchmarkSettings, read_rows, render, scene_of, write_benchmark

PREPROCESSING = small_preprocessing(64)
SHORT = FinetuneSettings(epochs=3, batch_size=16)
# A refactor reproduces these; a change of training edits them together with CHANGELOG.
GOLDEN_LOSSES = [1.4487, 1.3990, 1.0036, 0.7320, 0.3900, 0.5184, 0.3399, 0.2315, 0.1778, 0.3348]


def bright_or_dark(count: int = 64) -> LabelledImages:
    generator = torch.Generator().manual_seed(0)
    label_N = torch.arange(count) % 2
    noise_NCHW = torch.randint(0, 120, (count, 3, 64, 64), generator=generator)
    return LabelledImages(
        (noise_NCHW + 130 * label_N[:, None, None, None]).to(torch.uint8), label_N
    )


def trained(settings: FinetuneSettings) -> nn.Module:
    torch.manual_seed(0)
    network = small_resnet(2)
    finetune(network, bright_or_dark(), PREPROCESSING, settings)
    return network


def test_it_learns() -> None:
    data = bright_or_dark()
    network = trained(SHORT)
    assert not network.training
    assert predict(network, data.image_NCHW, PREPROCESSING).equal(data.label_N)


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = trained(SHORT).state_dict(), trained(SHORT).state_dict()
    other = trained(SHORT.model_copy(update={"seed": 1})).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["fc.weight"], other["fc.weight"])


def test_each_step_is_told() -> None:
    told: list[tuple[int, int]] = []
    torch.manual_seed(0)
    finetune(
        small_resnet(2),
        bright_or_dark(50),
        PREPROCESSING,
        SHORT,
        lambda step, steps, loss: told.append((step, steps)),
    )
    assert told == [(step, 12) for step in range(1, 13)]


def test_ten_losses_of_the_generated_benchmark(folder: Path) -> None:
    losses: list[float] = []
    torch.manual_seed(0)
    data = load_split(folder, "train", BENCHMARK.classes, PREPROCESSING)
    settings = FinetuneSettings(epochs=5, batch_size=16, learning_rate=5e-4)
    finetune(small_resnet(4), data, PREPROCESSING, settings, lambda s, n, loss: losses.append(loss))
    assert losses == pytest.approx(GOLDEN_LOSSES, rel=0.005)


BENCHMARK = BenchmarkSettings(train=32, validation=0, test=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finetune")
    write_benchmark(folder, BENCHMARK)
    return folder


def test_a_split_comes_in_the_tables_order(folder: Path) -> None:
    data = load_split(folder, "test", BENCHMARK.classes, PREPROCESSING)
    rows = [row for row in read_rows(folder) if row["split"] == "test"]
    assert len(data) == len(rows) == 8
    for image_CHW, label, row in zip(data.image_NCHW, data.label_N, rows, strict=True):
        assert BENCHMARK.classes[int(label)] == row["label"]
        picture = render(scene_of(row), BENCHMARK)
        assert image_CHW.permute(1, 2, 0).equal(torch.from_numpy(picture.image_HW3))


def test_a_label_that_is_no_class_is_refused(folder: Path) -> None:
    classes = ("fish", "mushrom", "balloon", "cactus")
    with pytest.raises(FinetuneMistake, match=r"label 'mushroom' is none of .*mean 'mushrom'"):
        load_split(folder, "train", classes, PREPROCESSING)


def test_one_picture_is_not_enough() -> None:
    with pytest.raises(FinetuneMistake, match="1 labelled pictures to train on"):
        finetune(small_resnet(2), bright_or_dark(1), PREPROCESSING, SHORT)
