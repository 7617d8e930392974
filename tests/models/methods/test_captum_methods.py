"""Captum's attributions by name: the same numbers, the model as it was, refusals in one line."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.errors import UserError
from models.methods.captum_methods import CaptumMethod, captum_method, explain
from models.methods.path_gradients import integrated_gradients
from models.methods.registry import PASS_METHODS
from models.methods.settings import IntegratedGradientsSettings
from models.network.capture import as_found, capture
from models.network.explain_request import ExplainRequest
from models.network.grid import Grid
from models.network.layers import find_grid
from tests.support.networks import (
    TinyNet,
    random_images,
    tiny_net,
    tiny_transformer,
    torchvision_net,
)

LAST = Grid("last", 8, 8)
TARGET_B = torch.tensor([0, 2, 1, 1, 0])
CELLS = {"feature_mask": "4x4"}
ASKED: dict[str, dict[str, str]] = {  # all that works on the small network
    "Deconvolution": {},
    "DeepLift": {},
    "FeatureAblation": CELLS,
    "GradientShap": {"stdevs": "0.1"},
    "GuidedBackprop": {},
    "GuidedGradCam": {},
    "InputXGradient": {},
    "IntegratedGradients": {"n_steps": "6"},
    "InternalInfluence": {"n_steps": "6"},
    "KernelShap": CELLS,
    "LRP": {},
    "LayerConductance": {"n_steps": "6"},
    "LayerDeepLift": {},
    "LayerFeatureAblation": {},
    "LayerGradCam": {},
    "LayerGradientShap": {},
    "LayerGradientXActivation": {},
    "LayerLRP": {},
    "Occlusion": {"sliding_window_shapes": "3x8x8", "strides": "3x4x4"},
    "Saliency": {},
    "ShapleyValueSampling": CELLS | {"n_samples": "3"},
}
every_method = pytest.mark.parametrize("name", ASKED)


def make_request(
    count: int = 3, batch_size: int = 8, network: nn.Module | None = None, grid: Grid | None = LAST
) -> ExplainRequest:
    return ExplainRequest(
        network or tiny_net(), random_images(count, 16), TARGET_B[:count], batch_size, grid
    )


def maps_of(request: ExplainRequest, name: str, **arguments: str) -> Tensor:
    with as_found(request.network):
        return explain(request, captum_method(name, ASKED.get(name, {}) | arguments))


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def all_of(network: nn.Module) -> Iterator[tuple[str, Any]]:
    """All that a method could leave behind, by name."""
    for name, module in network.named_modules():
        for key, value in vars(module).items():
            hooks = isinstance(value, dict) and "hooks" in key
            yield f"{name}.{key}", list(value.items()) if hooks else id(value)
        yield f"{name} attributes", sorted(vars(module))
        yield f"{name} children", [id(child) for child in module.children()]
    for name, weight in network.named_parameters():
        yield f"{name} flag", weight.requires_grad
        yield f"{name} gradient", None if weight.grad is None else weight.grad.tolist()
    for name, value in network.state_dict().items():
        yield f"{name} place", value.data_ptr()
        yield f"{name} numbers", value.numpy().tobytes()
    yield "grad mode", torch.is_grad_enabled()
    yield "random state", torch.random.get_rng_state().tolist()
    yield "numpy's random state", repr(np.random.get_state())
    yield "filters", list(warnings.filters)


@pytest.fixture
def used() -> TinyNet:
    """A network as a training script leaves it: modes mixed, a gradient, hooks of its own."""
    network = tiny_net().train()
    network.stem[1].eval()
    network.fc.bias.requires_grad_(False)
    network(random_images(4, 16)).sum().backward()
    network.last.register_forward_hook(lambda *_: None)
    network.fc.register_full_backward_hook(lambda *_: None)
    return network


@every_method
def test_a_method_leaves_the_model_as_found(name: str, used: TinyNet) -> None:
    before = dict(all_of(used))
    request = make_request(network=used)
    image_BCHW = request.image_BCHW.clone()
    map_Bhw = maps_of(request, name)
    in_layer = name.startswith("Layer") or name == "InternalInfluence"
    assert map_Bhw.shape == ((3, 8, 8) if in_layer else (3, 16, 16))
    assert map_Bhw.dtype == torch.float32
    assert not map_Bhw.requires_grad
    assert (map_Bhw.abs().amax((1, 2)) > 0).all()
    assert torch.equal(request.image_BCHW, image_BCHW)
    assert not request.image_BCHW.requires_grad
    assert dict(all_of(used)) == before


@every_method
def test_a_method_leaves_the_model_as_found_after_a_failure(
    name: str, used: TinyNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dict(all_of(used))
    passes = iter(range(100))

    def fail(image_BCHW: Tensor) -> Tensor:
        if next(passes) >= name.endswith("LRP"):  # once its weights are exchanged
            raise KeyError("broken on the way")
        return image_BCHW

    with monkeypatch.context() as broken:
        broken.setattr(used.dropout, "forward", fail)
        with pytest.raises(UserError, match=f"captum:{name} does not work on this network"):
            maps_of(make_request(network=used), name)
    assert dict(all_of(used)) == before


def test_hooks_of_the_user_can_still_be_removed_afterwards() -> None:
    network, calls = tiny_net(), []
    handle = network.last.register_forward_hook(lambda *_: calls.append(1))
    maps_of(make_request(network=network), "DeepLift")
    calls.clear()
    handle.remove()
    network(random_images(1, 16))
    assert calls == []
    assert not network.last._forward_hooks


@every_method
def test_an_image_does_not_depend_on_its_batch(name: str) -> None:
    network = tiny_net()
    together_Bhw = maps_of(make_request(5, network=network), name)
    alone = ExplainRequest(network, random_images(5, 16)[3:4], TARGET_B[3:4], 8, LAST)
    assert relative(maps_of(alone, name), together_Bhw[3:4]) < 1e-5


@every_method
def test_calls_fit_the_batch_size(name: str) -> None:
    network, calls = tiny_net(), []
    network.register_forward_pre_hook(lambda _, args: calls.append(len(args[0])))
    maps_of(make_request(5, batch_size=6, network=network), name)
    assert max(calls) <= 6


def test_maps_are_what_captum_gives_summed_over_colours_or_channels() -> None:
    """Against Captum itself, written out in full, on a network of its own."""
    request, network = make_request(batch_size=64), tiny_net()
    image_BCHW, target_B = request.image_BCHW.clone(), request.target_B
    attr = captum.attr
    theirs: dict[str, Tensor] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs["DeepLift"] = attr.DeepLift(network).attribute(image_BCHW, target=target_B)
        theirs["GuidedBackprop"] = attr.GuidedBackprop(network).attribute(
            image_BCHW, target=target_B
        )
        theirs["Occlusion"] = attr.Occlusion(network).attribute(
            image_BCHW, target=target_B, sliding_window_shapes=(3, 8, 8), strides=(3, 4, 4)
        )
        theirs["LayerConductance"] = attr.LayerConductance(network, network.last).attribute(
            image_BCHW, target=target_B, n_steps=6
        )
        theirs["LRP"] = attr.LRP(network).attribute(image_BCHW, target=target_B)
    for name, attribution in theirs.items():
        assert relative(maps_of(request, name), attribution.sum(1).detach()) < 1e-4, name


def test_methods_that_we_also_have_agree() -> None:
    request = make_request()
    captured = capture(request.network, LAST, request.image_BCHW, request.target_B, to_image=True)
    product_BHW = PASS_METHODS["input_x_gradient"].map_Bhw(captured)
    assert relative(maps_of(request, "InputXGradient"), product_BHW) < 1e-5
    cam_Bhw = PASS_METHODS["grad_cam"].map_Bhw(captured)
    ours_Bhw = maps_of(request, "LayerGradCam", relu_attributions="true")
    assert relative(ours_Bhw, cam_Bhw) < 1e-5
    with as_found(request.network):
        path_BHW = integrated_gradients(request, IntegratedGradientsSettings(6))
    assert relative(maps_of(request, "IntegratedGradients"), path_BHW) < 1e-5
    assert captured.image_gradient_BCHW is not None
    summed_BHW = captured.image_gradient_BCHW.abs().sum(1)
    assert relative(maps_of(request, "Saliency"), summed_BHW) < 1e-5
    one = ExplainRequest(
        request.network, request.image_BCHW[:, :1].repeat(1, 3, 1, 1), TARGET_B[:3]
    )
    grey_BHW = maps_of(one, "Saliency", abs="false")
    gradient_BCHW = one.gradient_of(one.image_BCHW, one.target_B)
    assert relative(grey_BHW, gradient_BCHW.sum(1)) < 1e-5


def test_random_methods_draw_the_same_for_every_image_and_every_time() -> None:
    request = make_request()
    twice = request.image_BCHW[:1].repeat(2, 1, 1, 1)
    same = ExplainRequest(request.network, twice, TARGET_B[:1].repeat(2), 8, LAST)
    for name in ("GradientShap", "KernelShap", "ShapleyValueSampling"):
        map_BHW = maps_of(same, name)
        torch.rand(3), np.random.rand(3)
        assert torch.equal(map_BHW[0], map_BHW[1])
        assert torch.equal(maps_of(same, name), map_BHW)


def test_features_are_cells_and_the_comparison_is_a_number() -> None:
    request = make_request()
    map_BHW = maps_of(request, "FeatureAblation", feature_mask="2x4", baselines="0.5")
    assert map_BHW.unfold(1, 8, 8).unfold(2, 4, 4).std((3, 4)).max() < 1e-7
    with torch.no_grad():
        changed_BCHW = request.image_BCHW.clone()
        changed_BCHW[:, :, 8:, 4:8] = 0.5
        before_B = request.logit_of(request.image_BCHW, request.target_B)
        after_B = request.logit_of(changed_BCHW, request.target_B)
    torch.testing.assert_close(map_BHW[:, 9, 5], 3 * (before_B - after_B), rtol=1e-3, atol=1e-6)


class Scaling(TinyNet):
    """Works in place on its input."""

    def forward(self, image_BCHW: Tensor) -> Tensor:
        return super().forward(image_BCHW.mul_(0.5).add_(0.1))


@pytest.mark.parametrize("name", ["Saliency", "GuidedBackprop", "DeepLift", "LayerGradCam"])
def test_a_network_that_works_in_place_is_explained(name: str) -> None:
    assert maps_of(make_request(network=Scaling().eval()), name).abs().sum() > 0


@pytest.mark.parametrize("name", ["vit", "vit_first", "swin", "convnext"])
def test_attributions_of_tokens_become_maps(name: str) -> None:
    network = tiny_transformer(name)
    image_BCHW = random_images(2, 32)
    grid = find_grid(network, image_BCHW[:1])
    request = ExplainRequest(network, image_BCHW, TARGET_B[:2], 8, grid)
    map_Bhw = maps_of(request, "LayerGradientXActivation")
    captured = capture(network, grid, image_BCHW, TARGET_B[:2])
    expected_Bhw = (captured.activation_BDhw * captured.gradient_BDhw).sum(1)
    assert relative(map_Bhw, expected_Bhw) < 1e-4
    if grid.layout != "BDhw":
        with pytest.raises(UserError, match=r"averages over rows and columns.*take grad_cam"):
            maps_of(request, "LayerGradCam")


def test_methods_of_a_layer_need_a_layer() -> None:
    assert captum_method("LayerGradCam", {}).needs_layer
    assert not captum_method("Saliency", {}).needs_layer
    assert maps_of(make_request(grid=None), "Saliency").shape == (3, 16, 16)
    with pytest.raises(ValueError, match="captum:LayerGradCam needs a layer with cells"):
        maps_of(make_request(grid=None), "LayerGradCam")


def test_failures_of_captum_are_one_line() -> None:
    network = torchvision_net("resnet18")  # whose blocks run one ReLU twice
    request = ExplainRequest(network, random_images(1, 32), TARGET_B[:1], 8)
    before = dict(all_of(network))
    with pytest.raises(UserError) as caught:
        maps_of(request, "DeepLift")
    line = str(caught.value)
    assert line.startswith("captum:DeepLift does not work on this network: ")
    assert "\n" not in line
    assert len(line) < 400
    assert dict(all_of(network)) == before


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("CUDA out of memory"), torch.OutOfMemoryError("Tried")]
)
def test_a_lack_of_memory_is_not_the_users_mistake(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = tiny_net()

    def fail(_: Tensor) -> Tensor:
        raise error

    monkeypatch.setattr(network.dropout, "forward", fail)
    with pytest.raises(type(error)):
        maps_of(make_request(network=network), "Saliency")


def test_arguments_are_read_and_sorted() -> None:
    given = {"strides": "3x4x4", "sliding_window_shapes": "3x8x8", "baselines": "-0.5"}
    assert captum_method("Occlusion", given) == CaptumMethod(
        "Occlusion",
        (("baselines", -0.5), ("sliding_window_shapes", (3, 8, 8)), ("strides", (3, 4, 4))),
    )
    given = {"method": "riemann_left", "n_steps": "20", "multiply_by_inputs": "false"}
    assert captum_method("IntegratedGradients", given).arguments == (
        ("method", "riemann_left"),
        ("multiply_by_inputs", False),
        ("n_steps", 20),
    )
    assert hash(captum_method("Saliency", {})) == hash(CaptumMethod("Saliency"))


@pytest.mark.parametrize(
    ("name", "arguments", "line"),
    [
        ("NoiseTunnel", {}, "wraps another method: smooth_grad does so with the gradient"),
        ("NeuronGradient", {}, "explains a neuron, not a class"),
        ("RemoteLLMAttribution", {}, "explains texts, not images"),
        ("LLMAttribution", {}, "explains texts, not images"),
        ("FeaturePermutation", {}, "mixes the images of a batch: take FeatureAblation"),
        ("DeepLiftShap", {}, "needs several pictures to compare with: take DeepLift"),
        ("LayerActivation", {}, "does not ask for a class"),
        ("Saliency", {"ab": "true"}, "takes no 'ab' (did you mean 'abs'?); it takes 'abs'"),
        ("GuidedBackprop", {"n_steps": "2"}, "takes no 'n_steps'; it takes none"),
        ("IntegratedGradients", {"target": "2"}, "takes no 'target'; it takes 'baselines', "),
        ("IntegratedGradients", {"internal_batch_size": "2"}, "takes no 'internal_batch_size'; "),
        ("Occlusion", {}, "needs sliding_window_shapes: write captum:Occlusion:sliding_window_sh"),
        ("KernelShap", {}, "needs feature_mask: write captum:KernelShap:feature_mask=7x7"),
        ("Lime", {"feature_mask": "7"}, "feature_mask=7: it must be rows and columns of cells"),
        ("Lime", {"feature_mask": "0x7"}, "feature_mask=0x7: it must be rows and columns"),
        ("DeepLift", {"baselines": "mean"}, "baselines=mean: it must be one number for all pix"),
        ("GradientShap", {"n_samples": "65"}, "n_samples=65: it must be 1 or more, for methods"),
        ("Lime", CELLS | {"n_samples": "0"}, "n_samples=0: it must be 1 or more"),
    ],
)
def test_invalid_methods_and_arguments_are_refused(
    name: str, arguments: dict[str, str], line: str
) -> None:
    with pytest.raises(UserError) as caught:
        captum_method(name, arguments)
    assert str(caught.value).removeprefix(f"captum:{name}").lstrip(": ").startswith(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["Attribution", "LayerAttribution", "LimeBase", "Var", "nothing"])
def test_base_classes_are_unknown(name: str) -> None:
    with pytest.raises(UserError, match=f"Captum has no method '{name}'.*known are 'Dec"):
        captum_method(name, {})


def test_an_unknown_method_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no method 'occlusion' \(did you mean 'Occlusion'"):
        captum_method("occlusion", {})


def test_every_method_of_captum_is_explained_or_refused_by_a_reason() -> None:
    base = captum.attr.Attribution
    kinds = {name for name, kind in vars(captum.attr).items() if isinstance(kind, type)}
    methods = {name for name in kinds if issubclass(getattr(captum.attr, name), base)}
    # The first breaks at ReLUs in place, the second finds nothing in an untrained network.
    for name in methods - set(ASKED) - {"LayerIntegratedGradients", "Lime"}:
        with pytest.raises(UserError) as caught:
            captum_method(name, {})
        assert "needs" not in str(caught.value) or name.endswith("DeepLiftShap")


def test_without_captum_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "captum"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError) as caught:
        captum_method("Saliency", {})
    assert str(caught.value) == ('captum:Saliency needs Captum: pip install "sightline[captum]"')
