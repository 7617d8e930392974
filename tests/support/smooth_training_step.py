"""One training step in double precision on a network without kinks, and slopes of its loss.

Shapes: B images, K classes, D channels, H W pixels, h w cells, N images of the training set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from models.network.grid import Grid
from models.objectives.step import Batch, Learner, Loss, PlainBatch

SIDE, CELLS, CLASSES, COUNT = 12, 6, 3, 5
LAST, STEM = Grid("last", CELLS, CELLS), Grid("stem", CELLS, CELLS)
STRIDE = 1e-6  # of finite differences


class SmoothNet(nn.Module):
    """Tanh and Softplus; the head is not linear, so that the gradient depends on the activation."""

    def __init__(self, norm: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 2, 1)
        self.norm = nn.BatchNorm2d(4) if norm else nn.Identity()
        self.last = nn.Conv2d(4, 5, 3, 1, 1)
        self.after = nn.Conv2d(5, 5, 3, 1, 1)
        self.fc = nn.Linear(5, CLASSES)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        seen_BDhw = self.last(self.norm(self.stem(image_BCHW)).tanh())
        logits_BK: Tensor = self.fc(nn.functional.softplus(self.after(seen_BDhw)).mean((2, 3)))
        return logits_BK


def smooth_net(norm: bool = False) -> SmoothNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = SmoothNet(norm).double()
        nn.init.normal_(network.fc.weight, std=3.0)
        nn.init.normal_(network.after.weight, std=0.5)
    return network.eval()


def batch_of(count: int = COUNT, side: int = SIDE, classes: int = CLASSES) -> Batch:
    """Objects here and there, the third image's unknown; the first answer is not one class."""
    generator = torch.Generator().manual_seed(1)
    normal = torch.randn(2, count, 3, side, side, generator=generator, dtype=torch.double)
    mask_BHW = torch.zeros(count, side, side, dtype=torch.double)
    for number in range(count):
        mask_BHW[number, number : number + side // 2, side // 4 : side // 4 + 5] = 1
    known_B = torch.arange(count) != 2
    soft_label_BK = torch.eye(classes, dtype=torch.double)[torch.arange(count) % classes]
    soft_label_BK[0] = torch.softmax(torch.arange(classes).double().flip(0), 0)
    return Batch(
        image_BCHW=normal[0],
        soft_label_BK=soft_label_BK,
        mask_BHW=mask_BHW * known_B[:, None, None],
        known_B=known_B,
        other_BCHW=normal[1],
        chance_B=torch.linspace(0, 0.9, count, dtype=torch.double),
        row_B=torch.arange(count).flip(0),
        flipped_B=torch.arange(count) % 2 == 1,
        step=3,
        steps=10,
    )


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def jacobian(network: nn.Module, image_CHW: Tensor) -> Tensor:
    """(K, C, H, W), one logit after another."""
    image_1CHW = image_CHW[None].clone().requires_grad_(True)
    logits_K = network(image_1CHW)[0]
    return torch.stack(
        [torch.autograd.grad(logit, image_1CHW, retain_graph=True)[0][0] for logit in logits_K]
    )


def nobody_known(batch: Batch) -> Batch:
    return replace(
        batch,
        known_B=torch.zeros_like(batch.known_B),
        mask_BHW=torch.zeros_like(batch.mask_BHW),
    )


def learner_of(network: nn.Module, *grids: Grid, count: int = COUNT) -> Learner:
    """With maps of the bottleneck as if they had been made before."""
    generator = torch.Generator().manual_seed(2)
    grids = grids or (LAST,)
    cells = count, grids[0].rows, grids[0].columns
    map_Nhw = torch.rand(cells, generator=generator, dtype=torch.double)
    return Learner(network, grids, {"ib_map_Nhw": map_Nhw})


def sweep_of(batch: Batch) -> Callable[[], Iterator[PlainBatch]]:
    """The batch's images where they lie, in two parts."""
    assert batch.row_B is not None
    row_B = batch.row_B

    def sweep() -> Iterator[PlainBatch]:
        for part in (slice(0, 2), slice(2, None)):
            yield PlainBatch(row_B[part], batch.image_BCHW[part], batch.target_B[part])

    return sweep


def terms_of(loss: Loss) -> dict[str, Tensor]:
    return {"total": loss.total, **loss.parts}


def gradient_of(value: Tensor, network: nn.Module) -> list[Tensor]:
    """Of each weight; zeros where it does not matter."""
    weights = list(network.parameters())
    found = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True)
    return [
        torch.zeros_like(weight) if gradient is None else gradient
        for weight, gradient in zip(weights, found, strict=True)
    ]


def directions(network: nn.Module) -> list[Tensor]:
    """One of length 1 for each weight."""
    generator = torch.Generator().manual_seed(3)
    drawn = [
        torch.randn(weight.shape, generator=generator, dtype=torch.double)
        for weight in network.parameters()
    ]
    return [direction / direction.norm() for direction in drawn]


def by_graph(loss: Loss, network: nn.Module) -> dict[str, Tensor]:
    """The slope of each term that has a graph, along the direction of each weight."""
    return {
        name: torch.stack(
            [
                (gradient * direction).sum()
                for gradient, direction in zip(
                    gradient_of(value, network), directions(network), strict=True
                )
            ]
        )
        for name, value in terms_of(loss).items()
        if value.requires_grad
    }


def by_differences(judge: Callable[[], Loss], network: nn.Module) -> dict[str, Tensor]:
    """The same by central differences."""
    found: dict[str, list[Tensor]] = {}
    for weight, direction in zip(network.parameters(), directions(network), strict=True):
        moved = []
        for stride in (STRIDE, -STRIDE):
            with torch.no_grad():
                weight.add_(direction, alpha=stride)
            moved.append({name: value.detach() for name, value in terms_of(judge()).items()})
            with torch.no_grad():
                weight.sub_(direction, alpha=stride)
        for name in moved[0]:
            slope = (moved[0][name] - moved[1][name]) / (2 * STRIDE)
            found.setdefault(name, []).append(slope)
    return {name: torch.stack(slopes) for name, slopes in found.items()}


def held(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, once: Callable[[], object]
) -> None:
    """From now on the function gives what it gives during `once`, call by call."""
    given: list[Tensor] = []
    own: Callable[..., Tensor] = getattr(module, name)

    def note(*arguments: object) -> Tensor:
        given.append(own(*arguments).detach())
        return given[-1]

    monkeypatch.setattr(module, name, note)
    once()
    again = cycle(given)
    monkeypatch.setattr(module, name, lambda *_: next(again))
