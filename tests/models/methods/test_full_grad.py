"""FullGrad: completeness, the authors' own sum again, and what pytorch-grad-cam shares with it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pytest
import timm
import torch
import torchvision
from pytorch_grad_cam import FullGrad
from torch import Tensor, nn
from torch.nn import functional

from models.classifier.small_resnet import small_resnet
from models.methods.full_grad import full_grad, sum_contributions
from models.network.bias_terms import Term, bias_of, bias_outputs, biased_layers, term_of
from models.network.capture import as_found
from tests.support.networks import (
    TinyNet,
    random_images,
    tiny_net,
    tiny_transformer,
    torchvision_net,
)

Net = TypeVar("Net", bound=nn.Module)


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def unsettled(network: Net) -> Net:
    """With numbers of a network that has learnt: no bias is zero, no statistics are those of 0."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) / 5)
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
        bias = getattr(module, "bias", None)
        if isinstance(bias, Tensor):
            nn.init.normal_(bias, std=0.1, generator=generator)
    return network.eval()


def capture_terms(
    network: nn.Module, image_BCHW: Tensor, target_B: Tensor
) -> tuple[Tensor, Tensor, list[Term]]:
    """The logits, the picture's gradient and the terms, from one forward and one backward."""
    image_BCHW = image_BCHW.clone().requires_grad_(True)
    with as_found(network), bias_outputs(network) as edges:
        logit_B = network(image_BCHW.clone()).gather(1, target_B[:, None])[:, 0]
        sources: Any = [image_BCHW, *(place for _, place in edges)]
        first, *found = torch.autograd.grad(logit_B.sum(), sources, allow_unused=True)
        modules = [module for module, _ in edges]
    pairs = zip(modules, found, strict=True)
    terms = [term_of(module, gradient) for module, gradient in pairs if gradient is not None]
    return logit_B.detach(), first, terms


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "tiny": tiny_net,
    "small_resnet": lambda: small_resnet(4),
    "resnet18": lambda: torchvision_net("resnet18"),
    "vgg_bn": lambda: nn.Sequential(
        torchvision.models.vgg.make_layers([8, "M", 16, 16, "M", 24, "M"], batch_norm=True),
        *(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(24 * 16, 64), nn.ReLU(inplace=True)),
        *(nn.Dropout(), nn.Linear(64, 3)),
    ),
    "densenet": lambda: torchvision.models.DenseNet(8, (2, 2), 8, num_classes=3),
    "googlenet": lambda: torchvision.models.GoogLeNet(3, aux_logits=False, init_weights=False),
    "shufflenet": lambda: torchvision_net("shufflenet_v2_x0_5"),
    "frozen": lambda: torchvision.models.resnet18(norm_layer=torchvision.ops.FrozenBatchNorm2d),
    "timm": lambda: timm.create_model("regnetx_002", num_classes=3),  # norms that hold their ReLU
}


@pytest.mark.parametrize("name", NETWORKS)
def test_contributions_add_up_to_the_logit(name: str) -> None:
    """Srinivas and Fleuret 2019, proposition 1, in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = unsettled(NETWORKS[name]()).double()
    image_BCHW, target_B = random_images(2, 64).double(), torch.tensor([0, 2])
    logit_B, gradient_BCHW, terms = capture_terms(network, image_BCHW, target_B)
    total_B = sum_contributions(image_BCHW, gradient_BCHW, terms)
    torch.testing.assert_close(total_B, logit_B, rtol=1e-9, atol=1e-9)
    only_image_B = (image_BCHW * gradient_BCHW).sum((1, 2, 3))
    assert (only_image_B - logit_B).abs().min() > 1e-3  # biases do count


def literal(image_BCHW: Tensor, gradient_BCHW: Tensor, terms: list[Term]) -> Tensor:
    """The authors' code again (idiap/fullgrad-saliency, fullgrad.py), image by image, but with
    cells that fill the picture where theirs have the outer ones centred on its edges."""

    def scaled(value_DHW: Tensor) -> Tensor:
        value_DHW = value_DHW.abs()
        value_DHW = value_DHW - value_DHW.min()
        return value_DHW / value_DHW.max() if value_DHW.max() > 0 else value_DHW

    maps = []
    for image, gradient in enumerate(gradient_BCHW):
        map_HW = scaled(gradient * image_BCHW[image]).sum(0)
        for bias_D, gradient_BDhw in terms:
            if gradient_BDhw.ndim == 4:
                term_Dhw = scaled(gradient_BDhw[image] * bias_D[:, None, None])
                large_1DHW = functional.interpolate(
                    term_Dhw[None], size=map_HW.shape, mode="bilinear", align_corners=False
                )
                map_HW = map_HW + large_1DHW[0].sum(0)
        maps.append(map_HW)
    return torch.stack(maps)


@pytest.mark.parametrize("name", ["tiny", "small_resnet", "vgg_bn", "densenet"])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_map_is_what_the_authors_sum(name: str, memory_format: torch.memory_format) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = unsettled(NETWORKS[name]()).to(memory_format=memory_format)
    image_BCHW = random_images(3, 32).contiguous(memory_format=memory_format)
    _, gradient_BCHW, terms = capture_terms(network, image_BCHW, torch.tensor([0, 2, 1]))
    terms.append((torch.ones(4), torch.zeros(3, 4, 5, 5)))  # that says nothing
    map_BHW = full_grad(image_BCHW, gradient_BCHW, iter(terms))
    assert map_BHW.shape == (3, 32, 32)
    assert (map_BHW >= 0).all()
    assert relative(map_BHW, literal(image_BCHW, gradient_BCHW, terms)) < 1e-5


def test_gradients_are_those_of_the_outputs_themselves() -> None:
    """Against hooks that copy each output, which nothing can overwrite."""
    network, image_BCHW = unsettled(small_resnet(4)), random_images(2, 32)
    target_B = torch.tensor([0, 3])
    _, _, terms = capture_terms(network, image_BCHW, target_B)
    outputs: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor) -> Tensor:
        outputs.append(output)
        return output.clone()

    layers = [*biased_layers(network).values()]
    handles = [layer.register_forward_hook(keep) for layer in layers]
    logits_BK = network(image_BCHW.clone().requires_grad_(True))
    expected = torch.autograd.grad(logits_BK.gather(1, target_B[:, None]).sum(), outputs)
    for handle in handles:
        handle.remove()
    assert len(terms) == len(expected) == len(layers) == 11
    for (_, gradient), theirs in zip(terms, expected, strict=True):
        torch.testing.assert_close(gradient, theirs)


class Overwriting(nn.Module):
    """A ReLU that overwrites a view; a layer that runs twice; a layer that leads nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torchvision.models.convnext.LayerNorm2d(3)
        self.conv = nn.Conv2d(3, 3, 3, 1, 1)
        self.aside = nn.Conv2d(3, 3, 1)
        self.fc = nn.Linear(3, 3)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        self.aside(image_BCHW)
        x_BCHW = functional.relu(self.norm(image_BCHW), inplace=True)
        x_BCHW = functional.relu(self.conv(self.conv(x_BCHW)), inplace=True)
        x_BhwD = functional.relu(self.fc(x_BCHW.permute(0, 2, 3, 1)), inplace=True)
        logits_BK: Tensor = x_BhwD.mean((1, 2))
        return logits_BK


def test_layers_may_be_views_run_twice_or_not_reach_the_logits() -> None:
    torch.manual_seed(0)
    network = unsettled(Overwriting())
    nn.init.ones_(network.norm.bias)
    image_BCHW = random_images(2, 8)
    _, gradient_BCHW, terms = capture_terms(network, image_BCHW, torch.tensor([0, 1]))
    assert [gradient.shape for _, gradient in terms] == [(2, 3, 8, 8)] * 4
    biases = [network.norm.bias, network.conv.bias, network.conv.bias, network.fc.bias]
    assert all(torch.equal(term[0], bias) for term, bias in zip(terms, biases, strict=True))
    for place, layer in enumerate([network.norm, network.conv, network.conv, network.fc]):
        total_D = terms[place][1].sum((0, 2, 3))
        if layer is network.conv:
            total_D = terms[1][1].sum((0, 2, 3)) + terms[2][1].sum((0, 2, 3))
        logits_BK = network(image_BCHW)
        score = logits_BK[0, 0] + logits_BK[1, 1]
        (expected_D,) = torch.autograd.grad(score, layer.bias)
        torch.testing.assert_close(total_D, expected_D)
    assert full_grad(image_BCHW, gradient_BCHW, terms).isfinite().all()


def test_the_bias_of_a_batch_norm_is_what_it_gives_for_zero() -> None:
    for norm in (nn.BatchNorm2d(5), nn.BatchNorm2d(5, affine=False)):
        layer = unsettled(norm)
        bias_D = bias_of(layer)
        assert bias_D is not None
        assert not bias_D.requires_grad
        torch.testing.assert_close(bias_D, layer(torch.zeros(1, 5, 1, 1))[0, :, 0, 0].detach())


def test_layers_without_a_bias_have_none() -> None:
    without = [nn.Conv2d(3, 3, 1, bias=False), nn.Linear(3, 3, bias=False), nn.ReLU(), TinyNet()]
    assert [bias_of(module) for module in without] == [None] * 4
    assert bias_of(nn.BatchNorm2d(3, affine=False, track_running_stats=False)) is None
    norm = nn.GroupNorm(1, 3)
    found = bias_of(norm)
    assert found is not None
    assert found.data_ptr() == norm.bias.data_ptr()
    assert [*biased_layers(small_resnet(4))] == [
        "stem.1",
        *(f"stage{stage}.{name}" for stage in (1, 2, 3) for name in ("bn1", "bn2", "shortcut.1")),
        "fc",
    ]
    with pytest.raises(ValueError, match="ReLU adds no bias"):
        term_of(nn.ReLU(), torch.zeros(1))


@pytest.mark.parametrize("name", ["vit", "vit_first", "swin", "convnext"])
def test_transformers_have_maps_though_they_do_not_add_up(name: str) -> None:
    network = unsettled(tiny_transformer(name))
    image_BCHW = random_images(2, 32)
    _, gradient_BCHW, terms = capture_terms(network, image_BCHW, torch.tensor([0, 1]))
    map_BHW = full_grad(image_BCHW, gradient_BCHW, terms)
    assert map_BHW.shape == (2, 32, 32)
    assert map_BHW.isfinite().all()
    planes = sum(gradient.ndim == 4 for _, gradient in terms)
    assert planes == {"vit": 1, "vit_first": 1}.get(name, len(terms) - 1)  # the head has no place
    assert all(len(bias_D) == gradient.shape[1] for bias_D, gradient in terms)


class Single(nn.Module):
    """One channel everywhere, so that a channel's range is a term's."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 1, 3, 2, 1), nn.BatchNorm2d(1), nn.ReLU()),
            *(nn.Conv2d(1, 1, 3, 1, 1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)),
        )

    def forward(self, image_BCHW: Tensor) -> Tensor:
        logits_BK: Tensor = self.layers(image_BCHW)
        return logits_BK


def test_of_one_channel_the_map_is_that_of_pytorch_grad_cam() -> None:
    """It scales each channel by itself and the whole map at the end; otherwise it is the same."""
    torch.manual_seed(1)
    network = unsettled(Single())
    image_BCHW = random_images(2, 16)[:, :1].contiguous()
    _, gradient_BCHW, terms = capture_terms(network, image_BCHW, torch.tensor([0, 1]))
    map_BHW = full_grad(image_BCHW, gradient_BCHW, terms)
    low_B11, high_B11 = map_BHW.amin((1, 2), keepdim=True), map_BHW.amax((1, 2), keepdim=True)
    with FullGrad(model=network, target_layers=[]) as rival:
        targets = [lambda logits_K: logits_K[0], lambda logits_K: logits_K[1]]
        theirs_BHW = torch.from_numpy(rival(input_tensor=image_BCHW, targets=targets))
    assert relative((map_BHW - low_B11) / (high_B11 - low_B11), theirs_BHW) < 1e-4


def test_biases_and_gradients_are_those_of_pytorch_grad_cam() -> None:
    network, image_BCHW = unsettled(torchvision_net("resnet18")), random_images(2, 64)
    _, _, terms = capture_terms(network, image_BCHW, torch.tensor([0, 1]))
    with FullGrad(model=network, target_layers=[]) as rival:
        rival(input_tensor=image_BCHW, targets=[lambda k: k[0], lambda k: k[1]])
        theirs = zip(rival.bias_data, rival.activations_and_grads.gradients, strict=True)
        kept = [(torch.from_numpy(bias_D), gradient) for bias_D, gradient in theirs]
    ours = [term for term in terms if term[1].ndim == 4]
    assert len(ours) == len(kept) == 20
    left, right = [
        sorted(float((g.sum((2, 3)) @ b).sum()) for b, g in each) for each in (ours, kept)
    ]
    np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-5)


def test_an_image_does_not_depend_on_its_batch() -> None:
    network, image_BCHW = unsettled(small_resnet(4)), random_images(4, 32)
    target_B = torch.tensor([0, 1, 2, 3])
    _, gradient_BCHW, terms = capture_terms(network, image_BCHW, target_B)
    together_BHW = full_grad(image_BCHW, gradient_BCHW, terms)
    _, alone_BCHW, alone_terms = capture_terms(network, image_BCHW[2:3], target_B[2:3])
    alone_BHW = full_grad(image_BCHW[2:3], alone_BCHW, alone_terms)
    assert relative(alone_BHW, together_BHW[2:3]) < 1e-5


def test_nan_in_a_gradient_is_in_its_own_map() -> None:
    network, image_BCHW = unsettled(small_resnet(4)), random_images(3, 32)
    _, gradient_BCHW, terms = capture_terms(network, image_BCHW, torch.tensor([0, 1, 2]))
    terms[2][1][1, 0, 0, 0] = torch.nan
    map_BHW = full_grad(image_BCHW, gradient_BCHW, terms)
    assert map_BHW[1].isnan().any()
    assert map_BHW[[0, 2]].isfinite().all()


def test_hooks_and_tensors_are_released_also_after_an_exception() -> None:
    network = tiny_net()
    gc.collect()
    before = sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())
    with pytest.raises(RuntimeError, match="out of memory"), bias_outputs(network) as edges:
        network(random_images(1, 16).requires_grad_(True))
        assert len(edges) == 4
        raise RuntimeError("out of memory")
    assert not any(module._forward_hooks for module in network.modules())
    assert edges == []
    gc.collect()
    assert sum(issubclass(type(thing), Tensor) for thing in gc.get_objects()) == before
