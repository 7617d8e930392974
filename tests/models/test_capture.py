"""One pass: the same logits, the right gradient, no graph before the layer, nothing kept after."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from networks import TinyNet, random_images, tiny_net, torchvision_net
from torch import Tensor, nn

from models.capture import CaptureMistake, as_found, capture

PLACES = [
    ("resnet18", "layer4"),
    ("resnet18", "layer2.0.conv1"),  # before a BatchNorm and an in-place ReLU
    ("densenet121", "features"),  # the network's own last ReLU works in place on this output
    ("squeezenet1_1", "classifier.1"),
]


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
    (gradient_BDhw,) = torch.autograd.grad(score, outputs[0])
    return outputs[0].detach(), gradient_BDhw


@pytest.mark.parametrize(("architecture", "layer"), PLACES)
def test_a_pass_gives_what_the_whole_graph_gives(architecture: str, layer: str) -> None:
    network, image_BCHW = torchvision_net(architecture), random_images(2, 64)
    with torch.no_grad():
        bare_BK = network(image_BCHW)
    seen = capture(network, layer, image_BCHW)
    torch.testing.assert_close(seen.logits_BK, bare_BK, rtol=1e-5, atol=1e-6)
    assert torch.equal(seen.target_B, bare_BK.argmax(1))
    activation_BDhw, gradient_BDhw = full_gradient(network, layer, image_BCHW, seen.target_B)
    torch.testing.assert_close(seen.activation_BDhw, activation_BDhw, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(seen.gradient_BDhw, gradient_BDhw, rtol=1e-5, atol=1e-7)


def test_the_target_may_be_given() -> None:
    network, image_BCHW = tiny_net(), random_images(3, 16)
    target_B = torch.tensor([0, 2, 1])
    seen = capture(network, "last", image_BCHW, target_B)
    _, gradient_BDhw = full_gradient(network, "last", image_BCHW, target_B)
    assert torch.equal(seen.target_B, target_B)
    torch.testing.assert_close(seen.gradient_BDhw, gradient_BDhw)


def test_a_relu_in_place_does_not_change_the_activation() -> None:
    network, image_BCHW = tiny_net(), random_images(2, 16)
    seen = capture(network, "last", image_BCHW)
    with torch.no_grad():
        expected_BDhw = network.last(network.stem(image_BCHW))
    assert (expected_BDhw < 0).any()
    torch.testing.assert_close(seen.activation_BDhw, expected_BDhw)


@pytest.mark.parametrize(("architecture", "layer"), PLACES)
def test_an_image_does_not_depend_on_its_batch(architecture: str, layer: str) -> None:
    network, image_BCHW = torchvision_net(architecture), random_images(3, 64)
    together = capture(network, layer, image_BCHW)
    alone = capture(network, layer, image_BCHW[1:2])
    for ours, theirs in zip(vars(together).values(), vars(alone).values(), strict=True):
        torch.testing.assert_close(ours[1:2], theirs, rtol=1e-5, atol=1e-5)


def test_only_the_head_builds_a_graph() -> None:
    network, built = tiny_net(), {}
    for name in ("stem", "last", "relu", "fc"):

        def note(_: nn.Module, __: object, output: Tensor, name: str = name) -> None:
            built[name] = output.grad_fn is not None

        network.get_submodule(name).register_forward_hook(note)
    capture(network, "last", random_images(2, 16))
    assert built["stem"] is False
    assert built["last"] is False  # hooks run in order: before the cut
    assert built["relu"] is True
    assert built["fc"] is True


def test_what_it_returns_has_no_graph() -> None:
    seen = capture(tiny_net(), "last", random_images(2, 16))
    assert not any(value.requires_grad for value in vars(seen).values())


def tensors_alive() -> int:
    return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())


def test_nothing_is_kept_afterwards() -> None:
    network, image_BCHW = tiny_net(), random_images(2, 16)
    gc.collect()
    before = tensors_alive()
    seen = capture(network, "last", image_BCHW)
    held = [weakref.ref(value) for value in vars(seen).values()]
    gc.disable()  # dropping the result is enough: no cycle waits for the collector
    try:
        del seen
        assert [ref() for ref in held] == [None] * 4
    finally:
        gc.enable()
    assert tensors_alive() == before


def test_it_works_inside_no_grad() -> None:
    with torch.no_grad():
        seen = capture(tiny_net(), "last", random_images(2, 16))
        assert not torch.is_grad_enabled()
    assert seen.gradient_BDhw.abs().sum() > 0


def test_channels_last_gives_the_same() -> None:
    network, image_BCHW = tiny_net(), random_images(2, 16)
    plain = capture(network, "last", image_BCHW)
    fast = capture(
        network.to(memory_format=torch.channels_last),
        "last",
        image_BCHW.to(memory_format=torch.channels_last),
    )
    torch.testing.assert_close(vars(fast), vars(plain), rtol=1e-5, atol=1e-6)


class Twice(TinyNet):
    """Runs its last convolution two times."""

    def forward(self, image_BCHW: Tensor) -> Tensor:
        x_BDhw = self.last(self.stem(image_BCHW))
        y_BDhw = self.last(x_BDhw[:, :6].tanh())
        logits_BK: Tensor = self.fc((x_BDhw + y_BDhw).mean((2, 3)))
        return logits_BK


def test_of_a_layer_that_runs_twice_the_last_run_counts() -> None:
    network, image_BCHW = Twice().eval(), random_images(2, 16)
    seen = capture(network, "last", image_BCHW)
    x_BDhw = network.last(network.stem(image_BCHW))
    torch.testing.assert_close(seen.activation_BDhw, network.last(x_BDhw[:, :6].tanh()).detach())
    even_BD = network.fc.weight[seen.target_B] / (8 * 8)
    torch.testing.assert_close(seen.gradient_BDhw, even_BD[:, :, None, None].expand(2, 8, 8, 8))


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
    with pytest.raises(CaptureMistake, match=rf"layer '{layer}'.*name another --layer") as caught:
        capture(Odd().eval(), layer, random_images(1, 16))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_as_found_evaluates_and_freezes_inside() -> None:
    network = tiny_net().train()
    with as_found(network):
        assert not any(module.training for module in network.modules())
        assert not any(weight.requires_grad for weight in network.parameters())
    assert all(module.training for module in network.modules())
    assert all(weight.requires_grad for weight in network.parameters())
