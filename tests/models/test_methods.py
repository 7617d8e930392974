"""Every method of the registry: found by name, and the model as it was before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from networks import TinyNet, random_images, tiny_net
from torch import Tensor, nn

from models.capture import Capture, capture
from models.grid import Grid
from models.methods import LAYER_METHODS, METHODS, Method, MethodMistake, find_methods

LAST = Grid("last", 8, 8)
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())


def seen_by(method: Method, network: nn.Module, image_BCHW: Tensor) -> Capture:
    """A capture with all that the method reads."""
    return capture(network, LAST, image_BCHW, to_image=method.reads == "image")


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
    before = dict(all_of(used))
    map_Bhw = method.map_Bhw(seen_by(method, used, random_images(2, 16)))
    assert map_Bhw.shape == ((2, 8, 8) if method.reads == "layer" else (2, 16, 16))
    assert dict(all_of(used)) == before


@every_method
def test_a_method_leaves_the_model_as_found_after_an_exception(
    method: Method, used: TinyNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Tensor) -> Tensor:
        raise RuntimeError("out of memory")

    before = dict(all_of(used))
    with monkeypatch.context() as broken:
        broken.setattr(used.dropout, "forward", fail)  # after the layer's hook has run
        with pytest.raises(RuntimeError, match="out of memory"):
            method.map_Bhw(seen_by(method, used, random_images(2, 16)))
    assert dict(all_of(used)) == before


@every_method
def test_a_method_changes_nothing_that_was_captured(method: Method) -> None:
    seen = capture(tiny_net(), LAST, random_images(2, 16), to_image=True)
    copies = {name: value.clone() for name, value in vars(seen).items()}
    method.map_Bhw(seen)
    torch.testing.assert_close(vars(seen), copies, rtol=0, atol=0)


@every_method
def test_the_sign_rule_is_true(method: Method) -> None:
    map_Bhw = method.map_Bhw(seen_by(method, tiny_net(), random_images(4, 16)))
    assert method.sign == ("relu" if method.reads == "layer" else "absolute")
    assert (map_Bhw >= 0).all() == (method.name != "input_x_gradient")


@every_method
def test_a_map_does_not_depend_on_its_batch(method: Method) -> None:
    network, image_BCHW = tiny_net(), random_images(5, 16)
    together_Bhw = method.map_Bhw(seen_by(method, network, image_BCHW))
    alone_Bhw = method.map_Bhw(seen_by(method, network, image_BCHW[3:4]))
    torch.testing.assert_close(together_Bhw[3:4], alone_Bhw, rtol=1e-5, atol=1e-5)


def test_methods_are_found_by_name_in_the_order_asked() -> None:
    assert [method.name for method in find_methods(["layer_cam", "grad_cam"])] == [
        "layer_cam",
        "grad_cam",
    ]
    assert all(name == method.name for name, method in METHODS.items())


def test_an_unknown_method_names_the_nearest() -> None:
    with pytest.raises(MethodMistake) as caught:
        find_methods(["grad_cam", "gradcam"])
    assert str(caught.value) == (
        "unknown method 'gradcam' (did you mean 'grad_cam'?); "
        "known are 'grad_cam', 'grad_cam_pp', 'hires_cam', 'layer_cam', "
        "'saliency', 'input_x_gradient'"
    )


def test_methods_of_a_layer_are_those_that_need_no_gradient_of_the_image() -> None:
    assert LAYER_METHODS == ("grad_cam", "grad_cam_pp", "hires_cam", "layer_cam")
    seen = capture(tiny_net(), LAST, random_images(2, 16))
    for method in METHODS.values():
        if method.name in LAYER_METHODS:
            method.map_Bhw(seen)
        else:
            with pytest.raises(ValueError, match=f"{method.name} needs .* to_image=True"):
                method.map_Bhw(seen)
