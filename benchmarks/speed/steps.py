"""What a training step costs against plain cross entropy: seconds side by side, and peak memory.

python -m benchmarks.speed.steps [--quick] [--json]. A step is all of it: the batch drawn, its
backgrounds exchanged, the loss, the backward, the optimiser. One torch thread. Shapes: N pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context

import torch
import torchvision
from torch import nn

from benchmarks.measure import Figure, at_most, cpu_seconds_in_turns, main, ratios
from benchmarks.speed.peak_memory import track_peak_memory
from models.classifier.preprocessing import Preprocessing
from models.classifier.small_resnet import small_resnet
from models.network.layers import find_grid
from models.objectives.registry import find_objective
from models.objectives.step import Learner
from tasks.finetune.batches import BatchSampler
from tasks.finetune.images import TrainingImages
from tasks.finetune.loop import classification_head
from tasks.finetune.optimiser import make_generator, make_optimiser
from tasks.finetune.settings import FinetuneSettings

OBJECTIVES = {
    "swap": 1.2,
    "sib:form=paper": 4.5,
    "sib:form=robust": None,
    "sib:form=robust:mask=self": None,
    "sib:form=feature": 1.3,
    "sib": 1.3,
    "ibsgl": None,
    "ibsgl:form=paper": None,
    "dfr": None,
}


class TrainingSteps:
    """One objective's steps on a network, each on other pictures."""

    def __init__(self, name: str, network: nn.Module, batch: int, rows: int) -> None:
        self.objective = find_objective(name).objective
        recipe = FinetuneSettings(objective=name, batch_size=batch)
        images = _training_images(4 * batch, rows)
        grid = find_grid(network, torch.zeros(1, 3, rows, rows))
        self.learner = Learner(network, (grid,) * len(self.objective.layers))
        classes = 4
        soft_label_NK = torch.eye(classes)[images.label_N]
        geometry = Preprocessing(crop=(rows, rows))
        device = torch.device("cpu")
        self.sampler = BatchSampler(
            images, soft_label_NK, geometry, self.objective, recipe, make_generator(recipe), device
        )
        if self.objective.trains == "head":
            network.requires_grad_(False)
            classification_head(network).requires_grad_(True)
        self.optimiser = make_optimiser(recipe, network.parameters())
        self.objective.prepare(self.learner, self.sampler.plain_batches, 0)

    def __call__(self) -> None:
        row_B = next(self.sampler.draw_epoch())
        self.optimiser.zero_grad()
        for batch in self.sampler.micro_batches(row_B, 1, 0, 1):
            torch.autograd.backward(self.objective.loss(self.learner, batch).total)
        self.optimiser.step()


def run(quick: bool) -> list[Figure]:
    """resnet18 at 128 px and the small network at 64; --quick: the small one, roughly."""
    torch.set_num_threads(1)
    figures = _costs("small network, 64 px, batch 64", partial(_small, 64), 2 if quick else 10, {})
    if quick:
        return figures
    figures += _costs("resnet18, 128 px, batch 16", partial(_large, 16), 8, OBJECTIVES)
    return figures + _peaks()


def _costs(
    where: str, make: Callable[[str], TrainingSteps], rounds: int, goals: dict[str, float | None]
) -> list[Figure]:
    """Seconds of a step over those of erm's, in turns; the networks learn meanwhile."""
    ways = {name: make(name) for name in ("erm", *OBJECTIVES)}
    seconds = cpu_seconds_in_turns(ways, rounds)
    return [
        at_most(goals.get(name), f"{where}: {name}, times erm", ratios(spent, seconds["erm"]))
        for name, spent in seconds.items()
        if name != "erm"
    ]


def _peaks() -> list[Figure]:
    """What two steps take at their highest, each objective in a process of its own."""
    figures = []
    for name in ("erm", *OBJECTIVES):
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            megabytes = pool.submit(_peak, name).result()
        figure = f"resnet18, 128 px, batch 16: {name}, MB more at the highest than before"
        figures.append(Figure(figure, megabytes))
    return figures


def _peak(name: str) -> float:
    torch.set_num_threads(1)
    steps = _large(16, name)
    with track_peak_memory(0.005) as memory:
        for _ in range(2):
            steps()
    return float(memory.most - memory.before) / 2**20


def _small(batch: int, name: str) -> TrainingSteps:
    torch.manual_seed(0)
    return _training_steps(name, small_resnet(4), batch, 64)


def _large(batch: int, name: str) -> TrainingSteps:
    torch.manual_seed(0)
    return _training_steps(name, torchvision.models.resnet18(num_classes=4), batch, 128)


def _training_steps(name: str, network: nn.Module, batch: int, rows: int) -> TrainingSteps:
    """With the statistics that it came with, as a network that is retrained."""
    network.to(memory_format=torch.channels_last).eval()
    return TrainingSteps(name, network, batch, rows)


def _training_images(count: int, rows: int) -> TrainingImages:
    generator = torch.Generator().manual_seed(0)
    image_NCHW = torch.randint(0, 256, (count, 3, rows, rows), generator=generator)
    mask_NHW = torch.zeros(count, rows, rows, dtype=torch.uint8)
    mask_NHW[:, rows // 4 : rows // 2, rows // 4 : rows // 2] = 255
    layout = torch.channels_last
    picture_NCHW = image_NCHW.to(torch.uint8).contiguous(memory_format=layout)
    label_N = torch.arange(count) % 4
    return replace(TrainingImages.of(picture_NCHW, label_N, mask_NHW), group_N=label_N)


if __name__ == "__main__":
    main(run)
