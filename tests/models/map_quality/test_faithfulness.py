"""Every figure again in loops, one picture at a time, and what theory says of known maps."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from pytorch_grad_cam.metrics.cam_mult_image import DropInConfidence, IncreaseInConfidence
from pytorch_grad_cam.metrics.perturbation_confidence import (
    PerturbationConfidenceMetric,
    RemoveMostRelevantFirst,
)
from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget
from torch import Tensor, nn

from models.map_quality.faithfulness import STEPS, TILES, Faithfulness, find_endpoints, measure
from models.map_quality.localisation import enlarge
from models.methods.smoothing import blur
from models.network.capture import as_found
from models.network.explain_request import ExplainRequest
from tests.support.networks import TinyNet, tiny_net

SIZE = (40, 36)  # of which no side is a multiple of the tiles'


class Counting(nn.Module):
    """Another network, and the pictures that it is given."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.calls = network, list[Tensor]()

    def forward(self, image_BCHW: Tensor) -> Tensor:
        self.calls.append(image_BCHW)
        logits_BK: Tensor = self.network(image_BCHW)
        return logits_BK


class Reading(nn.Module):
    """Sees these pixels alone; sure of class 0 where their mean exceeds a half."""

    def __init__(self, is_read_HW: Tensor, gain: float = 200.0) -> None:
        super().__init__()
        self.is_read_HW, self.gain = is_read_HW, gain

    def forward(self, image_BCHW: Tensor) -> Tensor:
        mean_B = image_BCHW[:, :, self.is_read_HW].mean((1, 2))
        return torch.stack([self.gain * (mean_B - 0.5), torch.zeros_like(mean_B)], 1)


def sharp_net() -> TinyNet:
    """Its probabilities move with the picture."""
    network = tiny_net()
    with torch.no_grad():
        network.fc.weight *= 40
    return network


def make_request(batch_size: int = 64, count: int = 2) -> ExplainRequest:
    generator = torch.Generator().manual_seed(3)
    coarse_BChw = torch.randn(count, 3, 5, 6, generator=generator) * 2
    image_BCHW = nn.functional.interpolate(coarse_BChw, SIZE, mode="bilinear")
    network = sharp_net()
    with torch.no_grad():
        target_B = network(image_BCHW).argmax(1)
    return ExplainRequest(network, image_BCHW, target_B, batch_size)


def heat(kind: str, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    if kind == "cells":
        return torch.rand(count, 5, 4, generator=generator)
    pixels_BHW = torch.rand(count, *SIZE, generator=generator)
    return pixels_BHW if kind == "pixels" else (4 * pixels_BHW).round()  # "ties"


def compute_figures(request: ExplainRequest, map_Bhw: Tensor) -> Faithfulness:
    with as_found(request.network):
        return measure(request, map_Bhw, find_endpoints(request))


def by_name(figures: Faithfulness) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in vars(figures).items()}


def literal(request: ExplainRequest, map_Bhw: Tensor, b: int) -> dict[str, float]:
    """METHODS 5.2 to 5.4, one picture and one state at a time."""
    image_CHW, target = request.image_BCHW[b], int(request.target_B[b])
    height, width = image_CHW.shape[1:]
    map_HW = enlarge(map_Bhw, (height, width))[b].double().numpy()

    def probability(picture_CHW: Tensor) -> float:
        with torch.no_grad():
            logits_K: Tensor = request.network(picture_CHW[None])[0]
        return float(logits_K.double().softmax(0)[target])

    def curve(start: Tensor, finish: Tensor, groups: list[list[tuple[int, int]]]) -> list[float]:
        """Groups of pixels are exchanged in this order, a twentieth of them a step."""
        values = []
        for step in range(STEPS + 1):
            picture_CHW = start.clone()
            for group in groups[: math.floor(len(groups) * step / STEPS + 0.5)]:
                for y, x in group:
                    picture_CHW[:, y, x] = finish[:, y, x]
            values.append(probability(picture_CHW))
        return values

    def area(values: list[float]) -> float:
        """(sum - first / 2 - last / 2) / (n - 1)."""
        return (sum(values) - values[0] / 2 - values[-1] / 2) / (len(values) - 1)

    zero, blur = torch.zeros_like(image_CHW), literal_blur(image_CHW)
    colour = image_CHW.mean((1, 2), keepdim=True).expand_as(image_CHW)
    pixels = [(y, x) for y in range(height) for x in range(width)]
    hottest = [[pixel] for pixel in sorted(pixels, key=lambda pixel: -map_HW[pixel])]
    tiles: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for y, x in pixels:
        tiles.setdefault((y * TILES // height, x * TILES // width), []).append((y, x))
    warmth = {tile: np.mean([map_HW[pixel] for pixel in tiles[tile]]) for tile in tiles}
    most = [tiles[tile] for tile in sorted(tiles, key=lambda tile: -warmth[tile])]
    least = [tiles[tile] for tile in sorted(tiles, key=lambda tile: warmth[tile])]
    deletion = curve(image_CHW, zero, hottest)
    scaled_HW = (map_HW - map_HW.min()) / (map_HW.max() - map_HW.min())
    clean, masked = probability(image_CHW), probability(image_CHW * torch.tensor(scaled_HW).float())
    return {
        "deletion_mean": area(deletion),
        "deletion_blur": area(curve(image_CHW, blur, hottest)),
        "insertion_mean": area(curve(zero, image_CHW, hottest)),
        "insertion_blur": area(curve(blur, image_CHW, hottest)),
        "morf": area(curve(image_CHW, colour, most)),
        "lerf": area(curve(image_CHW, colour, least)),
        "clean": clean,
        "degraded": probability(colour),
        "kept_30": deletion[6],
        "kept_60": deletion[12],
        "kept_90": deletion[18],
        "drop": max(0, clean - masked) / clean,
        "increase": float(clean < masked),
    }


def literal_blur(image_CHW: Tensor) -> Tensor:
    """11 x 11 pixels, sigma 5, zeros around."""
    weight = np.array(
        [[math.exp(-(i * i + j * j) / 50) for j in range(-5, 6)] for i in range(-5, 6)]
    )
    padded = np.pad(image_CHW.double().numpy(), ((0, 0), (5, 5), (5, 5)))
    blur_CHW = np.zeros(image_CHW.shape)
    for i in range(11):
        for j in range(11):
            part = padded[:, i : i + image_CHW.shape[1], j : j + image_CHW.shape[2]]
            blur_CHW += weight[i, j] / weight.sum() * part
    return torch.tensor(blur_CHW).float()


@pytest.mark.parametrize("kind", ["cells", "pixels", "ties"])
def test_figures_are_as_defined(kind: str) -> None:
    request, map_Bhw = make_request(batch_size=7), heat(kind)
    figures = by_name(compute_figures(request, map_Bhw))
    for b in range(2):
        for name, value in literal(request, map_Bhw, b).items():
            assert figures[name][b] == pytest.approx(value, abs=2e-5), (name, b)
    assert np.ptp([figures["deletion_mean"], figures["insertion_blur"]]) > 0.05  # they do move


def test_a_picture_alone_scores_the_same() -> None:
    request, map_Bhw = make_request(count=3), heat("cells", 3)
    together = by_name(compute_figures(request, map_Bhw))
    for b, batch_size in enumerate((1, 5, 200)):
        alone = replace(
            request,
            image_BCHW=request.image_BCHW[b : b + 1],
            target_B=request.target_B[b : b + 1],
            batch_size=batch_size,
        )
        for name, value in by_name(compute_figures(alone, map_Bhw[b : b + 1])).items():
            assert value[0] == pytest.approx(together[name][b], abs=1e-5), (name, b)


@pytest.mark.parametrize("batch_size", [1, 8, 50])
def test_calls_are_counted_and_within_the_batch_size(batch_size: int) -> None:
    network = Counting(sharp_net())
    request = replace(make_request(batch_size, count=3), network=network)
    ends = find_endpoints(request)
    assert sum(map(len, network.calls)) == 3 * 3 + 1
    network.calls.clear()
    with as_found(network):
        figures = measure(request, heat("cells", 3), ends)
    assert max(map(len, network.calls)) <= batch_size
    assert sum(map(len, network.calls)) == 3 * (6 * (STEPS - 1) + 1)
    assert not any(value.requires_grad for value in vars(figures).values())


def test_states_keep_the_memory_format_of_the_pictures() -> None:
    network = Counting(sharp_net())
    image_BCHW = make_request().image_BCHW.contiguous(memory_format=torch.channels_last)
    request = replace(make_request(), network=network, image_BCHW=image_BCHW)
    compute_figures(request, heat("cells"))
    for call in network.calls:
        assert call.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.4])
def test_maps_of_the_pixels_that_the_network_reads_score_as_in_theory(share: float) -> None:
    """It is sure until half of what it reads is gone: with the best map after half of its share.

    The mean colour says a little itself, so that more than half of the tiles have to go.
    """
    generator = torch.Generator().manual_seed(0)
    order_tu = torch.randperm(TILES * TILES, generator=generator).view(TILES, TILES)
    is_read_tu = order_tu < share * order_tu.numel()
    best_tu = is_read_tu + torch.rand(is_read_tu.shape, generator=generator)
    map_BHW = torch.stack([best_tu, 2 - best_tu, best_tu % 1])  # best, worst, no idea
    map_BHW, is_read_HW = (
        value.repeat_interleave(2, -1).repeat_interleave(2, -2) for value in (map_BHW, is_read_tu)
    )
    image_BCHW = torch.where(is_read_HW, 1.0, -0.5).expand(3, 1, -1, -1)
    target_B = torch.zeros(3, dtype=torch.long)
    figures = compute_figures(ExplainRequest(Reading(is_read_HW), image_BCHW, target_B), map_BHW)

    less = 1 / (3 * (1 - share))  # the mean colour is 1.5 share - 0.5
    for part, forth, back in ((0.5, "deletion_mean", "insertion_mean"), (less, "morf", "lerf")):
        first, last = share * part, 1 - share + share * part
        for name, expected in ((forth, [first, last]), (back, [last, first])):
            area_3 = getattr(figures, name).tolist()
            assert area_3[:2] == pytest.approx(expected, abs=0.5 / STEPS), name
            assert area_3[2] == pytest.approx(part, abs=0.06), name  # draws of 78 tiles or more
    assert figures.clean.tolist() == pytest.approx([1, 1, 1])
    assert figures.degraded.tolist() == pytest.approx([0, 0, 0])


def test_deleting_by_a_map_is_inserting_by_its_opposite() -> None:
    request, map_BHW = make_request(), heat("pixels")
    given, opposite = compute_figures(request, map_BHW), compute_figures(request, 1 - map_BHW)
    torch.testing.assert_close(given.deletion_mean, opposite.insertion_mean)
    torch.testing.assert_close(given.insertion_blur, opposite.deletion_blur)
    torch.testing.assert_close(given.morf, opposite.lerf)
    assert (given.morf - given.lerf).abs().min() > 1e-3


def test_kept_shares_are_exact() -> None:
    image_BCHW = torch.ones(1, 1, 20, 20)
    network = Reading(torch.ones(20, 20, dtype=torch.bool), gain=4.0)
    target_B = torch.zeros(1, dtype=torch.long)
    figures = compute_figures(ExplainRequest(network, image_BCHW, target_B), torch.rand(1, 20, 20))
    for gone in (30, 60, 90):
        left = torch.tensor(4 * ((100 - gone) / 100 - 0.5)).sigmoid().item()
        assert getattr(figures, f"kept_{gone}").item() == pytest.approx(left, abs=1e-6)


def test_a_constant_network_scores_every_map_alike() -> None:
    network = sharp_net()
    nn.init.zeros_(network.fc.weight)
    nn.init.zeros_(network.fc.bias)
    figures = by_name(compute_figures(replace(make_request(), network=network), heat("cells")))
    for name, value_B in figures.items():
        expected = 0 if name in ("drop", "increase") else 1 / 3
        assert value_B.tolist() == pytest.approx([expected] * 2), name


@pytest.mark.parametrize("cell", [None, float("nan"), float("inf")])
def test_a_constant_map_has_no_figures_and_affects_no_other(cell: float | None) -> None:
    request, map_Bhw = make_request(), heat("cells")
    expected = by_name(compute_figures(request, map_Bhw))
    map_Bhw[0] = 0 if cell is None else map_Bhw[0]
    map_Bhw[0, 2, 2] = cell or 0
    for name, value_B in by_name(compute_figures(request, map_Bhw)).items():
        assert np.isnan(value_B[0]), name
        assert value_B[1] == expected[name][1], name


def test_nan_in_a_picture_affects_no_other() -> None:
    request, map_Bhw = make_request(), heat("cells")
    expected = by_name(compute_figures(request, map_Bhw))
    request.image_BCHW[0, 1, 4, 4] = torch.nan
    figures = by_name(compute_figures(request, map_Bhw))
    for name in ("clean", "degraded", "deletion_mean", "insertion_blur", "drop", "increase"):
        assert np.isnan(figures[name][0]), name
    for name, value_B in figures.items():
        assert value_B[1] == expected[name][1], name


def test_the_scale_of_a_map_does_not_matter() -> None:
    request, map_Bhw = make_request(), heat("cells")
    expected = by_name(compute_figures(request, map_Bhw))
    for scale in (2.0**-60, 2.0**60):
        for name, value_B in by_name(compute_figures(request, scale * map_Bhw)).items():
            assert value_B.tolist() == expected[name].tolist(), name


def test_drop_and_increase_agree_with_pytorch_grad_cam() -> None:
    """Whose drop is not divided by the clean probability."""
    request, map_BHW = make_request(count=4), heat("pixels", 4)
    figures = compute_figures(request, map_BHW)
    low_B11, high_B11 = map_BHW.amin((1, 2), True), map_BHW.amax((1, 2), True)
    rival = (
        request.image_BCHW,
        ((map_BHW - low_B11) / (high_B11 - low_B11)).numpy(),
        [ClassifierOutputSoftmaxTarget(int(target)) for target in request.target_B],
        request.network,
    )
    drop_B, increase_B = DropInConfidence()(*rival), IncreaseInConfidence()(*rival)
    np.testing.assert_allclose(figures.drop * figures.clean, drop_B, atol=1e-6)
    np.testing.assert_array_equal(figures.increase, increase_B)
    assert drop_B.max() > 0.05


@pytest.mark.parametrize("gone", [30, 60, 90])
def test_kept_pixels_agree_with_pytorch_grad_cam(gone: int) -> None:
    """Its imputers see a picture and what is left of it; ours fills in the data's mean."""
    request, map_BHW = make_request(count=3), heat("pixels", 3)
    figures = compute_figures(request, map_BHW)
    remove = RemoveMostRelevantFirst(100 - gone, lambda picture, left: picture * left)
    targets = [ClassifierOutputSoftmaxTarget(int(target)) for target in request.target_B]
    kept_B = PerturbationConfidenceMetric(remove)(
        request.image_BCHW, map_BHW.numpy(), targets, request.network, return_diff=False
    )
    np.testing.assert_allclose(getattr(figures, f"kept_{gone}"), kept_B, atol=1e-6)


@pytest.mark.parametrize(("side", "window"), [(28, 11), (64, 11), (224, 11), (384, 19), (448, 23)])
def test_the_blur_widens_with_large_pictures_only(side: int, window: int) -> None:
    image_BCHW = torch.zeros(1, 2, side, side)
    image_BCHW[0, 0, side // 2, side // 2] = 1
    blur_BCHW = blur(image_BCHW)
    assert (blur_BCHW[0, 0] > 0).sum() == window**2
    assert blur_BCHW[0, 0].sum() == pytest.approx(1, abs=1e-5)
    assert blur_BCHW[0, 1].abs().max() == 0  # colours do not mix
    ratio = blur_BCHW[0, 0, side // 2, side // 2 + 1] / blur_BCHW[0, 0, side // 2, side // 2]
    assert ratio == pytest.approx(math.exp(-0.5 / (5 / 11 * window) ** 2))


def test_endpoints_are_the_same_for_every_map_and_keep_the_pictures() -> None:
    request = make_request()
    image_BCHW = request.image_BCHW.clone()
    with as_found(request.network):
        ends = find_endpoints(request)
        first = measure(request, heat("cells"), ends)
        measure(request, heat("pixels"), ends)
        again = measure(request, heat("cells"), ends)
    assert all(torch.equal(value, vars(again)[name]) for name, value in vars(first).items())
    assert torch.equal(request.image_BCHW, image_BCHW)
