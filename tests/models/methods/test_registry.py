"""Every method of the registry: found by name, and the model as it was before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.errors import UserError
from models.methods.maps import capture_for, check_methods, explain
from models.methods.registry import (
    LAYER_METHODS,
    PASS_METHODS,
    Method,
    NetworkMethod,
    PassMethod,
    find_method,
    find_methods,
)
from models.methods.settings import FAMILIES
from models.network.capture import Capture, as_found, capture
from models.network.explain_request import ExplainRequest
from models.network.grid import Grid
from models.network.statistics import Moments
from tests.support.networks import TinyNet, random_images, tiny_net

LAST = Grid("last", 8, 8)
QUICK = {
    "rise": "rise:masks=20",
    "integrated_gradients": "integrated_gradients:steps=4",
    "smooth_grad": "smooth_grad:draws=3",
}
CAPTUM = ("captum:GuidedBackprop", "captum:LayerGradCam", "captum:GradientShap:n_samples=2")
EVERY = [
    *PASS_METHODS.values(),
    *(find_method(QUICK.get(name, name)) for name in FAMILIES),
    *map(find_method, CAPTUM),
]
every_method = pytest.mark.parametrize("method", EVERY, ids=[method.name for method in EVERY])
pass_method = pytest.mark.parametrize("method", PASS_METHODS.values(), ids=PASS_METHODS.keys())


def make_request(network: nn.Module, image_BCHW: Tensor) -> ExplainRequest:
    """A request with all that any method may need."""
    captured = capture(network, LAST, random_images(20, 16))
    target_B = torch.arange(len(image_BCHW)) % 3
    statistics = Moments.of(captured.activation_BDhw).statistics()
    return ExplainRequest(network, image_BCHW, target_B, grid=LAST, statistics=statistics)


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> TinyNet:
    """A network as a training script leaves it: modes and flags mixed, a gradient, a hook."""
    network = tiny_net().train()
    network.stem[1].eval()  # a BatchNorm kept still
    network.fc.bias.requires_grad_(False)
    network(random_images(4, 16)).sum().backward()
    network.last.register_forward_hook(lambda *_: None)

    def train(mode: bool = True) -> nn.Module:
        assert not mode, "the user's own train() may do more than set the mode"
        return nn.Module.train(network.stem, mode)

    monkeypatch.setattr(network.stem, "train", train)
    return network


def all_of(network: nn.Module) -> Iterator[tuple[str, Any]]:
    """All that a method could leave behind, by name."""
    for name, module in network.named_modules():
        yield f"{name} mode", module.training
        yield f"{name} attributes", sorted(vars(module))
        yield f"{name} forward hooks", list(module._forward_hooks.values())
        yield f"{name} other hooks", len(module._forward_pre_hooks) + len(module._backward_hooks)
    for name, weight in network.named_parameters():
        yield f"{name} flag", weight.requires_grad
        yield f"{name} gradient", None if weight.grad is None else weight.grad.tolist()
    for name, value in network.state_dict().items():
        yield f"{name} place", value.data_ptr()
        yield f"{name} numbers", value.tolist()
    yield "grad mode", torch.is_grad_enabled()
    yield "random state", torch.random.get_rng_state().tolist()


@every_method
def test_a_method_leaves_the_model_as_found(method: Method, used: TinyNet) -> None:
    request = make_request(used, random_images(2, 16))
    before = dict(all_of(used))
    map_Bhw = explain(method, request)
    assert map_Bhw.shape[0] == 2
    assert map_Bhw.dtype == torch.float32
    assert dict(all_of(used)) == before


@every_method
def test_a_method_leaves_the_model_as_found_after_an_exception(
    method: Method, used: TinyNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Tensor) -> Tensor:
        raise RuntimeError("out of memory")

    request = make_request(used, random_images(2, 16))
    before = dict(all_of(used))
    with monkeypatch.context() as broken:
        broken.setattr(used.dropout, "forward", fail)  # after the layer's hook has run
        with pytest.raises(RuntimeError, match="out of memory"):
            explain(method, request)
    assert dict(all_of(used)) == before


@pass_method
def test_a_method_changes_nothing_that_was_captured(method: PassMethod) -> None:
    captured = capture(tiny_net(), LAST, random_images(2, 16), to_image=True, biases=True)
    copies = [value.clone() for value in tensors_of(captured)]
    method.map_Bhw(captured)
    torch.testing.assert_close(tensors_of(captured), copies, rtol=0, atol=0)


def tensors_of(captured: Capture) -> list[Tensor]:
    tensors = [value for value in vars(captured).values() if isinstance(value, Tensor)]
    return [*tensors, *(tensor for term in captured.terms for tensor in term)]


@every_method
def test_the_sign_rule_holds(method: Method) -> None:
    map_Bhw = explain(method, make_request(tiny_net(), random_images(4, 16)))
    if method.sign == "relu":
        assert (map_Bhw >= 0).all()
    elif not method.name.startswith(("saliency", "smooth_grad")):
        assert (map_Bhw < 0).any()


@every_method
def test_a_map_does_not_depend_on_its_batch(method: Method) -> None:
    network, image_BCHW = tiny_net(), random_images(5, 16)
    together_Bhw = explain(method, make_request(network, image_BCHW))
    request = make_request(network, image_BCHW)
    alone = ExplainRequest(
        network, image_BCHW[3:4], request.target_B[3:4], 2, grid=LAST, statistics=request.statistics
    )
    alone_Bhw = explain(method, alone)
    largest = float(together_Bhw[3].abs().max())
    torch.testing.assert_close(together_Bhw[3:4], alone_Bhw, rtol=0, atol=1e-5 * largest)


@every_method
def test_a_map_alone_is_the_map_of_the_shared_pass(method: Method) -> None:
    network, image_BCHW = tiny_net(), random_images(3, 16)
    request = make_request(network, image_BCHW)
    captured = capture_for(EVERY, network, LAST, image_BCHW, request.target_B)
    with as_found(network):
        fused_Bhw = (
            method.map_Bhw(captured)
            if isinstance(method, PassMethod)
            else method.map_Bhw(request)
            if isinstance(method, NetworkMethod)
            else None
        )
    torch.testing.assert_close(explain(method, request), fused_Bhw)


def test_one_forward_and_one_backward_give_every_map_of_the_pass() -> None:
    network = tiny_net()
    passes = {"forward": 0, "backward": 0}
    network.fc.register_forward_hook(lambda *_: passes.update(forward=passes["forward"] + 1))

    def count(*_: object) -> None:
        passes["backward"] += 1

    network.stem.register_full_backward_hook(count)
    captured = capture_for(list(PASS_METHODS.values()), network, LAST, random_images(2, 16))
    for method in PASS_METHODS.values():
        method.map_Bhw(captured)
    assert passes == {"forward": 1, "backward": 1}


def test_methods_are_found_by_name_in_order() -> None:
    names = [
        "layer_cam",
        "rise:masks=500",
        "grad_cam",
        "captum:Occlusion:sliding_window_shapes=3x4x4",
    ]
    assert [method.name for method in find_methods(names)] == names


def test_the_shortest_name_is_the_methods_own() -> None:
    assert find_method("rise:masks=4000").name == "rise"
    assert find_method("rise:seed=1:masks=20").name == "rise:masks=20:seed=1"
    assert find_method("rise:keep=0.50").name == "rise"


def test_a_specification_holds_every_argument() -> None:
    assert find_method("grad_cam").specification == ["grad_cam", 1]
    (name, _, settings) = find_method("rise:masks=20").specification
    assert name == "rise:masks=20"
    assert settings == {"masks": 20, "cells": 7, "keep": 0.5, "seed": 0}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("gradcam", "unknown method 'gradcam' (did you mean 'grad_cam'?); known are 'grad_cam'"),
        ("grad_cam:seed=1", "method grad_cam takes no arguments, got 'seed=1': drop them"),
        ("rise:mask=5", "method rise has no argument 'mask' (did you mean 'masks'?); it takes"),
        ("rise:masks=many", "method rise: masks=many is not of type int"),
        ("rise:masks", "arguments 'masks' are not understood at 'masks': write each once, as"),
        ("rise:masks=1:masks=2", "arguments 'masks=1:masks=2' are not understood at 'masks=2'"),
        ("rise:masks=0", "rise: masks=0: it must be from 1 to 1,000,000"),
        ("captum:GradCAM", "Captum has no method 'GradCAM'"),
        ("captum:Saliency:strides=1", "captum:Saliency takes no 'strides'"),
    ],
)
def test_invalid_names_are_refused_in_one_line(name: str, line: str) -> None:
    with pytest.raises(UserError) as caught:
        find_method(name)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_methods_of_a_layer_need_no_gradient_of_the_image() -> None:
    assert LAYER_METHODS == ("grad_cam", "grad_cam_pp", "hires_cam", "layer_cam")
    captured = capture(tiny_net(), LAST, random_images(2, 16))
    for method in PASS_METHODS.values():
        if method.name in LAYER_METHODS:
            method.map_Bhw(captured)
        else:
            with pytest.raises(ValueError, match=f"{method.name} needs .* to_image=True"):
                method.map_Bhw(captured)


def test_methods_that_need_a_layer_are_refused_without_one() -> None:
    check_methods(find_methods(["rise", "full_grad"]), tiny_net(), None, random_images(1, 16))
    for name in ("grad_cam", "captum:LayerGradCam"):
        with pytest.raises(UserError, match=f"method {name} needs a layer with cells, and none"):
            check_methods([find_method(name)], tiny_net(), None, random_images(1, 16))


class Steps(nn.Module):
    """No gradient comes through."""

    def forward(self, image_BCHW: Tensor) -> Tensor:
        return (image_BCHW.mean((2, 3)) > 0).float()


def test_methods_that_need_a_gradient_are_refused_without_one() -> None:
    check_methods([find_method("rise")], Steps(), None, random_images(1, 16))
    with pytest.raises(UserError, match="without one, such as rise"):
        check_methods([find_method("vjp")], Steps(), None, random_images(1, 16))
