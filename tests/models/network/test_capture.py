"""One pass: the same logits, the right gradient, no graph before the layer, nothing kept after."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import Tensor, nn

from models.errors import UserError
from models.methods.registry import LAYER_METHODS, PASS_METHODS
from models.network.capture import Capture, as_found, capture
from models.network.grid import Grid
from models.network.layers import grid_of
from tests.support.networks import TinyNet, network_and_images, random_images, tiny_net

LAYERS = [
    ("resnet18", "layer4"),
    ("resnet18", "layer2.0.conv1"),  # before a BatchNorm and an in-place ReLU
    ("densenet121", "features"),  # the network's own last ReLU works in place on this output
    ("squeezenet1_1", "classifier.1"),
    ("vit", "encoder.layers.encoder_layer_2.ln_1"),
    ("vit_registers", "blocks.2.norm1"),
    ("vit_average", "blocks"),
    ("vit_first", "encoder.layers.2.norm1"),
    ("swin", "norm"),
    ("swin_v2", "features.1"),
    ("convnext", "features"),
]
LAST = Grid("last", 8, 8)
both_passes = pytest.mark.parametrize("to_image", [False, True], ids=["cut", "fused"])


def capture_layer(
    network: nn.Module,
    layer: str,
    image_BCHW: Tensor,
    target_B: Tensor | None = None,
    *,
    to_image: bool = False,
) -> Capture:
    grid = grid_of(network, layer, image_BCHW)
    return capture(network, grid, image_BCHW, target_B, to_image=to_image)


def full_gradient(
    network: nn.Module, layer: str, image_BCHW: Tensor, target_B: Tensor
) -> tuple[Tensor, Tensor]:
    """The layer's output and the gradient there, from the ordinary graph of the whole network."""
    outputs: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor) -> Tensor:
        outputs.append(output)
        return output.clone()

    handle = network.get_submodule(layer).register_forward_hook(keep)
    logits_BK = network(image_BCHW)
    handle.remove()
    score = logits_BK[torch.arange(len(target_B)), target_B].sum()
    (gradient,) = torch.autograd.grad(score, outputs[0])
    return outputs[0].detach(), gradient


@both_passes
@pytest.mark.parametrize(("architecture", "layer"), LAYERS)
def test_a_pass_gives_what_the_whole_graph_gives(
    architecture: str, layer: str, to_image: bool
) -> None:
    network, image_BCHW = network_and_images(architecture)
    with torch.no_grad():
        bare_BK = network(image_BCHW)
    captured = capture_layer(network, layer, image_BCHW, to_image=to_image)
    torch.testing.assert_close(captured.logits_BK, bare_BK, rtol=1e-5, atol=1e-6)
    assert torch.equal(captured.target_B, bare_BK.argmax(1))
    grid = grid_of(network, layer, image_BCHW)
    activation, gradient = full_gradient(network, layer, image_BCHW, captured.target_B)
    activation_BDhw, gradient_BDhw = grid.arrange(activation), grid.arrange(gradient)
    assert gradient_BDhw.abs().sum((1, 2, 3)).min() > 0
    torch.testing.assert_close(captured.activation_BDhw, activation_BDhw, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(captured.gradient_BDhw, gradient_BDhw, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("architecture", "layer"), LAYERS)
def test_maps_of_both_passes_are_the_same(architecture: str, layer: str) -> None:
    network, image_BCHW = network_and_images(architecture)
    cut, fused = (capture_layer(network, layer, image_BCHW, to_image=way) for way in (False, True))
    for name in LAYER_METHODS:
        ours_Bhw, theirs_Bhw = PASS_METHODS[name].map_Bhw(fused), PASS_METHODS[name].map_Bhw(cut)
        largest = theirs_Bhw.max().item()
        torch.testing.assert_close(ours_Bhw, theirs_Bhw, rtol=1e-5, atol=1e-5 * largest)


@both_passes
def test_the_target_may_be_chosen(to_image: bool) -> None:
    network, image_BCHW = tiny_net(), random_images(3, 16)
    target_B = torch.tensor([0, 2, 1])
    captured = capture_layer(network, "last", image_BCHW, target_B, to_image=to_image)
    _, gradient_BDhw = full_gradient(network, "last", image_BCHW, target_B)
    assert torch.equal(captured.target_B, target_B)
    torch.testing.assert_close(captured.gradient_BDhw, gradient_BDhw)


@both_passes
def test_a_relu_in_place_does_not_change_the_activation(to_image: bool) -> None:
    network, image_BCHW = tiny_net(), random_images(2, 16)
    captured = capture_layer(network, "last", image_BCHW, to_image=to_image)
    with torch.no_grad():
        expected_BDhw = network.last(network.stem(image_BCHW))
    assert (expected_BDhw < 0).any()
    torch.testing.assert_close(captured.activation_BDhw, expected_BDhw)


class Scaling(TinyNet):
    """Works in place on its input."""

    def forward(self, image_BCHW: Tensor) -> Tensor:
        return super().forward(image_BCHW.mul_(0.5).add_(0.1))


def test_gradients_are_those_of_the_image_before_it_is_scaled_in_place() -> None:
    network, image_BCHW = Scaling().eval(), random_images(2, 16)
    network.load_state_dict(tiny_net().state_dict())
    captured = capture(network, LAST, image_BCHW, to_image=True)
    inside = capture(tiny_net(), LAST, image_BCHW * 0.5 + 0.1, to_image=True)
    assert captured.image_gradient_BCHW is not None
    assert inside.image_gradient_BCHW is not None
    assert captured.image_BCHW is not None
    assert torch.equal(image_BCHW, random_images(2, 16))
    assert torch.equal(captured.image_BCHW, image_BCHW)
    torch.testing.assert_close(captured.image_gradient_BCHW, 0.5 * inside.image_gradient_BCHW)


@both_passes
@pytest.mark.parametrize(("architecture", "layer"), LAYERS)
def test_an_image_does_not_depend_on_its_batch(
    architecture: str, layer: str, to_image: bool
) -> None:
    network, image_BCHW = network_and_images(architecture, count=3)
    together = capture_layer(network, layer, image_BCHW, to_image=to_image)
    alone = capture_layer(network, layer, image_BCHW[1:2], to_image=to_image)
    second = torch.tensor([False, True, False])
    torch.testing.assert_close(vars(together.select(second)), vars(alone), rtol=1e-5, atol=1e-5)


def test_only_the_head_builds_a_graph() -> None:
    network, built = tiny_net(), {}
    for name in ("stem", "last", "relu", "fc"):

        def note(_: nn.Module, __: object, output: Tensor, name: str = name) -> None:
            built[name] = output.grad_fn is not None

        network.get_submodule(name).register_forward_hook(note)
    capture(network, LAST, random_images(2, 16))
    assert built["stem"] is False
    assert built["last"] is False  # hooks run in order: before the cut
    assert built["relu"] is True
    assert built["fc"] is True


@both_passes
def test_results_have_no_graph(to_image: bool) -> None:
    captured = capture(tiny_net(), LAST, random_images(2, 16), to_image=to_image)
    values = [value for value in vars(captured).values() if isinstance(value, Tensor)]
    assert len(values) == (6 if to_image else 4)
    assert not any(value.requires_grad for value in values)


def tensors_alive() -> int:
    return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())


@both_passes
def test_nothing_is_kept_afterwards(to_image: bool) -> None:
    network, image_BCHW = tiny_net(), random_images(2, 16)
    gc.collect()
    before = tensors_alive()
    captured = capture(network, LAST, image_BCHW, to_image=to_image)
    held = [weakref.ref(value) for value in vars(captured).values() if isinstance(value, Tensor)]
    gc.disable()  # dropping the result is enough: no cycle waits for the collector
    try:
        del captured
        assert [ref() for ref in held] == [None] * (6 if to_image else 4)
    finally:
        gc.enable()
    assert tensors_alive() == before


@both_passes
def test_it_works_inside_no_grad(to_image: bool) -> None:
    with torch.no_grad():
        captured = capture(tiny_net(), LAST, random_images(2, 16), to_image=to_image)
        assert not torch.is_grad_enabled()
    assert captured.gradient_BDhw.abs().sum() > 0


@both_passes
def test_it_works_on_a_frozen_network(to_image: bool) -> None:
    network = tiny_net().requires_grad_(False)
    captured = capture(network, LAST, random_images(2, 16), to_image=to_image)
    assert captured.gradient_BDhw.abs().sum() > 0
    assert not any(weight.requires_grad for weight in network.parameters())


@both_passes
def test_channels_last_gives_the_same(to_image: bool) -> None:
    network, image_BCHW = tiny_net(), random_images(2, 16)
    plain = capture(network, LAST, image_BCHW, to_image=to_image)
    fast = capture(
        network.to(memory_format=torch.channels_last),
        LAST,
        image_BCHW.to(memory_format=torch.channels_last),
        to_image=to_image,
    )
    torch.testing.assert_close(vars(fast), vars(plain), rtol=1e-5, atol=1e-6)


class Twice(TinyNet):
    """Runs its last convolution two times."""

    def forward(self, image_BCHW: Tensor) -> Tensor:
        x_BDhw = self.last(self.stem(image_BCHW))
        y_BDhw = self.last(x_BDhw[:, :6].tanh())
        logits_BK: Tensor = self.fc((x_BDhw + y_BDhw).mean((2, 3)))
        return logits_BK


@both_passes
def test_the_last_run_of_a_layer_counts(to_image: bool) -> None:
    network, image_BCHW = Twice().eval(), random_images(2, 16)
    captured = capture_layer(network, "last", image_BCHW, to_image=to_image)
    x_BDhw = network.last(network.stem(image_BCHW))
    torch.testing.assert_close(
        captured.activation_BDhw, network.last(x_BDhw[:, :6].tanh()).detach()
    )
    even_BD = network.fc.weight[captured.target_B] / (8 * 8)
    torch.testing.assert_close(captured.gradient_BDhw, even_BD[:, :, None, None].expand(2, 8, 8, 8))


class Odd(TinyNet):
    """Layers that a map cannot be taken from."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Conv2d(3, 3, 1)
        self.aside = nn.Conv2d(3, 3, 1)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        self.aside(image_BCHW)
        return super().forward(image_BCHW).detach()


@pytest.mark.parametrize(
    ("layer", "words"),
    [("unused", "does not run"), ("aside", "do not follow"), ("last", "do not follow")],
)
def test_a_layer_that_the_logits_do_not_follow_from_is_refused(layer: str, words: str) -> None:
    with pytest.raises(UserError, match=rf"layer '{layer}'.*name another --layer") as caught:
        capture(Odd().eval(), Grid(layer, 8, 8), random_images(1, 16))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


class Deaf(TinyNet):
    """Its stem hides the picture from gradients."""

    def forward(self, image_BCHW: Tensor) -> Tensor:
        with torch.no_grad():
            x_BDhw = self.stem(image_BCHW)
        x_BDhw = self.last(x_BDhw + self.fc.bias.sum())
        logits_BK: Tensor = self.fc(x_BDhw.mean((2, 3)))
        return logits_BK


def test_a_picture_that_the_logits_do_not_follow_from_by_a_gradient_is_refused() -> None:
    network = Deaf().eval()
    assert capture(network, LAST, random_images(1, 16)).gradient_BDhw.abs().sum() > 0
    with pytest.raises(UserError, match=r"from the picture by a gradient: choose other --methods"):
        capture(network, LAST, random_images(1, 16), to_image=True)


def test_as_found_evaluates_and_freezes_inside() -> None:
    network = tiny_net().train()
    with as_found(network):
        assert not any(module.training for module in network.modules())
        assert not any(weight.requires_grad for weight in network.parameters())
    assert all(module.training for module in network.modules())
    assert all(weight.requires_grad for weight in network.parameters())
