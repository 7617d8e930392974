"""What maps of pixels cost: one pass with every map, beside a bare gradient of the picture.

Random weights and pictures; one torch thread; process CPU time; all ways get the same batch in the
same memory format. The bare gradient has frozen weights too, so that no side pays for theirs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.measure import Figure, at_most, cpu_seconds_in_turns, main, ratios
from benchmarks.speed.cams import GRID, Subject, goal_of, make_subject, predict
from models.methods.maps import capture_for
from models.methods.registry import PASS_METHODS
from models.network.capture import as_found

SIX = tuple(name for name in PASS_METHODS if name != "full_grad")
SIZES = {"quick": (64, 3), "full": (224, 20)}  # pixels a side, rounds


def run(quick: bool) -> list[Figure]:
    """Cost of the fused pass over a gradient of the picture, and over a prediction."""
    torch.set_num_threads(1)
    size, rounds = SIZES["quick" if quick else "full"]
    figures = []
    for architecture, batch in (("resnet18", 16), ("resnet50", 8)):
        figures += compare(make_subject(architecture, batch, size, "channels_last"), rounds)
    return figures


def compare(subject: Subject, rounds: int) -> list[Figure]:
    """Bare forward, bare forward with a backward to the picture, and our pass, in turns."""
    ways = {
        "predict": lambda: predict(subject),
        "gradient": lambda: picture_gradient(subject),
        "fused": lambda: every_map(subject, SIX),
        "seven": lambda: every_map(subject, tuple(PASS_METHODS)),
    }
    seconds = cpu_seconds_in_turns(ways, rounds)
    name = f"{subject.name}: predictions, 4 CAMs, saliency and input x gradient, times a bare"
    over_gradient = ratios(seconds["fused"], seconds["gradient"])
    over_forward = ratios(seconds["fused"], seconds["predict"])
    goal = goal_of(1.05, subject)
    return [
        at_most(goal, f"{name} forward and gradient of the picture", over_gradient),
        at_most(None, f"{name} forward pass", over_forward),
        at_most(
            None,
            f"{subject.name}: the same with FullGrad, times a bare forward and gradient of the "
            "picture",
            ratios(seconds["seven"], seconds["gradient"]),
        ),
    ]


def picture_gradient(subject: Subject) -> list[Tensor]:
    """What anyone has to compute who wants predictions and gradients of the picture."""
    with as_found(subject.network), torch.enable_grad():
        image_BCHW = subject.image_BCHW.detach().requires_grad_(True)
        logits_BK = subject.network(image_BCHW)
        top_B, class_B = logits_BK.max(1)
        (gradient_BCHW,) = torch.autograd.grad(top_B.sum(), image_BCHW)
    return [class_B, gradient_BCHW]


def every_map(subject: Subject, names: tuple[str, ...]) -> list[Tensor]:
    """Our pass, as the audit makes it when a method that reads the picture is asked for."""
    methods = [PASS_METHODS[name] for name in names]
    seen = capture_for(methods, subject.network, GRID, subject.image_BCHW)
    return [seen.target_B, *(method.map_Bhw(seen) for method in methods)]


if __name__ == "__main__":
    main(run)
