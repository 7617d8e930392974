"""What a training is made of: its split, its answers, its batches, and what it is known by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pytest
import torch
from torch import Tensor, nn

from models.classifier.classifier import Classifier, load_classifier
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from models.classifier.small_resnet import small_resnet
from models.errors import UserError
from models.objectives.dfr import Dfr
from models.objectives.erm import Erm
from models.objectives.step import Objective
from models.objectives.swap import Swap
from tasks.catalog.settings import DataSettings
from tasks.finetune.batches import BatchSampler
from tasks.finetune.checkpoint import Checkpoints
from tasks.finetune.images import TrainingImages
from tasks.finetune.loop import Training, answers, finetune
from tasks.finetune.plan import TrainingPlan, plan_training
from tasks.finetune.settings import FinetuneSettings, LearningSettings, TrainingRequest
from tasks.pictures.settings import ForegroundSettings

PREPROCESSING = Preprocessing(crop=(32, 32), mean=(0, 0, 0), std=(1, 1, 1))
ONCE = FinetuneSettings(objective="erm", batch_size=8, epochs=2, schedule="constant")


def album_of(label_N: Tensor, known: bool = True) -> TrainingImages:
    """Pictures whose brightness is their label's, with a small object in the middle."""
    count = len(label_N)
    image_NCHW = (20 + 50 * label_N.clamp(min=0))[:, None, None, None].expand(count, 3, 32, 32)
    mask_NHW = torch.zeros(count, 32, 32, dtype=torch.uint8)
    mask_NHW[:, 12:20, 12:20] = 255
    return TrainingImages.of(image_NCHW.to(torch.uint8), label_N, mask_NHW if known else None)


def deck_of(
    album: TrainingImages, objective: Objective, recipe: FinetuneSettings = ONCE
) -> BatchSampler:
    answer_NK = nn.functional.one_hot(album.label_N, 3).float()
    generator = torch.Generator().manual_seed(0)
    return BatchSampler(
        album, answer_NK, PREPROCESSING, objective, recipe, generator, torch.device("cpu")
    )


def test_every_picture_comes_once_an_epoch_in_another_order() -> None:
    deck = deck_of(album_of(torch.arange(30) % 3), Erm())
    first, second = (torch.cat(list(deck.epoch())) for _ in range(2))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(30))
    assert not first.equal(second)


@pytest.mark.parametrize(("images", "size"), [(3, 2), (33, 8), (65, 64), (2, 64), (7, 3)])
def test_no_step_has_one_picture_alone(images: int, size: int) -> None:
    recipe = ONCE.model_copy(update={"batch_size": size})
    rows = list(deck_of(album_of(torch.zeros(images, dtype=torch.int64)), Erm(), recipe).epoch())
    assert min(map(len, rows)) >= 2
    assert len(rows) * recipe.epochs == recipe.steps_of(images)


def test_no_part_of_a_step_is_empty() -> None:
    deck = deck_of(album_of(torch.arange(6) % 3), Swap(), ONCE.model_copy(update={"accumulate": 8}))
    parts = list(deck.parts(torch.arange(6), 0, 1))
    assert [len(part.image_BCHW) for part in parts] == [1] * 6


def test_backgrounds_of_every_label_come_alike_often() -> None:
    label_N = torch.tensor([0] * 30 + [1] * 3 + [2])
    deck = deck_of(album_of(label_N), Swap())
    parts = [part for _ in range(60) for part in deck.parts(torch.arange(8), 0, 1)]
    seen_B = torch.cat([part.other_BCHW for part in parts if part.other_BCHW is not None])
    of_label = (seen_B[:, 0, 0, 0] * 255 - 20).div(50).round().long().tolist()
    assert {label: count / len(of_label) for label, count in Counter(of_label).items()} == (
        pytest.approx({0: 1 / 3, 1: 1 / 3, 2: 1 / 3}, abs=0.08)
    )


def test_groups_come_alike_often() -> None:
    album = album_of(torch.arange(40) % 2)
    group_N = torch.tensor([0] * 36 + [1] * 4)
    deck = deck_of(replace(album, group_N=group_N), Dfr())
    drawn = group_N[torch.cat([torch.cat(list(deck.epoch())) for _ in range(20)])]
    assert drawn.float().mean().item() == pytest.approx(0.5, abs=0.06)


def test_who_is_not_labelled_keeps_the_networks_own_answer() -> None:
    torch.manual_seed(0)
    network = small_resnet(3)
    album = album_of(torch.tensor([2, -1, 0, -1]))
    found = answers(network, album, PREPROCESSING)
    own = network.eval()(PREPROCESSING.normalise(album.image_NCHW)).softmax(1)
    assert found[[0, 2]].tolist() == [[0, 0, 1], [1, 0, 0]]
    torch.testing.assert_close(found[[1, 3]], own[[1, 3]])


def spoiled_after(step: int, folder: Path) -> Training:
    torch.manual_seed(0)
    network = small_resnet(3)

    def spoil(now: int, steps: int, parts: Mapping[str, float]) -> None:
        if now == step:
            nn.init.constant_(network.get_submodule("fc").weight, torch.nan)  # type: ignore[arg-type]

    album = album_of(torch.arange(16) % 3)
    training = Training(
        network, PREPROCESSING, album, Erm(), ONCE, checkpoints=Checkpoints(folder, "this one")
    )
    finetune(training, spoil)
    return training


def test_a_loss_that_is_no_number_names_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError) as stopped:
        spoiled_after(3, tmp_path)
    assert str(stopped.value) == (
        "the loss is nan in step 4 of 4 (cross_entropy nan): lower --learning-rate or the "
        f"objective's weights; the last good checkpoint is {tmp_path / 'checkpoint.pt'}"
    )
    spoiled_after(99, tmp_path)  # goes on from there


def test_weights_that_are_no_numbers_are_not_kept(tmp_path: Path) -> None:
    with pytest.raises(UserError) as stopped:
        spoiled_after(2, tmp_path)
    assert str(stopped.value).startswith("the network's answers are no numbers after step 2 of 4:")
    assert str(stopped.value).endswith("the last good checkpoint is none")
    assert not (tmp_path / "checkpoint.pt").exists()
    with pytest.raises(UserError, match=r"no numbers after step 4 of 4.*checkpoint.pt$"):
        spoiled_after(4, tmp_path)


def test_what_a_killed_try_was_writing_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint.pt.0123.tmp").write_bytes(b"half")
    assert Checkpoints(tmp_path, "this one").load() is None
    assert not list(tmp_path.iterdir())


def test_a_folder_has_one_training(tmp_path: Path) -> None:
    mine, other = Checkpoints(tmp_path, "mine"), Checkpoints(tmp_path, "other")
    own = mine.training_id()
    assert mine.training_id() == mine.training_id(replace=True) == own
    assert Checkpoints(tmp_path / "elsewhere", "mine").training_id() != own
    (tmp_path / "checkpoint.pt").touch()
    (tmp_path / "history.json").touch()
    with pytest.raises(UserError):
        other.training_id()
    assert mine.training_id() == own
    assert other.training_id(replace=True) != own
    assert [path.name for path in tmp_path.glob("*.*")] == ["training.json"]


@pytest.fixture(scope="module")
def classifier(bundle: Path) -> Classifier:
    return load_classifier(ModelSettings(address=str(bundle)))


def planned(data: Path, model: Classifier, folder: Path, **learning: object) -> TrainingPlan:
    told = {"train_split": "train", "validation_share": 0.25, **learning}
    wanted = TrainingRequest(
        DataSettings(path=str(data), split="test"),
        LearningSettings.model_validate(told),
        ForegroundSettings(),
        ONCE,
    )
    return plan_training(model, wanted, folder)


def shuffled(benchmark: Path, folder: Path) -> Path:
    header, *lines = (benchmark / "metadata.csv").read_text().splitlines()
    table = "\n".join([header, *reversed(lines)])
    for name in ("images", "masks"):
        (folder / name).symlink_to(benchmark / name)
    (folder / "metadata.csv").write_text(table)
    return folder


def test_a_share_of_each_label_is_held_out_whatever_the_order(
    benchmark_folder: Path, classifier: Classifier, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    other = shuffled(benchmark_folder, tmp_path / "data")
    first, again = (
        planned(data, classifier, tmp_path / data.name).catalogs
        for data in (benchmark_folder, other)
    )
    assert (len(first.training), len(first.validation), len(first.audited)) == (24, 8, 64)
    assert set(pc.value_counts(first.validation["label"]).field("counts").to_pylist()) == {2}
    assert set(first.validation["row_id"].to_pylist()).isdisjoint(
        first.training["row_id"].to_pylist()
    )
    assert set(first.validation["row_id"].to_pylist()) == set(
        again.validation["row_id"].to_pylist()
    )


def test_a_training_is_known_by_all_that_makes_it(
    benchmark_folder: Path, bundle: Path, classifier: Classifier, tmp_path: Path
) -> None:
    deeper = load_classifier(ModelSettings(address=str(bundle), layer="stage2"))
    lessons = [
        planned(benchmark_folder, classifier, tmp_path / "a"),
        planned(benchmark_folder, deeper, tmp_path / "b"),
        planned(benchmark_folder, classifier, tmp_path / "c", group_column="background"),
        planned(benchmark_folder, classifier, tmp_path / "d", validation_share=0.5),
    ]
    assert len({lesson.checkpoints.identity for lesson in lessons}) == 4
    again = planned(benchmark_folder, classifier, tmp_path / "a")
    assert again.checkpoints.identity == lessons[0].checkpoints.identity
    assert again.training_id == lessons[0].training_id
