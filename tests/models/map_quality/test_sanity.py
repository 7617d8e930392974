"""What a copy forgets and what it keeps; correlations beside scipy's; a method that fails."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from captum.attr import GuidedBackprop
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import Tensor, nn

from models.classifier.small_resnet import small_resnet
from models.map_quality.sanity import SHARES, Share, add_noise, randomise, rank_correlation
from models.methods.cam import grad_cam
from models.network.capture import capture
from models.network.grid import Grid
from tests.support.networks import network_and_images, tiny_net, tiny_transformer, torchvision_net

SHAPE = (3, 5, 7)
VECTORS = ("weight", "bias", "running_mean", "running_var")


def changed(network: nn.Module, other: nn.Module) -> list[str]:
    """Names of what differs in weights and buffers."""
    found = other.state_dict()
    return [name for name, value in network.state_dict().items() if not value.equal(found[name])]


def trained_vectors(network: nn.Module) -> nn.Module:
    """As after training: no vector holds one value throughout."""
    generator = torch.Generator().manual_seed(2)
    for value in network.state_dict().values():
        if value.ndim == 1:
            value.copy_(torch.rand(len(value), generator=generator) + 0.5)
    return network


@pytest.mark.parametrize(
    ("share", "modules"),
    [
        ("head", ["fc"]),
        ("half", ["last", "fc"]),
        ("whole", ["stem.0", "stem.1", "last", "fc"]),
    ],
)
def test_a_copy_is_randomised_from_the_last_module_down(share: Share, modules: list[str]) -> None:
    network = trained_vectors(tiny_net())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    names = changed(network, randomise(network, share, 0))
    of_modules = [name for name in before if name.rpartition(".")[0] in modules]
    assert names == [name for name in of_modules if "batches" not in name]
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    "name", ["resnet18", "squeezenet1_1", "swin", "vit", "vit_first", "convnext"]
)
def test_half_of_the_modules_is_the_upper_half(name: str) -> None:
    network, _ = network_and_images(name, 1)
    trained_vectors(network)
    held = [prefix for prefix, module in network.named_modules() if list(module.parameters(False))]
    forgotten = {one.rpartition(".")[0] for one in changed(network, randomise(network, "half", 0))}
    assert sorted(forgotten) == sorted(held[len(held) // 2 :])


def test_a_larger_share_randomises_the_same_and_more() -> None:
    network = trained_vectors(tiny_net())
    head, half, whole = (randomise(network, share, 3) for share in SHARES)
    assert set(changed(network, head)) < set(changed(network, half)) < set(changed(network, whole))
    for smaller, larger in ((head, half), (half, whole)):
        assert not set(changed(smaller, larger)) & set(changed(network, smaller))


def test_random_weights_depend_on_the_seed_alone() -> None:
    network = trained_vectors(tiny_net())
    state = torch.random.get_rng_state()
    first, again, other = (randomise(network, "whole", seed) for seed in (1, 1, 2))
    assert changed(first, again) == []
    assert changed(first, other) == changed(network, first)
    assert torch.random.get_rng_state().equal(state)


def test_weights_keep_their_scale_and_channels_their_gain_and_variance() -> None:
    network = trained_vectors(torchvision_net("resnet18"))
    forgetful = randomise(network, "whole", 0)
    found = dict(forgetful.named_modules())
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            weight, drawn = module.weight, found[name].get_parameter("weight")
            assert drawn.mean().abs() < 4 * weight.std() / weight.numel() ** 0.5
            scale = weight.square().mean().sqrt().item()
            assert drawn.std().item() == pytest.approx(scale, rel=0.05)
        if isinstance(module, nn.BatchNorm2d):
            before, after = (
                torch.stack([getattr(one, vector) for vector in VECTORS], 1).tolist()
                for one in (module, found[name])
            )
            assert sorted(before) == sorted(after) and before != after


@pytest.mark.parametrize(
    "name", ["resnet18", "squeezenet1_1", "mobilenet_v3_small", "densenet121", "vit"]
)
@pytest.mark.parametrize("share", SHARES)
def test_a_randomised_network_still_distinguishes_pictures(name: str, share: Share) -> None:
    network, image_BCHW = network_and_images(name, 4)
    forgetful = randomise(network, share, 0)
    with torch.no_grad():
        logits_BK, expected_BK = forgetful(image_BCHW), network(image_BCHW)
    assert logits_BK.isfinite().all()
    assert logits_BK.std(0).mean() > 1e-2 * expected_BK.std(0).mean()
    assert not forgetful.training


def test_buffers_that_were_not_learnt_stay() -> None:
    network = tiny_transformer("swin")
    names = changed(network, randomise(network, "whole", 0))
    assert names and not [name for name in names if "index" in name]


@given(seed=st.integers(0, 2**31), levels=st.sampled_from([2, 5, 1000]))
@settings(max_examples=40)
def test_rank_correlation_is_spearmans_of_the_magnitudes(seed: int, levels: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    map_Bhw, other_Bhw = (
        (torch.randn(SHAPE, generator=generator) * levels).round() / levels for _ in range(2)
    )
    found_B = rank_correlation(map_Bhw, other_Bhw)
    for b in range(len(map_Bhw)):
        expected = spearmanr(map_Bhw[b].abs().flatten(), other_Bhw[b].abs().flatten())
        np.testing.assert_allclose(found_B[b], expected.statistic, atol=1e-6)


def test_rank_correlation_of_a_map_with_itself_and_with_its_opposite() -> None:
    map_Bhw = torch.rand(SHAPE)
    np.testing.assert_allclose(rank_correlation(map_Bhw, -3 * map_Bhw), 1, atol=1e-6)
    np.testing.assert_allclose(rank_correlation(map_Bhw, 1 - map_Bhw), -1, atol=1e-6)


@pytest.mark.parametrize("cell", [0.0, 0.3, float("nan"), float("inf")])
def test_a_constant_map_has_no_correlation(cell: float) -> None:
    map_Bhw, other_Bhw = torch.rand(SHAPE), torch.rand(SHAPE)
    map_Bhw[1] = cell if cell < 1 else map_Bhw[1]
    map_Bhw[1, 0, 0] = cell
    for found_B in (rank_correlation(map_Bhw, other_Bhw), rank_correlation(other_Bhw, map_Bhw)):
        assert found_B.isnan().tolist() == [False, True, False]


def test_noise_is_the_same_for_every_image_in_units_of_its_deviation() -> None:
    image_BCHW = torch.randn(3, 3, 16, 20) * torch.tensor([1.0, 0.1, 7.0])[:, None, None, None]
    state = torch.random.get_rng_state()
    shift_BCHW = add_noise(image_BCHW, 4) - image_BCHW
    unit_BCHW = shift_BCHW / image_BCHW.std((1, 2, 3), keepdim=True)
    torch.testing.assert_close(unit_BCHW, unit_BCHW[:1].expand(3, -1, -1, -1), atol=1e-4, rtol=0)
    assert unit_BCHW.std().item() == pytest.approx(0.05, rel=0.1)
    assert add_noise(image_BCHW[1:2], 4).equal(add_noise(image_BCHW, 4)[1:2])
    assert not add_noise(image_BCHW, 5).equal(add_noise(image_BCHW, 4))
    assert torch.random.get_rng_state().equal(state)


@cache
def trained() -> tuple[nn.Module, Tensor]:
    """A network that tells bright squares from dark and from coloured ones, and such pictures."""
    generator = torch.Generator().manual_seed(0)
    shade_KC = torch.tensor([[2.0, 2, 2], [-2, -2, -2], [2, -2, 0]])
    label_N = torch.randint(0, 3, (512,), generator=generator)
    image_NCHW = 0.3 * torch.randn(512, 3, 32, 32, generator=generator)
    for image_CHW, label in zip(image_NCHW, label_N, strict=True):
        y, x = torch.randint(0, 24, (2,), generator=generator).tolist()
        image_CHW[:, y : y + 8, x : x + 8] += shade_KC[label][:, None, None]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = small_resnet(3)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    for step in range(40):
        some = slice(step % 15 * 32, step % 15 * 32 + 32)
        loss = nn.functional.cross_entropy(network(image_NCHW[some]), label_N[some])
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    network.eval()
    with torch.no_grad():
        right = network(image_NCHW[480:]).argmax(1) == label_N[480:]
    assert right.float().mean() > 0.9
    return network, image_NCHW[480:]


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
def test_random_weights_change_grad_cam_but_not_guided_backprop() -> None:
    """Adebayo et al. 2018, figure 2: the negative control."""
    network, image_BCHW = trained()
    with torch.no_grad():
        target_B = network(image_BCHW).argmax(1)

    def guided(network: nn.Module) -> Tensor:
        image = image_BCHW.clone().requires_grad_()
        shown_BCHW: Tensor = GuidedBackprop(network).attribute(image, target=target_B)
        return shown_BCHW.detach().abs().amax(1)

    def cam(network: nn.Module) -> Tensor:
        captured = capture(network, Grid("stage3", 4, 4), image_BCHW, target_B)
        return grad_cam(captured.activation_BDhw, captured.gradient_BDhw)

    forgetful = [randomise(network, "head", seed) for seed in range(5)]
    alike = {
        explain: torch.stack(
            [rank_correlation(explain(network), explain(other)) for other in forgetful]
        ).nanmean()
        for explain in (guided, cam)
    }
    assert alike[guided] > 0.8
    assert alike[cam] < 0.5
