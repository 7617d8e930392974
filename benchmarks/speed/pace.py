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
from models.methods.iba import Iba, nats
from models.methods.maps import explain
from models.methods.registry import find_method
from models.methods.smoothing import smooth
from models.network.capture import capture
from models.network.grid import Grid
from models.network.question import Question
from models.network.statistics import Moments, Statistics

MASKS = 4000
STEPS = 20  # of Integrated Gradients and SmoothGrad, ours and Captum's


@dataclass(frozen=True)
class Pace:
    """A network, its pictures, and how it is timed."""

    name: str
    asked: Question
    rounds: int
    masks: int  # of RISE that are really passed
    judged: bool


def run(quick: bool) -> list[Figure]:
    """The small network at 64 px, resnet18 at 224; --quick: the small one, roughly."""
    torch.set_num_threads(1)
    figures = compare(small(2 if quick else 5, 200 if quick else MASKS, not quick))
    return figures if quick else figures + compare(large())


def small(rounds: int, masks: int, judged: bool) -> Pace:
    torch.manual_seed(0)
    network = small_resnet(4).eval().to(memory_format=torch.channels_last)
    image_BCHW = torch.randn(16, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    asked = _asked(network, Grid("stage3", 8, 8), image_BCHW)
    return Pace("small network, 64 px, batch 16", asked, rounds, masks, judged)


def large() -> Pace:
    subject = make_subject("resnet18", 4, 224, "channels_last")
    asked = _asked(subject.network, Grid("layer4", 7, 7), subject.image_BCHW)
    return Pace("resnet18, 224 px, batch 4", asked, 3, 100, True)


def compare(pace: Pace) -> list[Figure]:
    """Everything in turns; a ratio is how many times the images a second."""
    asked = pace.asked
    own = {
        name: (lambda method=find_method(name): explain(method, asked))  # noqa: B008
        for name in (
            *("ibisa", "iba", f"rise:masks={pace.masks}"),
            *(f"integrated_gradients:steps={STEPS}", f"smooth_grad:draws={STEPS}"),
        )
    }
    ways: dict[str, Callable[[], object]] = {
        **own,
        "authors": lambda: authors_iba(asked),
        "captum path": lambda: captum_path(asked),
        "captum noise": lambda: captum_noise(asked),
        "forward": lambda: _forward(asked),
    }
    seconds = cpu_seconds_in_turns(ways, pace.rounds)
    return [
        *_against_samplers(pace, seconds),
        *_against_captum(pace, seconds),
        _cost(pace, seconds),
    ]


def _against_samplers(pace: Pace, seconds: Mapping[str, list[float]]) -> list[Figure]:
    share = MASKS / pace.masks
    rise = [share * spent for spent in seconds[f"rise:masks={pace.masks}"]]
    one = [spent * len(pace.asked.target_B) for spent in seconds["authors"]]  # it took one image
    goals = (40, 5, 5) if pace.judged else (None, None, None)
    told = f"{pace.name}: {{}}, times the images a second of {{}}"
    return [
        at_least(goals[0], told.format("IBISA", "RISE"), ratios(rise, seconds["ibisa"])),
        at_least(
            goals[1], told.format("IBISA", "IBA as its authors"), ratios(one, seconds["ibisa"])
        ),
        at_least(goals[2], told.format("IBA", "IBA as its authors"), ratios(one, seconds["iba"])),
    ]


def _against_captum(pace: Pace, seconds: Mapping[str, list[float]]) -> list[Figure]:
    told = f"{pace.name}: {{}} with {STEPS} passes, times the time of Captum's"
    pairs = {
        "Integrated Gradients": (f"integrated_gradients:steps={STEPS}", "captum path"),
        "SmoothGrad": (f"smooth_grad:draws={STEPS}", "captum noise"),
    }
    found = [
        at_most(None, told.format(name), ratios(seconds[ours], seconds[theirs]))
        for name, (ours, theirs) in pairs.items()
    ]
    if not pace.judged:
        return found
    goal = "at most 1, or 1 within the interval"
    return [replace(figure, goal=goal, holds=(figure.low or 0) <= 1) for figure in found]


def _cost(pace: Pace, seconds: Mapping[str, list[float]]) -> Figure:
    told = f"{pace.name}: IBISA, times a bare forward pass"
    return at_most(None, told, ratios(seconds["ibisa"], seconds["forward"]))


def authors_iba(asked: Question) -> Tensor:
    """The first image alone, as github.com/BioroboticsLab/IBA passes it: ten copies through the
    whole network, ten times, with the gradients of all weights."""
    assert asked.grid is not None
    assert asked.statistics is not None
    settings, known = Iba(), asked.statistics
    image_NCHW = asked.image_BCHW[:1].expand(settings.copies, -1, -1, -1)
    target_N = asked.target_B[:1].expand(settings.copies)
    layer = asked.network.get_submodule(asked.grid.layer)
    alpha_Dhw = torch.full_like(known.mean_Dhw, 5.0).requires_grad_(True)
    optimiser = torch.optim.Adam([alpha_Dhw], lr=settings.rate)
    bits_Dhw = torch.zeros_like(alpha_Dhw)
    for _ in range(settings.steps):
        lambda_1Dhw = smooth(alpha_Dhw.sigmoid()[None], settings.sigma)
        with torch.enable_grad(), _restricted(layer, lambda_1Dhw, known) as passed:
            logits_NK = asked.network(image_NCHW)
            loss = cross_entropy(logits_NK, target_N) + settings.beta * passed[0].mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        bits_Dhw = passed[0][0].detach()
        optimiser.step()
    asked.network.zero_grad()
    return bits_Dhw.sum(0)


@contextmanager
def _restricted(layer: nn.Module, lambda_1Dhw: Tensor, known: Statistics) -> Iterator[list[Tensor]]:
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


def captum_path(asked: Question) -> Tensor:
    """Captum's, in pieces of as many pictures as ours."""
    method = IntegratedGradients(asked.network)
    found: Tensor = method.attribute(
        asked.image_BCHW, target=asked.target_B, n_steps=STEPS, internal_batch_size=asked.room
    )
    return found.sum(1)


def captum_noise(asked: Question) -> Tensor:
    """Captum's, whose samples come in pieces too."""
    method = NoiseTunnel(Saliency(asked.network))
    found: Tensor = method.attribute(
        asked.image_BCHW,
        target=asked.target_B,
        nt_samples=STEPS,
        nt_samples_batch_size=max(1, asked.room // len(asked.image_BCHW)),
        abs=False,
    )
    return found.abs().amax(1)


def _forward(asked: Question) -> Tensor:
    with torch.no_grad():
        return asked.logits_of(asked.image_BCHW)


def _asked(network: nn.Module, grid: Grid, image_BCHW: Tensor) -> Question:
    generator = torch.Generator().manual_seed(0)
    noise_NCHW = torch.randn(32, *image_BCHW.shape[1:], generator=generator)
    seen = capture(network, grid, noise_NCHW)
    known: Statistics = Moments.of(seen.activation_BDhw).statistics()
    with torch.no_grad():
        target_B = network(image_BCHW).argmax(1)
    return Question(network, image_BCHW, target_B, 64, grid, known)


if __name__ == "__main__":
    main(run)
