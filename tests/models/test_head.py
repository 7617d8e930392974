"""The head alone gives what the whole network gives; a layer that is gone around is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from networks import random_images, tiny_net, torchvision_net
from torch import Tensor, nn

from models.capture import as_found
from models.grid import Grid
from models.head import HeadMistake, head_of
from models.layers import grid_of

SIZE = 64
LAYERS = {
    "resnet18": "layer2",
    "vgg11": "features.10",
    "densenet121": "features.denseblock3",
    "mobilenet_v3_small": "features.6",
    "convnext_tiny": "features.5",
    "swin_t": "features.3",
}


class SharedRelu(nn.Module):
    """One ReLU before the layer and after it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.layer = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, 1, 1)
        self.last, self.relu, self.fc = nn.Conv2d(6, 8, 3, 1, 1), nn.ReLU(), nn.Linear(8, 3)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        x_BDhw = self.relu(self.layer(self.relu(self.first(image_BCHW))))
        logits_BK: Tensor = self.fc(self.relu(self.last(x_BDhw)).mean((2, 3)))
        return logits_BK


class Around(SharedRelu):
    """A residual connection leads past the layer."""

    def forward(self, image_BCHW: Tensor) -> Tensor:
        x_BDhw = self.relu(self.first(image_BCHW))
        x_BDhw = x_BDhw + self.layer(x_BDhw)
        logits_BK: Tensor = self.fc(self.last(x_BDhw).mean((2, 3)))
        return logits_BK


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build().eval()


def check(network: nn.Module, grid: Grid, size: int = SIZE) -> None:
    """Of activations as they are, of copies, and of changed ones by a hook in the whole network."""
    image_BCHW = random_images(3, size)
    with as_found(network), torch.no_grad():
        head = head_of(network, grid, image_BCHW)
        whole_BK = network(image_BCHW)
        torch.testing.assert_close(head(head.activation_BDhw), whole_BK, rtol=1e-3, atol=1e-4)
        copies_NK = head(head.activation_BDhw.repeat(2, 1, 1, 1))
        torch.testing.assert_close(copies_NK, whole_BK.repeat(2, 1), rtol=1e-3, atol=1e-4)
        halved_BDhw = head.activation_BDhw / 2
        supplied = grid.lay_back(halved_BDhw, head.output)
        handle = network.get_submodule(grid.layer).register_forward_hook(lambda *_: supplied)
        changed_BK = network(image_BCHW)
        handle.remove()
        torch.testing.assert_close(head(halved_BDhw), changed_BK, rtol=1e-3, atol=1e-4)
    assert not any("forward" in vars(module) for module in network.modules())


@pytest.mark.parametrize(("name", "layer"), LAYERS.items())
def test_the_head_gives_the_networks_logits(name: str, layer: str) -> None:
    network = torchvision_net(name)
    check(network, grid_of(network, layer, random_images(1, SIZE)))


def test_a_module_may_run_before_the_layer_and_after_it() -> None:
    network = seeded(SharedRelu)
    check(network, grid_of(network, "layer", random_images(1, 16)), 16)


def test_a_layer_that_the_signal_goes_around_is_refused_in_one_line() -> None:
    network = seeded(Around)
    grid = grid_of(network, "layer", random_images(1, 16))
    with (
        as_found(network),
        pytest.raises(HeadMistake, match="part of the signal goes around layer 'layer': name"),
    ):
        head_of(network, grid, random_images(2, 16))


def test_a_gradient_comes_through_the_head_to_what_is_supplied() -> None:
    network = tiny_net()
    grid = Grid("last", 8, 8)
    with as_found(network):
        head = head_of(network, grid, random_images(2, 16))
        given = head.activation_BDhw.clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(head(given).sum(), given)
    assert slope.abs().sum() > 0


def test_the_trunk_does_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny_net()
    with as_found(network):
        head = head_of(network, Grid("last", 8, 8), random_images(2, 16))

        def fail(_: Tensor) -> Tensor:
            raise AssertionError

        monkeypatch.setattr(network.stem[0], "_conv_forward", fail)
        head(head.activation_BDhw)


def test_the_network_is_as_found_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny_net()

    def fail(_: Tensor) -> Tensor:
        raise RuntimeError("out of memory")

    with as_found(network):
        head = head_of(network, Grid("last", 8, 8), random_images(2, 16))
        with monkeypatch.context() as broken:
            broken.setattr(network.dropout, "forward", fail)
            with pytest.raises(RuntimeError, match="out of memory"):
                head(head.activation_BDhw)
    assert not any("forward" in vars(module) for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())
