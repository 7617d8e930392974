"""Images a second of the methods that run the network themselves, beside what others do.

One torch thread, process CPU time, all ways in turns on the same pictures; weights are random.
RISE's cost is proportional to its masks: on the large network 100 of its 4,000 are timed, and
the time is multiplied. The way of IBA's authors: one image, ten copies, ten full passes forward and
back with the weights' gradients, at the same layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from captum.attr import IntegratedGradients, NoiseTunnel, Saliency
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.measure import Figure, at_least, at_most, cpu_seconds_in_turns, main, ratios
from benchmarks.speed.cams import make_subject
from models.classifier.small_resnet import small_resnet
from models.methods.iba import nats
from models.methods.maps import explain
from models.methods.registry import find_method
from models.methods.settings import IbaSettings
from models.methods.smoothing import smooth
from models.network.capture import capture
from models.network.explain_request import ExplainRequest
from models.network.grid import Grid
from models.network.statistics import Moments, Statistics

MASKS = 4000
STEPS = 20  # of Integrated Gradients and SmoothGrad, ours and Captum's


@dataclass(frozen=True)
class Setup:
    """A network, its pictures, and how it is timed."""

    name: str
    request: ExplainRequest
    rounds: int
    masks: int  # of RISE that are really passed
    has_goals: bool


def run(quick: bool) -> list[Figure]:
    """The small network at 64 px, resnet18 at 224; --quick: the small one, roughly."""
    torch.set_num_threads(1)
    figures = compare(small(2 if quick else 5, 200 if quick else MASKS, not quick))
    return figures if quick else figures + compare(large())


def small(rounds: int, masks: int, has_goals: bool) -> Setup:
    torch.manual_seed(0)
    network = small_resnet(4).eval().to(memory_format=torch.channels_last)
    image_BCHW = torch.randn(16, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    request = _make_request(network, Grid("stage3", 8, 8), image_BCHW)
    return Setup("small network, 64 px, batch 16", request, rounds, masks, has_goals)


def large() -> Setup:
    subject = make_subject("resnet18", 4, 224, "channels_last")
    request = _make_request(subject.network, Grid("layer4", 7, 7), subject.image_BCHW)
    return Setup("resnet18, 224 px, batch 4", request, 3, 100, True)


def compare(setup: Setup) -> list[Figure]:
    """Everything in turns; a ratio is how many times the images a second."""
    request = setup.request
    own = {
        name: (lambda method=find_method(name): explain(method, request))  # noqa: B008
        for name in (
            *("ibisa", "iba", f"rise:masks={setup.masks}"),
            *(f"integrated_gradients:steps={STEPS}", f"smooth_grad:draws={STEPS}"),
        )
    }
    ways: dict[str, Callable[[], object]] = {
        **own,
        "authors": lambda: authors_iba(request),
        "captum path": lambda: captum_path(request),
        "captum noise": lambda: captum_noise(request),
        "forward": lambda: _forward(request),
    }
    seconds = cpu_seconds_in_turns(ways, setup.rounds)
    return [
        *_against_samplers(setup, seconds),
        *_against_captum(setup, seconds),
        _cost(setup, seconds),
    ]


def _against_samplers(setup: Setup, seconds: Mapping[str, list[float]]) -> list[Figure]:
    share = MASKS / setup.masks
    rise = [share * spent for spent in seconds[f"rise:masks={setup.masks}"]]
    one = [spent * len(setup.request.target_B) for spent in seconds["authors"]]  # it took one image
    goals = (40, 5, 5) if setup.has_goals else (None, None, None)
    name = f"{setup.name}: {{}}, times the images a second of {{}}"
    return [
        at_least(goals[0], name.format("IBISA", "RISE"), ratios(rise, seconds["ibisa"])),
        at_least(
            goals[1], name.format("IBISA", "IBA as its authors"), ratios(one, seconds["ibisa"])
        ),
        at_least(goals[2], name.format("IBA", "IBA as its authors"), ratios(one, seconds["iba"])),
    ]


def _against_captum(setup: Setup, seconds: Mapping[str, list[float]]) -> list[Figure]:
    figure = f"{setup.name}: {{}} with {STEPS} passes, times the time of Captum's"
    pairs = {
        "Integrated Gradients": (f"integrated_gradients:steps={STEPS}", "captum path"),
        "SmoothGrad": (f"smooth_grad:draws={STEPS}", "captum noise"),
    }
    found = [
        at_most(None, figure.format(name), ratios(seconds[ours], seconds[theirs]))
        for name, (ours, theirs) in pairs.items()
    ]
    if not setup.has_goals:
        return found
    goal = "at most 1, or 1 within the interval"
    return [replace(figure, goal=goal, holds=(figure.low or 0) <= 1) for figure in found]


def _cost(setup: Setup, seconds: Mapping[str, list[float]]) -> Figure:
    name = f"{setup.name}: IBISA, times a bare forward pass"
    return at_most(None, name, ratios(seconds["ibisa"], seconds["forward"]))


def authors_iba(request: ExplainRequest) -> Tensor:
    """The first image alone, as github.com/BioroboticsLab/IBA passes it: ten copies through the
    whole network, ten times, with the gradients of all weights."""
    assert request.grid is not None
    assert request.statistics is not None
    settings, known = IbaSettings(), request.statistics
    image_NCHW = request.image_BCHW[:1].expand(settings.copies, -1, -1, -1)
    target_N = request.target_B[:1].expand(settings.copies)
    layer = request.network.get_submodule(request.grid.layer)
    alpha_Dhw = torch.full_like(known.mean_Dhw, 5.0).requires_grad_(True)
    optimiser = torch.optim.Adam([alpha_Dhw], lr=settings.rate)
    bits_Dhw = torch.zeros_like(alpha_Dhw)
    for _ in range(settings.steps):
        lambda_1Dhw = smooth(alpha_Dhw.sigmoid()[None], settings.sigma)
        with torch.enable_grad(), _restrict(layer, lambda_1Dhw, known) as passed:
            logits_NK = request.network(image_NCHW)
            loss = cross_entropy(logits_NK, target_N) + settings.beta * passed[0].mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        bits_Dhw = passed[0][0].detach()
        optimiser.step()
    request.network.zero_grad()
    return bits_Dhw.sum(0)


@contextmanager
def _restrict(layer: nn.Module, lambda_1Dhw: Tensor, known: Statistics) -> Iterator[list[Tensor]]:
    """Noise in the layer's output, as far as lambda lets it in; what passes is in the list."""
    passed: list[Tensor] = []

    def restrict(_: nn.Module, __: object, output: Tensor) -> Tensor:
        noise_NDhw = known.mean_Dhw + known.deviation_Dhw * torch.randn_like(output)
        passed.append(nats(lambda_1Dhw.expand_as(output), output, known))
        return lambda_1Dhw * output + (1 - lambda_1Dhw) * noise_NDhw

    handle = layer.register_forward_hook(restrict)
    try:
        yield passed
    finally:
        handle.remove()


def captum_path(request: ExplainRequest) -> Tensor:
    """Captum's, in pieces of as many pictures as ours."""
    method = IntegratedGradients(request.network)
    found: Tensor = method.attribute(
        request.image_BCHW,
        target=request.target_B,
        n_steps=STEPS,
        internal_batch_size=request.batch_size,
    )
    return found.sum(1)


def captum_noise(request: ExplainRequest) -> Tensor:
    """Captum's, whose samples come in pieces too."""
    method = NoiseTunnel(Saliency(request.network))
    found: Tensor = method.attribute(
        request.image_BCHW,
        target=request.target_B,
        nt_samples=STEPS,
        nt_samples_batch_size=max(1, request.batch_size // len(request.image_BCHW)),
        abs=False,
    )
    return found.abs().amax(1)


def _forward(request: ExplainRequest) -> Tensor:
    with torch.no_grad():
        return request.logits_of(request.image_BCHW)


def _make_request(network: nn.Module, grid: Grid, image_BCHW: Tensor) -> ExplainRequest:
    generator = torch.Generator().manual_seed(0)
    noise_NCHW = torch.randn(32, *image_BCHW.shape[1:], generator=generator)
    seen = capture(network, grid, noise_NCHW)
    known: Statistics = Moments.of(seen.activation_BDhw).statistics()
    with torch.no_grad():
        target_B = network(image_BCHW).argmax(1)
    return ExplainRequest(network, image_BCHW, target_B, 64, grid, known)


if __name__ == "__main__":
    main(run)
