"""Insertion and deletion of a batch of images, beside a loop that takes one image at a time.

The loop does what the RISE authors' code does: the next pixels of an image are exchanged in place
and the network is called, state after state; or, a little better, once for all states of the image.
All make the same 20 states of the same random pictures and maps, by the same networks in the same
memory format, and find the same areas; on a GPU where there is one, else on one torch thread;
process CPU time. A last figure takes the authors' own settings on their side: a row of pixels a
state, as many as the picture has rows, all states of an image at once (one image is timed, and
counted for all).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from benchmarks.measure import Figure, at_least, cpu_seconds_in_turns, main, ratios
from benchmarks.speed.cams import FORMATS, Subject, make_subject
from models.classifier.small_resnet import small_resnet
from models.map_quality.faithfulness import STEPS, curve, find_endpoints, hottest_first
from models.map_quality.localisation import enlarge
from models.methods.smoothing import blur
from models.network.capture import as_found
from models.network.explain_request import ExplainRequest

GOAL = 5  # times faster than the loop, state after state
Scores = Callable[[Subject, Sequence[Tensor], int], Tensor]


def run(quick: bool) -> list[Figure]:
    """Two networks, each against the loops."""
    torch.set_num_threads(1)
    small = small_subject(8 if quick else 16)
    large = make_subject("resnet18", 4, 64 if quick else 224, "channels_last")
    goal = None if quick else GOAL
    return compare(small, goal, 3 if quick else 20) + compare(large, goal, 3 if quick else 5)


def compare(subject: Subject, goal: float | None, rounds: int) -> list[Figure]:
    """The batch, and the loop with either kind of call, in turns."""
    subject = move_to_device(subject, "cuda" if torch.cuda.is_available() else "cpu")
    cells = (len(subject.image_BCHW), 7, 7)
    map_Bhw = torch.rand(cells, generator=torch.Generator().manual_seed(0)).to(subject.image_BCHW)
    ways: dict[str, Callable[[], object]] = {
        "batch": partial(areas_of_batch, subject, map_Bhw),
        "state after state": partial(areas_in_loop, subject, map_Bhw, state_after_state),
        "all states of an image": partial(areas_in_loop, subject, map_Bhw, states_at_once),
        "authors": partial(
            areas_in_loop, first_picture(subject), map_Bhw[:1], states_at_once, rows_of(subject)
        ),
    }
    seconds = cpu_seconds_in_turns(ways, rounds)
    authors = [len(map_Bhw) * spent for spent in seconds.pop("authors")]
    name = f"{subject.name}: insertion and deletion in {STEPS} steps, times faster than the "
    return [
        at_least(
            goal,
            f"{name}authors' code in its {rows_of(subject)}",
            ratios(authors, seconds["batch"]),
        ),
    ] + [
        at_least(
            goal if loop == "state after state" else None,
            f"{subject.name}: insertion and deletion, times faster than a loop, {loop}",
            ratios(seconds[loop], seconds["batch"]),
        )
        for loop in list(seconds)[1:]
    ]


def first_picture(subject: Subject) -> Subject:
    """One picture of it."""
    return replace(subject, image_BCHW=subject.image_BCHW[:1])


def rows_of(subject: Subject) -> int:
    """Rows of a picture."""
    return subject.image_BCHW.shape[2]


def small_subject(batch: int) -> Subject:
    """The network and the pictures of the generated benchmark, with random weights."""
    torch.manual_seed(0)
    network = small_resnet(4).eval().to(memory_format=torch.channels_last)
    image_BCHW = torch.randn(batch, 3, 64, 64).contiguous(memory_format=FORMATS["channels_last"])
    return Subject(f"small network, 64 px, batch {batch}, channels_last", network, image_BCHW)


def move_to_device(subject: Subject, device: str) -> Subject:
    """The same on that device."""
    return replace(
        subject,
        name=f"{subject.name}, {device}",
        network=subject.network.to(device),
        image_BCHW=subject.image_BCHW.to(device),
    )


def areas_of_batch(subject: Subject, map_Bhw: Tensor) -> Tensor:
    """Ours (B, 2): deletion to the data's mean, insertion into the blurred picture."""
    image_BCHW = subject.image_BCHW
    with as_found(subject.network):
        with torch.no_grad():
            target_B = subject.network(image_BCHW).argmax(1)
        request = ExplainRequest(subject.network, image_BCHW, target_B)
        ends = find_endpoints(request)
        order = hottest_first(enlarge(map_Bhw, image_BCHW.shape[2:]))
        curves = (
            curve(request, ends.clean, ends.mean, order),
            curve(request, ends.blur, ends.clean, order),
        )
    return torch.stack([torch.trapezoid(one, dx=1 / STEPS) for one in curves], 1).cpu()


def areas_in_loop(subject: Subject, map_Bhw: Tensor, scores: Scores, steps: int = STEPS) -> Tensor:
    """The rival's (B, 2)."""
    found = []
    images, maps = torch.split(subject.image_BCHW, 1), torch.split(map_Bhw, 1)
    for image_1CHW, map_1hw in zip(images, maps, strict=True):
        heat_P = enlarge(map_1hw, image_1CHW.shape[2:]).flatten()
        order_P = heat_P.argsort(descending=True, stable=True)
        with torch.no_grad():
            target = int(subject.network(image_1CHW).argmax())
        ways = (
            (image_1CHW, torch.zeros_like(image_1CHW)),
            (blur(image_1CHW), image_1CHW),
        )
        areas = [area(scores(subject, states(*way, order_P, steps), target)) for way in ways]
        found.append(torch.stack(areas))
    return torch.stack(found)


def states(start_1CHW: Tensor, finish_1CHW: Tensor, order_P: Tensor, steps: int) -> list[Tensor]:
    """Every state from start to finish, as many pixels further each time."""
    picture_1CHW, found = start_1CHW.clone(), []
    pixels = len(order_P)
    ends = [(2 * pixels * step + steps) // (2 * steps) for step in range(steps)]
    for pixel_p in torch.tensor_split(order_P, ends):
        row_p, column_p = pixel_p // start_1CHW.shape[3], pixel_p % start_1CHW.shape[3]
        picture_1CHW[0, :, row_p, column_p] = finish_1CHW[0, :, row_p, column_p]
        found.append(picture_1CHW.clone())
    return found


def state_after_state(subject: Subject, pictures: Sequence[Tensor], target: int) -> Tensor:
    """One picture in a call."""
    with torch.no_grad():
        return torch.tensor([subject.network(one).softmax(1)[0, target] for one in pictures])


def states_at_once(subject: Subject, pictures: Sequence[Tensor], target: int) -> Tensor:
    """One image in a call."""
    with torch.no_grad():
        logits_SK: Tensor = subject.network(torch.cat(list(pictures)))
    return logits_SK.softmax(1)[:, target].cpu()


def area(score_S: Tensor) -> Tensor:
    """As the authors' code has it."""
    return (score_S.sum() - score_S[0] / 2 - score_S[-1] / 2) / (len(score_S) - 1)


if __name__ == "__main__":
    main(run)
