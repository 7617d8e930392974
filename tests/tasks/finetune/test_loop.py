"""Training on images in memory: it learns, is reproducible, and continues when killed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.classifier.small_resnet import small_preprocessing, small_resnet
from models.errors import UserError
from models.network.layers import find_grid
from models.objectives.erm import Erm
from models.objectives.registry import find_objective
from models.objectives.step import Batch, Learner, Loss
from tasks.finetune.checkpoint import Checkpoints, Epoch, TrainingState
from tasks.finetune.images import TrainingImages, check_training_images
from tasks.finetune.loop import Training, classification_head, finetune
from tasks.finetune.predict import predict_classes
from tasks.finetune.settings import FinetuneSettings
from tasks.finetune.validation import HeldOut
from tasks.synthetic.baseline import RECIPE, training_images_of
from tasks.synthetic.dataset import read_rows, scene_of, write_benchmark
from tasks.synthetic.scene import render
from tasks.synthetic.settings import BenchmarkSettings

PREPROCESSING = small_preprocessing(64)
SHORT = RECIPE.model_copy(update={"epochs": 3, "batch_size": 16})
# A refactor reproduces these; a change of training edits them together with CHANGELOG.
GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "finetune.json").read_text())
BENCHMARK = BenchmarkSettings(train=32, validation=16, test=8)


def bright_or_dark(count: int = 64) -> TrainingImages:
    generator = torch.Generator().manual_seed(0)
    label_N = torch.arange(count) % 2
    noise_NCHW = torch.randint(0, 120, (count, 3, 64, 64), generator=generator)
    return TrainingImages.of(
        (noise_NCHW + 130 * label_N[:, None, None, None]).to(torch.uint8), label_N
    )


def fresh(classes: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return small_resnet(classes)


def train(recipe: FinetuneSettings, images: TrainingImages | None = None) -> nn.Module:
    network = fresh()
    finetune(Training(network, PREPROCESSING, images or bright_or_dark(), Erm(), recipe))
    return network


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def test_it_learns() -> None:
    images = bright_or_dark()
    network = train(SHORT)
    assert not network.training
    assert predict_classes(network, images.image_NCHW, PREPROCESSING).equal(images.label_N)


def test_the_same_seed_gives_the_same_weights() -> None:
    assert same(train(SHORT), train(SHORT))
    assert not same(train(SHORT), train(SHORT.model_copy(update={"training_seed": 1})))


def test_each_step_is_reported() -> None:
    progress: list[tuple[int, int]] = []
    training = Training(fresh(), PREPROCESSING, bright_or_dark(50), Erm(), SHORT)
    finetune(training, lambda step, steps, parts: progress.append((step, steps)))
    assert progress == [(step, 12) for step in range(1, 13)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finetune")
    write_benchmark(folder, BENCHMARK)
    return folder


@pytest.fixture(scope="module")
def images(folder: Path) -> TrainingImages:
    return training_images_of(folder, "train", PREPROCESSING)


def ten_losses(name: str, images: TrainingImages, recipe: FinetuneSettings) -> list[float]:
    network, losses = fresh(4), list[float]()
    objective = find_objective(name).objective
    grids = (find_grid(network, torch.zeros(1, 3, 64, 64)),) * len(objective.layers)
    training = Training(network, PREPROCESSING, images, objective, recipe, grids)
    finetune(training, lambda step, steps, parts: losses.append(parts["loss"]))
    return losses


@pytest.mark.parametrize("name", GOLDEN)
def test_ten_losses_of_the_generated_benchmark(name: str, images: TrainingImages) -> None:
    recipe = RECIPE.model_copy(update={"epochs": 5, "batch_size": 16, "learning_rate": 5e-4})
    assert ten_losses(name, images, recipe) == pytest.approx(GOLDEN[name], rel=0.005)


def test_every_family_has_a_golden_run() -> None:
    from models.objectives.registry import FAMILIES

    shortest = {
        find_objective(f"{family}:form={form}" if form else family).name
        for family, forms in FAMILIES.items()
        for form in forms
    }
    assert shortest <= set(GOLDEN)


def test_micro_batches_make_the_same_step(images: TrainingImages) -> None:
    frozen = RECIPE.model_copy(
        update={"steps": 4, "batch_size": 16, "flip": "none", "statistics": "frozen"}
    )
    whole = ten_losses("erm", images, frozen)
    assert ten_losses("erm", images, frozen.model_copy(update={"accumulate": 4})) == pytest.approx(
        whole, rel=1e-3
    )


class Hungry(Erm):
    """Finds memory for so many images at a time."""

    def __init__(self, most: int) -> None:
        self.most = most

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        if len(batch.image_BCHW) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().loss(learner, batch)


def train_hungry(most: int, recipe: FinetuneSettings) -> nn.Module:
    network = fresh()
    finetune(Training(network, PREPROCESSING, bright_or_dark(), Hungry(most), recipe))
    return network


def test_a_step_that_runs_out_of_memory_is_cut_into_micro_batches(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = train_hungry(5, SHORT)
    assert [record.message for record in caplog.records] == [
        f"step 1 of 12 does not fit into the memory of cpu: from here on the 16 images of a step "
        f"are computed in {parts} micro-batches, as with --accumulate {parts}"
        for parts in (2, 4)
    ]
    assert same(found, train(SHORT.model_copy(update={"accumulate": 4})))


def test_an_image_that_needs_more_memory_than_there_is_ends_the_training() -> None:
    message = "step 1 of 12 does not fit into the memory of cpu, even image by image: free memory"
    with pytest.raises(UserError, match=message):
        train_hungry(0, SHORT)


class Killed(Exception):
    pass


@pytest.mark.parametrize(
    ("name", "after"),
    [("erm", 3), ("erm", 4), ("erm", 7), ("sib", 3), ("ibsgl:refresh=never", 4), ("dfr", 4)],
)
def test_a_killed_training_ends_as_an_uninterrupted_one(
    name: str, after: int, images: TrainingImages, tmp_path: Path
) -> None:
    def training() -> Training:
        objective = find_objective(name).objective
        network = fresh(4)
        grids = (find_grid(network, torch.zeros(1, 3, 64, 64)),) * len(objective.layers)
        recipe = RECIPE.model_copy(update={"epochs": 4, "batch_size": 16})
        held_out = HeldOut(images, PREPROCESSING, torch.device("cpu"))
        checkpoints = Checkpoints(tmp_path / "killed", "this one")
        return Training(
            network, PREPROCESSING, images, objective, recipe, grids, held_out, checkpoints
        )

    def kill(step: int, steps: int, parts: Mapping[str, float]) -> None:
        if step == after:
            raise Killed

    uninterrupted = replace(training(), checkpoints=None)
    expected = finetune(uninterrupted)
    killed = training()
    with pytest.raises(Killed):
        finetune(killed, kill)
    losses: list[float] = []
    continued = training()
    state = finetune(continued, lambda step, steps, parts: losses.append(parts["loss"]))
    assert len(losses) < 8 or after < 3
    assert same(continued.network, uninterrupted.network)
    assert [without_seconds(epoch) for epoch in state.history] == [
        without_seconds(epoch) for epoch in expected.history
    ]


def without_seconds(epoch: Epoch) -> dict[str, float]:
    return {name: value for name, value in epoch.figures.items() if "seconds" not in name}


def test_the_best_epoch_is_taken(images: TrainingImages) -> None:
    weights: list[Tensor] = []

    def keep(state: TrainingState, network: nn.Module) -> None:
        weights.append(network.get_submodule("fc").weight.detach().clone())  # type: ignore[operator]

    network = fresh(4)
    held_out = HeldOut(images, PREPROCESSING, torch.device("cpu"))
    recipe = RECIPE.model_copy(update={"epochs": 4, "batch_size": 16})
    state = finetune(
        Training(network, PREPROCESSING, images, Erm(), recipe, held_out=held_out), on_epoch=keep
    )
    figures = [epoch.figures["validation.accuracy_exchanged"] for epoch in state.history]
    assert state.best == figures.index(max(figures)) + 1
    assert torch.equal(network.get_submodule("fc").weight, weights[state.best - 1])  # type: ignore[arg-type]


def test_another_trainings_checkpoint_is_refused(images: TrainingImages, tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"epochs": 1, "batch_size": 16})
    for identity in ("one", "one"):
        checkpoints = Checkpoints(tmp_path, identity)
        finetune(Training(fresh(4), PREPROCESSING, images, Erm(), recipe, checkpoints=checkpoints))
    with pytest.raises(UserError, match="checkpoint of another training"):
        Checkpoints(tmp_path, "another").load()
    assert json.loads((tmp_path / "history.json").read_text())[0]["number"] == 1


def test_a_loss_that_is_not_finite_stops_with_step_parts_and_checkpoint(
    images: TrainingImages, tmp_path: Path
) -> None:
    recipe = RECIPE.model_copy(
        update={"epochs": 9, "batch_size": 16, "learning_rate": 1e30, "schedule": "constant"}
    )
    training = Training(
        fresh(4), PREPROCESSING, images, Erm(), recipe, checkpoints=Checkpoints(tmp_path, "x")
    )
    with pytest.raises(UserError, match=r"the loss is (nan|inf) in step \d+ of 18 \(cross"):
        finetune(training)


def test_a_class_without_pictures_is_refused(images: TrainingImages) -> None:
    lacking = replace(images, label_N=images.label_N.clamp(max=2))
    with pytest.raises(UserError, match=r"1 of the model's 4 classes have no picture in train"):
        check_training_images(lacking, BENCHMARK.classes, "train")
    check_training_images(
        replace(images, label_N=torch.full_like(images.label_N, -1)), BENCHMARK.classes, "t"
    )
    with pytest.raises(UserError, match="1 pictures to train on"):
        check_training_images(bright_or_dark(1), ("a", "b"), "train")


def test_an_epoch_is_chosen_by_the_best_available_figure(images: TrainingImages) -> None:
    device = torch.device("cpu")
    assert HeldOut(images, PREPROCESSING, device).figure_for(None) == "accuracy_exchanged"
    no_masks = replace(images, known_N=torch.zeros_like(images.known_N))
    assert HeldOut(no_masks, PREPROCESSING, device).figure_for(None) == "worst_group"
    labels_alone = HeldOut(replace(no_masks, group_N=None), PREPROCESSING, device)
    assert labels_alone.figure_for(None) == "accuracy"
    with pytest.raises(UserError, match="--choose exchanged needs pictures of several"):
        labels_alone.figure_for("exchanged")


def test_figures_of_held_out_pictures(images: TrainingImages) -> None:
    network = fresh(4).eval()
    figures = HeldOut(images, PREPROCESSING, torch.device("cpu")).evaluate(network)
    correct_N = predict_classes(network, images.image_NCHW, PREPROCESSING) == images.label_N
    assert figures["accuracy"] == pytest.approx(correct_N.float().mean().item())
    assert images.group_N is not None
    groups = [
        correct_N[images.group_N == group].float().mean() for group in torch.unique(images.group_N)
    ]
    assert figures["worst_group"] == pytest.approx(min(groups).item())
    assert 0 <= figures["accuracy_exchanged"] <= 1


def test_a_network_that_says_one_class_has_collapsed(images: TrainingImages) -> None:
    network = fresh(4).eval()
    held_out = HeldOut(images, PREPROCESSING, torch.device("cpu"))
    assert not held_out.has_collapsed(images.label_N.bincount().max().item() / len(images))
    head = classification_head(network)
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([0.0, 9.0, 0.0, 0.0]))
    most_said = held_out.evaluate(network)["most_said"]
    assert most_said == 1.0
    assert held_out.has_collapsed(most_said)


def test_a_split_is_in_the_tables_order(folder: Path) -> None:
    images = training_images_of(folder, "test", PREPROCESSING)
    rows = [row for row in read_rows(folder) if row["split"] == "test"]
    assert len(images) == len(rows) == 8
    for index, row in enumerate(rows):
        picture = render(scene_of(row), BENCHMARK)
        assert BENCHMARK.classes[int(images.label_N[index])] == row["label"]
        assert images.image_NCHW[index].permute(1, 2, 0).equal(torch.from_numpy(picture.image_HW3))
        assert (images.mask_NHW[index] > 0).equal(torch.from_numpy(picture.mask_HW))
