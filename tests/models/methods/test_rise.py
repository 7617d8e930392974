"""RISE against its paper, against all possible masks, and within its batch size."""

from __future__ import annotations

import gc
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import UserError
from models.methods import rise as module
from models.methods.rise import average_masks, enlarge_masks, rise
from models.methods.settings import RiseSettings
from models.network.capture import as_found
from models.network.explain_request import ExplainRequest
from tests.support.networks import TinyNet, random_images, tiny_net

FEW = RiseSettings(masks=37, cells=4)
TARGET_B = torch.tensor([0, 2, 1, 1, 0])


def make_request(
    count: int = 3, batch_size: int = 8, network: nn.Module | None = None
) -> ExplainRequest:
    return ExplainRequest(
        network or tiny_net(), random_images(count, 16), TARGET_B[:count], batch_size
    )


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def literal(request: ExplainRequest, mask_NHW: Tensor, keep: float) -> np.ndarray:
    """Petsiuk et al. 2018, equation 6: S(x) = 1 / (N E[M]) sum_i f(I * M_i) M_i(x)."""
    maps = []
    for image_CHW, target in zip(request.image_BCHW, request.target_B.tolist(), strict=True):
        map_HW = np.zeros(image_CHW.shape[1:])
        for mask_HW in mask_NHW:
            with torch.no_grad():
                logits_1K = request.network((image_CHW * mask_HW)[None])
            map_HW += float(logits_1K.softmax(1)[0, target]) * mask_HW.numpy()
        maps.append(map_HW / (len(mask_NHW) * keep))
    return np.stack(maps)


def all_masks(request: ExplainRequest) -> Tensor:
    """Those that `rise` shows, from what the network is given of a picture of ones."""
    seen: list[Tensor] = []

    def keep(image_NCHW: Tensor) -> Tensor:
        seen.append(image_NCHW[:, 0].clone())
        return image_NCHW.new_zeros(len(image_NCHW), 3)

    ones = torch.ones_like(request.image_BCHW[:1])
    rise(ExplainRequest(keep, ones, TARGET_B[:1], request.batch_size), FEW)  # type: ignore[arg-type]
    return torch.cat(seen)


def test_the_map_is_the_papers_for_the_masks_drawn() -> None:
    request = make_request()
    mask_NHW = all_masks(request)
    assert mask_NHW.shape == (FEW.masks, 16, 16)
    expected_BHW = literal(request, mask_NHW, FEW.keep)
    expected_BHW -= expected_BHW.min((1, 2), keepdims=True)
    map_BHW = rise(request, FEW)
    assert map_BHW.dtype == torch.float32
    assert relative(map_BHW, torch.from_numpy(expected_BHW)) < 1e-5


@pytest.mark.parametrize("size", [(16, 16), (15, 22), (3, 50)])
@pytest.mark.parametrize("cells", [1, 3, 7])
def test_a_mask_is_an_enlargement_cropped_at_its_shift(size: tuple[int, int], cells: int) -> None:
    generator = torch.Generator().manual_seed(cells)
    kept_nss = torch.rand(5, cells, cells, generator=generator).round()
    widths = [-(-pixels // cells) for pixels in size]  # as in the authors' code
    shifts = [torch.randint(width, (5,), generator=generator) for width in widths]
    large_nHW = functional.interpolate(
        kept_nss[:, None], size=[(cells + 1) * width for width in widths], mode="bilinear"
    )[:, 0]
    cut = [
        mask_HW[row : row + size[0], column : column + size[1]]
        for mask_HW, row, column in zip(
            large_nHW, *(shift.tolist() for shift in shifts), strict=True
        )
    ]
    ours_nHW = enlarge_masks(kept_nss, torch.stack(shifts, 1).float(), size)
    torch.testing.assert_close(ours_nHW, torch.stack(cut), rtol=0, atol=1e-5)


def grid_masks() -> Tensor:
    """All 512 masks of 3x3 cells, of 2x2 pixels each, without a shift."""
    cells_N33 = torch.tensor(list(product([0.0, 1.0], repeat=9))).view(-1, 3, 3)
    return cells_N33.repeat_interleave(2, 1).repeat_interleave(2, 2)


@pytest.mark.parametrize("batch_size", [100, 512])
def test_all_masks_give_the_mean_score_where_a_pixel_is_seen(batch_size: int) -> None:
    """Equation 3 of the paper: S(x) = E[f(I * M) | M(x) = 1], here exactly."""
    request = ExplainRequest(tiny_net(), random_images(2, 6), TARGET_B[:2], batch_size)
    mask_NHW = grid_masks()
    expected_BHW = torch.zeros(2, 6, 6)
    for image, target in enumerate([0, 2]):
        with torch.no_grad():
            logits_NK = request.network(request.image_BCHW[image] * mask_NHW[:, None])
        score_N = logits_NK.softmax(1)[:, target]
        for y, x in product(range(6), range(6)):
            expected_BHW[image, y, x] = score_N[mask_NHW[:, y, x] == 1].mean()
    expected_BHW -= expected_BHW.amin((1, 2), keepdim=True)
    map_BHW = average_masks(request, torch.split(mask_NHW, batch_size), keep=0.5)
    assert relative(map_BHW, expected_BHW) < 1e-4


class Additive(nn.Module):
    """The probability of class 0 is a sum over pixels."""

    def __init__(self, share_HW: Tensor) -> None:
        super().__init__()
        self.share_HW = share_HW

    def forward(self, image_NCHW: Tensor) -> Tensor:
        first_N = (image_NCHW[:, 0] * self.share_HW).sum((1, 2))
        return torch.stack([first_N, 1 - first_N], 1).log()


def test_the_map_of_an_additive_network_is_each_pixels_part() -> None:
    share_HW = torch.rand(3, 3, generator=torch.Generator().manual_seed(0)) / 20 + 0.01
    ones = torch.ones(1, 3, 3, 3)
    mask_NHW = grid_masks()[1:, ::2, ::2]  # without the mask of nothing, whose logit is infinite
    request = ExplainRequest(Additive(share_HW), ones, torch.tensor([0]), 512)
    map_BHW = average_masks(request, [mask_NHW], keep=0.5)
    expected_HW = (share_HW - share_HW.min()) * (1 - 0.5) * 512 / 511
    torch.testing.assert_close(map_BHW[0], expected_HW, rtol=0, atol=1e-5)


def test_any_callable_is_explained_within_its_batch_size_without_a_gradient() -> None:
    calls: list[int] = []
    weight_PK = torch.randn(3 * 16 * 16, 3, generator=torch.Generator().manual_seed(0))

    def answer(image_NCHW: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        calls.append(len(image_NCHW))
        return (image_NCHW.detach().flatten(1) @ weight_PK).round()

    image_BCHW = random_images(3, 16)
    map_BHW = rise(ExplainRequest(answer, image_BCHW, TARGET_B[:3], 10), FEW)  # type: ignore[arg-type]
    assert map_BHW.shape == (3, 16, 16)
    assert not map_BHW.requires_grad
    assert (map_BHW.amax((1, 2)) > 0).all()
    assert max(calls) == 10
    assert sum(calls) == 3 * FEW.masks


def test_masks_are_made_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def note(kept_nss: Tensor, shift_n2: Tensor, size: tuple[int, int]) -> Tensor:
        made.append(len(kept_nss))
        return enlarge_masks(kept_nss, shift_n2, size)

    monkeypatch.setattr(module, "enlarge_masks", note)
    rise(make_request(batch_size=5), FEW)
    assert max(made) == 5
    assert sum(made) == FEW.masks  # once for all images


def test_an_image_depends_on_neither_batch_nor_batch_size() -> None:
    request = make_request(5, batch_size=8)
    together_BHW = rise(request, FEW)
    alone = ExplainRequest(request.network, request.image_BCHW[3:4], TARGET_B[3:4], 3)
    assert relative(rise(alone, FEW), together_BHW[3:4]) < 1e-5


def test_draws_depend_on_the_seed_alone() -> None:
    before = torch.random.get_rng_state()
    first = rise(make_request(), FEW)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3)
    assert torch.equal(rise(make_request(), FEW), first)
    assert not torch.equal(rise(make_request(), RiseSettings(masks=37, cells=4, seed=1)), first)


def test_channels_last_gives_the_same_and_reaches_the_network() -> None:
    request = make_request()
    last = request.image_BCHW.contiguous(memory_format=torch.channels_last)
    network = tiny_net().to(memory_format=torch.channels_last)
    seen: list[bool] = []
    network.register_forward_pre_hook(
        lambda _, args: seen.append(args[0].is_contiguous(memory_format=torch.channels_last))
    )
    map_BHW = rise(ExplainRequest(network, last, request.target_B, 8), FEW)
    assert all(seen)
    assert relative(map_BHW, rise(request, FEW)) < 1e-5


class Scaling(TinyNet):
    """Works in place on its input."""

    def forward(self, image_BCHW: Tensor) -> Tensor:
        return super().forward(image_BCHW.mul_(0.5).add_(0.1))


def test_a_network_that_changes_its_picture_gets_every_mask_anew() -> None:
    network = Scaling().eval()
    request = make_request(network=network)
    image_BCHW = request.image_BCHW.clone()
    expected_BHW = literal(request, all_masks(request), FEW.keep)
    expected_BHW -= expected_BHW.min((1, 2), keepdims=True)
    assert relative(rise(request, FEW), torch.from_numpy(expected_BHW)) < 1e-5
    assert torch.equal(request.image_BCHW, image_BCHW)


def test_nan_in_a_picture_is_in_its_own_map_alone() -> None:
    request = make_request()
    request.image_BCHW[1, 0, 3, 3] = torch.nan
    map_BHW = rise(request, FEW)
    assert map_BHW[1].isnan().all()
    assert map_BHW[[0, 2]].isfinite().all()


def test_nothing_is_kept_afterwards() -> None:
    request = make_request()
    gc.collect()
    before = sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())
    with as_found(request.network):
        rise(request, FEW)
    assert sum(issubclass(type(thing), Tensor) for thing in gc.get_objects()) == before


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"masks": 0}, "rise: masks=0: it must be from 1 to 1,000,000"),
        ({"cells": -1}, "rise: cells=-1: it must be from 1 to 1,024"),
        ({"keep": 0.0}, "rise: keep=0.0: it must lie between 0 and 1"),
        ({"keep": float("nan")}, "rise: keep=nan: it must lie between 0 and 1"),
    ],
)
def test_masks_that_cannot_be_drawn_are_refused(settings: dict[str, float], words: str) -> None:
    with pytest.raises(UserError) as caught:
        RiseSettings(**settings)  # type: ignore[arg-type]
    assert str(caught.value) == words
