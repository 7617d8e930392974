"""What four CAMs cost on top of a prediction, and three of them beside pytorch-grad-cam's.

Random weights and pictures; one torch thread; process CPU time; both sides of a ratio get the same
batch in the same memory format. Where the rival is compared, our maps are brought to what its
calls return: a numpy array of pictures' size with values from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torchvision
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, LayerCAM
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.measure import Figure, at_least, at_most, cpu_seconds_in_turns, main, ratios
from models.methods.registry import LAYER_METHODS, PASS_METHODS
from models.network.capture import capture
from models.network.grid import Grid

GRID = Grid("layer4", 7, 7)
FULL_SIZE = 224  # pixels a side; smaller pictures have no goals
RIVALS = {"grad_cam": GradCAM, "grad_cam_pp": GradCAMPlusPlus, "layer_cam": LayerCAM}
FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


@dataclass(frozen=True)
class Subject:
    """A network and a batch in one memory format."""

    name: str
    network: nn.Module
    image_BCHW: Tensor


def run(quick: bool) -> list[Figure]:
    """Cost of four CAMs over a prediction, and speed of three against three calls of the rival."""
    torch.set_num_threads(1)
    size, rounds = (64, 3) if quick else (FULL_SIZE, 20)
    figures = []
    for architecture, batch in (("resnet18", 16), ("resnet50", 8)):
        subject = make_subject(architecture, batch, size, "channels_last")
        figures += compare(subject, rounds)
    contiguous = make_subject("resnet18", 16, size, "contiguous")
    figures.append(_cost(contiguous, cpu_seconds_in_turns(_own_ways(contiguous), rounds)))
    return figures


def compare(subject: Subject, rounds: int) -> list[Figure]:
    """Bare forward, one capture with its CAMs, and the rival's three calls, in turns."""
    ways = _own_ways(subject) | {
        "three": lambda: three_pictures(subject),
        "rival": lambda: three_calls(subject),
    }
    seconds = cpu_seconds_in_turns(ways, rounds)
    speed = f"{subject.name}: predictions and 3 CAMs, times faster than pytorch-grad-cam's 3 calls"
    return [
        _cost(subject, seconds),
        at_least(goal_of(7, subject), speed, ratios(seconds["rival"], seconds["three"])),
    ]


def make_subject(architecture: str, batch: int, size: int, memory_format: str) -> Subject:
    """A torchvision network with seeded random weights, and a batch of noise."""
    torch.manual_seed(0)
    network = torchvision.models.get_model(architecture, weights=None).eval()
    image_BCHW = torch.randn(batch, 3, size, size)
    return Subject(
        f"{architecture}, {size} px, batch {batch}, {memory_format}",
        network.to(memory_format=FORMATS[memory_format]),
        image_BCHW.contiguous(memory_format=FORMATS[memory_format]),
    )


def predict(subject: Subject) -> Tensor:
    """The bare forward pass that everything is measured against."""
    with torch.no_grad():
        classes_B: Tensor = subject.network(subject.image_BCHW).argmax(1)
    return classes_B


def four_maps(subject: Subject) -> list[Tensor]:
    """Our pass, as the audit makes it: predictions and every map at the layer's own resolution."""
    seen = capture(subject.network, GRID, subject.image_BCHW)
    return [seen.target_B, *(PASS_METHODS[name].map_Bhw(seen) for name in LAYER_METHODS)]


def three_pictures(subject: Subject) -> list[object]:
    """Our pass, brought to what the rival's three calls return."""
    seen = capture(subject.network, GRID, subject.image_BCHW)
    size = subject.image_BCHW.shape[2:]
    maps = [_as_pictures(PASS_METHODS[name].map_Bhw(seen), size) for name in RIVALS]
    return [seen.target_B.numpy(), *maps]


def three_calls(subject: Subject) -> list[object]:
    """The rival as its README uses it; no targets means the predicted class, as with us."""
    maps = []
    last_block = list(subject.network.get_submodule(GRID.layer).children())[-1]
    for rival in RIVALS.values():
        with rival(model=subject.network, target_layers=[last_block]) as cam:
            maps.append(cam(input_tensor=subject.image_BCHW, targets=None))
    return maps


def goal_of(goal: float, subject: Subject) -> float | None:
    """The goal, for pictures of full size."""
    return goal if subject.image_BCHW.shape[2] == FULL_SIZE else None


def _own_ways(subject: Subject) -> dict[str, Callable[[], object]]:
    return {"bare": lambda: predict(subject), "four": lambda: four_maps(subject)}


def _cost(subject: Subject, seconds: dict[str, list[float]]) -> Figure:
    name = f"{subject.name}: predictions and 4 CAMs, times a bare forward pass"
    return at_most(goal_of(1.05, subject), name, ratios(seconds["four"], seconds["bare"]))


def _as_pictures(map_Bhw: Tensor, size: torch.Size) -> object:
    """Each map from 0 to 1, enlarged to the picture, as numpy."""
    low_B11 = map_Bhw.amin((1, 2), keepdim=True)
    unit_Bhw = (map_Bhw - low_B11) / (map_Bhw.amax((1, 2), keepdim=True) - low_B11 + 1e-7)
    large_BHW = functional.interpolate(unit_Bhw[:, None], size=size, mode="bilinear")[:, 0]
    return large_BHW.numpy()


if __name__ == "__main__":
    main(run)
