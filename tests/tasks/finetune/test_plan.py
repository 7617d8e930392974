"""What a training is made of: its split, its soft labels, its batches and its identity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc
import pytest
import torch
from torch import Tensor, nn

from models.classifier.classifier import Classifier, load_classifier
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from models.classifier.small_resnet import small_resnet
from models.errors import DamagedFile, UserError
from models.objectives.dfr import Dfr
from models.objectives.erm import Erm
from models.objectives.step import Objective
from models.objectives.swap import Swap
from tasks.catalog.settings import DataSettings
from tasks.finetune.batches import BatchSampler
from tasks.finetune.checkpoint import Checkpoints
from tasks.finetune.images import TrainingImages
from tasks.finetune.loop import Training, finetune
from tasks.finetune.plan import TrainingPlan, plan_training
from tasks.finetune.predict import soft_labels
from tasks.finetune.settings import FinetuneSettings, LearningSettings, TrainingRequest
from tasks.pictures.settings import ForegroundSettings

PREPROCESSING = Preprocessing(crop=(32, 32), mean=(0, 0, 0), std=(1, 1, 1))
ONCE = FinetuneSettings(objective="erm", batch_size=8, epochs=2, schedule="constant")


def images_of(label_N: Tensor, known: bool = True) -> TrainingImages:
    """Pictures whose brightness is their label's, with a small object in the middle."""
    count = len(label_N)
    image_NCHW = (20 + 50 * label_N.clamp(min=0))[:, None, None, None].expand(count, 3, 32, 32)
    mask_NHW = torch.zeros(count, 32, 32, dtype=torch.uint8)
    mask_NHW[:, 12:20, 12:20] = 255
    return TrainingImages.of(image_NCHW.to(torch.uint8), label_N, mask_NHW if known else None)


def sampler_of(
    images: TrainingImages, objective: Objective, recipe: FinetuneSettings = ONCE
) -> BatchSampler:
    soft_label_NK = nn.functional.one_hot(images.label_N, 3).float()
    generator = torch.Generator().manual_seed(0)
    return BatchSampler(
        images, soft_label_NK, PREPROCESSING, objective, recipe, generator, torch.device("cpu")
    )


def test_every_image_comes_once_per_epoch_in_a_new_order() -> None:
    sampler = sampler_of(images_of(torch.arange(30) % 3), Erm())
    first, second = (torch.cat(list(sampler.draw_epoch())) for _ in range(2))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(30))
    assert not first.equal(second)


@pytest.mark.parametrize(("images", "size"), [(3, 2), (33, 8), (65, 64), (2, 64), (7, 3)])
def test_no_step_has_a_single_image(images: int, size: int) -> None:
    recipe = ONCE.model_copy(update={"batch_size": size})
    same_label = images_of(torch.zeros(images, dtype=torch.int64))
    rows = list(sampler_of(same_label, Erm(), recipe).draw_epoch())
    assert min(map(len, rows)) >= 2
    assert len(rows) * recipe.epochs == recipe.total_steps(images)


def test_no_micro_batch_is_empty() -> None:
    sampler = sampler_of(images_of(torch.arange(6) % 3), Swap())
    batches = list(sampler.micro_batches(torch.arange(6), 8, 0, 1))
    assert [len(batch.image_BCHW) for batch in batches] == [1] * 6


def test_backgrounds_of_every_label_are_drawn_equally_often() -> None:
    label_N = torch.tensor([0] * 30 + [1] * 3 + [2])
    sampler = sampler_of(images_of(label_N), Swap())
    batches = [
        batch for _ in range(60) for batch in sampler.micro_batches(torch.arange(8), 1, 0, 1)
    ]
    backgrounds = [batch.other_BCHW for batch in batches if batch.other_BCHW is not None]
    brightness_B = torch.cat(backgrounds)[:, 0, 0, 0] * 255
    labels = (brightness_B - 20).div(50).round().long().tolist()
    assert {label: count / len(labels) for label, count in Counter(labels).items()} == (
        pytest.approx({0: 1 / 3, 1: 1 / 3, 2: 1 / 3}, abs=0.08)
    )


def test_groups_are_drawn_equally_often() -> None:
    images = images_of(torch.arange(40) % 2)
    group_N = torch.tensor([0] * 36 + [1] * 4)
    sampler = sampler_of(replace(images, group_N=group_N), Dfr())
    drawn_B = group_N[torch.cat([torch.cat(list(sampler.draw_epoch())) for _ in range(20)])]
    assert drawn_B.float().mean().item() == pytest.approx(0.5, abs=0.06)


def test_unlabelled_images_keep_the_networks_own_prediction() -> None:
    torch.manual_seed(0)
    network = small_resnet(3)
    images = images_of(torch.tensor([2, -1, 0, -1]))
    soft_label_NK = soft_labels(network, images, PREPROCESSING)
    predicted_NK = network.eval()(PREPROCESSING.normalise(images.image_NCHW)).softmax(1)
    assert soft_label_NK[[0, 2]].tolist() == [[0, 0, 1], [1, 0, 0]]
    torch.testing.assert_close(soft_label_NK[[1, 3]], predicted_NK[[1, 3]])


def train_and_spoil(step: int, folder: Path) -> None:
    """Train, with weights that become NaN after a step."""
    torch.manual_seed(0)
    network = small_resnet(3)

    def spoil(now: int, steps: int, parts: Mapping[str, float]) -> None:
        if now == step:
            nn.init.constant_(network.get_submodule("fc").weight, torch.nan)  # type: ignore[arg-type]

    images = images_of(torch.arange(16) % 3)
    training = Training(
        network, PREPROCESSING, images, Erm(), ONCE, checkpoints=Checkpoints(folder, "this one")
    )
    finetune(training, spoil)


def test_a_loss_that_is_not_finite_names_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        train_and_spoil(3, tmp_path)
    assert str(raised.value) == (
        "the loss is nan in step 4 of 4 (cross_entropy nan): lower --learning-rate or the "
        f"objective's weights; the last good checkpoint is {tmp_path / 'checkpoint.pt'}"
    )
    train_and_spoil(99, tmp_path)  # continues from there


def test_weights_that_are_not_finite_are_not_kept(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        train_and_spoil(2, tmp_path)
    assert str(raised.value).startswith("the network's logits are not finite after step 2 of 4:")
    assert str(raised.value).endswith("the last good checkpoint is none")
    assert not (tmp_path / "checkpoint.pt").exists()
    with pytest.raises(UserError, match=r"not finite after step 4 of 4.*checkpoint.pt$"):
        train_and_spoil(4, tmp_path)


def test_a_killed_process_leaves_no_partial_files(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint.pt.0123.tmp").write_bytes(b"half")
    (tmp_path / ".mine.tmp").touch()
    assert Checkpoints(tmp_path, "this one").load() is None
    assert [path.name for path in tmp_path.iterdir()] == [".mine.tmp"]


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"garbage" * 99])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(DamagedFile, match=r"checkpoint\.pt is damaged: delete it to train"):
        Checkpoints(tmp_path, "this one").load()


@pytest.mark.parametrize("value", [[], {}, {"version": 1, "identity": "this one"}])
def test_a_checkpoint_of_wrong_types_is_named(tmp_path: Path, value: object) -> None:
    torch.save(value, tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match=r"checkpoint\.pt is (damaged|a checkpoint of another)"):
        Checkpoints(tmp_path, "this one").load()


def test_a_folder_has_one_training(tmp_path: Path) -> None:
    mine, other = Checkpoints(tmp_path, "mine"), Checkpoints(tmp_path, "other")
    training_id = mine.training_id()
    assert mine.training_id() == mine.training_id(replace=True) == training_id
    assert Checkpoints(tmp_path / "elsewhere", "mine").training_id() != training_id
    (tmp_path / "checkpoint.pt").touch()
    (tmp_path / "history.json").touch()
    with pytest.raises(UserError):
        other.training_id()
    assert mine.training_id() == training_id
    assert other.training_id(replace=True) != training_id
    assert [path.name for path in tmp_path.glob("*.*")] == ["training.json"]


@pytest.fixture(scope="module")
def classifier(bundle: Path) -> Classifier:
    return load_classifier(ModelSettings(address=str(bundle)))


def make_plan(
    data: Path,
    model: Classifier,
    folder: Path,
    group_column: str | None = None,
    **learning: object,
) -> TrainingPlan:
    values = {"train_split": "train", "validation_share": 0.25, **learning}
    request = TrainingRequest(
        DataSettings(path=str(data), split="test", group_column=group_column),
        LearningSettings.model_validate(values),
        ForegroundSettings(),
        ONCE,
    )
    return plan_training(model, request, folder)


def reverse_rows(benchmark: Path, folder: Path) -> Path:
    """The same benchmark with its table in reverse order."""
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
    reversed_data = reverse_rows(benchmark_folder, tmp_path / "data")
    first, again = (
        make_plan(data, classifier, tmp_path / data.name).catalogs
        for data in (benchmark_folder, reversed_data)
    )
    assert (len(first.training), len(first.validation), len(first.audited)) == (24, 8, 64)
    assert set(pc.value_counts(first.validation["label"]).field("counts").to_pylist()) == {2}
    assert set(first.validation["row_id"].to_pylist()).isdisjoint(
        first.training["row_id"].to_pylist()
    )
    assert set(first.validation["row_id"].to_pylist()) == set(
        again.validation["row_id"].to_pylist()
    )


def test_training_images_need_the_group_column_only_where_the_objective_does(
    benchmark_folder: Path, classifier: Classifier, tmp_path: Path
) -> None:
    rows = pd.read_csv(benchmark_folder / "metadata.csv")
    rows["file_name"] = [str(benchmark_folder / name) for name in rows["file_name"]]
    bare = rows.drop(columns=["mask", "background"])
    bare.to_csv(tmp_path / "train.csv", index=False)
    train = {"train": str(tmp_path / "train.csv"), "group_column": "background"}
    plan = make_plan(benchmark_folder, classifier, tmp_path / "a", **train)
    assert "background" not in plan.catalogs.training.column_names
    assert plan.group_column == "background"


def test_the_identity_depends_on_all_that_determines_a_training(
    benchmark_folder: Path, bundle: Path, classifier: Classifier, tmp_path: Path
) -> None:
    deeper = load_classifier(ModelSettings(address=str(bundle), layer="stage2"))
    plans = [
        make_plan(benchmark_folder, classifier, tmp_path / "a"),
        make_plan(benchmark_folder, deeper, tmp_path / "b"),
        make_plan(benchmark_folder, classifier, tmp_path / "c", group_column="background"),
        make_plan(benchmark_folder, classifier, tmp_path / "d", validation_share=0.5),
    ]
    assert len({plan.checkpoints.identity for plan in plans}) == 4
    again = make_plan(benchmark_folder, classifier, tmp_path / "a")
    assert again.checkpoints.identity == plans[0].checkpoints.identity
    assert again.training_id == plans[0].training_id
