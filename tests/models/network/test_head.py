"""What follows a layer alone: the same logits as the whole network, for any layer of any network
through which all of the signal passes; the network is left as found."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor, nn

from models.errors import UserError
from models.network.capture import as_found
from models.network.grid import Grid
from models.network.head import Head, head_of
from models.network.layers import grid_of
from tests.support.networks import TinyNet, network_and_images, random_images, tiny_net

LAYERS = [
    ("resnet18", "layer2"),
    ("resnet18", "layer3.0"),
    ("resnet18", "bn1"),
    ("vgg11", "features.11"),
    ("densenet121", "features.denseblock2"),
    ("densenet121", "features"),  # the network's own last ReLU works in place on this output
    ("mobilenet_v3_small", "features.4"),
    ("convnext_tiny", "features.3"),
    ("swin_t", "features.5.2"),
    ("vit", "encoder.layers.encoder_layer_1"),
    ("vit_registers", "blocks.1"),
    ("vit_average", "blocks.1"),
    ("vit_first", "encoder.layers.1"),  # torch's own encoder, whose fused path calls no modules
    ("vit_post_norm", "encoder.layers.1.norm2"),
    ("swin_v2", "features.1"),
    ("convnext", "features.1"),
]
AROUND = [
    ("resnet18", "layer3.0.bn2"),  # beside a shortcut
    ("densenet121", "features.denseblock2.denselayer3"),
    ("vit", "encoder.layers.encoder_layer_1.ln_1"),
    ("vit_first", "encoder.layers.1.norm1"),
    ("swin_v2", "features.1.0.attn"),
]


made = cache(network_and_images)  # heads leave them as found


def find_head(network: nn.Module, layer: str, image_BCHW: Tensor) -> Head:
    return head_of(network, grid_of(network, layer, image_BCHW), image_BCHW)


def marks(network: nn.Module) -> list[object]:
    """All that a head could leave behind."""
    return [
        (module.__dict__.get("forward"), len(module._forward_hooks), len(module._forward_pre_hooks))
        for module in network.modules()
    ]


@pytest.mark.parametrize(("architecture", "layer"), LAYERS)
def test_the_layers_activation_gives_the_networks_logits(architecture: str, layer: str) -> None:
    network, image_BCHW = made(architecture)
    before = marks(network)
    head = find_head(network, layer, image_BCHW)
    with torch.no_grad():
        logits_BK = network(image_BCHW.clone())
        found_NK = head(head.activation_BDhw.repeat(2, 1, 1, 1))
    torch.testing.assert_close(found_NK, logits_BK.repeat(2, 1), rtol=1e-4, atol=1e-5)
    assert logits_BK.std(0).max() > 0
    assert marks(network) == before


@pytest.mark.parametrize(("architecture", "layer"), LAYERS)
def test_another_activation_gives_the_whole_networks_logits(architecture: str, layer: str) -> None:
    """Against the whole network, in which a hook changes the layer's output."""
    network, image_BCHW = made(architecture)
    head = find_head(network, layer, image_BCHW)
    changed_BDhw = head.activation_BDhw * 0.5 + 0.1

    def change(_: nn.Module, __: object, output: Tensor) -> Tensor:
        return head.grid.replace_cells(changed_BDhw, output)

    handle = network.get_submodule(layer).register_forward_hook(change)
    with torch.no_grad():
        expected_BK = network(image_BCHW.clone())
        handle.remove()
        found_BK = head(changed_BDhw)
    torch.testing.assert_close(found_BK, expected_BK, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("architecture", "layer"), AROUND)
def test_a_layer_that_the_signal_goes_around_is_refused(architecture: str, layer: str) -> None:
    network, image_BCHW = made(architecture)
    before = marks(network)
    with pytest.raises(UserError, match=rf"around layer '{layer}': .*iba:layer=") as caught:
        find_head(network, layer, image_BCHW)
    assert "\n" not in str(caught.value)
    assert marks(network) == before


def test_the_trunk_does_not_run() -> None:
    network, image_BCHW = tiny_net(), random_images(2, 16)
    head = find_head(network, "last", image_BCHW)
    seen: list[tuple[int, ...]] = []
    network.stem[0].register_forward_hook(lambda *parts: seen.append(parts[2].shape))
    head(head.activation_BDhw)
    assert not seen


def test_a_gradient_comes_to_the_activation() -> None:
    network, image_BCHW = tiny_net(), random_images(2, 16)
    with as_found(network):
        head = find_head(network, "last", image_BCHW)
        activation_BDhw = head.activation_BDhw.repeat(3, 1, 1, 1).requires_grad_(True)
        (gradient,) = torch.autograd.grad(head(activation_BDhw).sum(), activation_BDhw)
    weight_D = network.fc.weight.sum(0) / (8 * 8)
    expected = weight_D[:, None, None] * (activation_BDhw > 0)
    torch.testing.assert_close(gradient, expected)


class Shared(TinyNet):
    """One ReLU before and after the layer, as torchvision's residual blocks have it."""

    def forward(self, image_BCHW: Tensor) -> Tensor:
        x_BDhw = torch.nn.functional.relu(self.stem[0](image_BCHW))
        x_BDhw = self.relu(self.last(self.relu(self.stem[1](x_BDhw))) - 0.2)
        logits_BK: Tensor = self.fc(self.relu(x_BDhw - 0.3).mean((2, 3)))
        return logits_BK


class Twice(TinyNet):
    """The layer runs twice; all of the signal passes through the second run."""

    def forward(self, image_BCHW: Tensor) -> Tensor:
        x_BDhw = self.last(self.stem(image_BCHW))
        logits_BK: Tensor = self.fc(self.last(x_BDhw[:, :6].tanh()).mean((2, 3)))
        return logits_BK


class Sized(TinyNet):
    """Keeps the batch's size from the picture until after the layer."""

    def forward(self, image_BCHW: Tensor) -> Tensor:
        count = image_BCHW.shape[0]
        x_BDhw = self.relu(self.last(self.stem(image_BCHW)))
        logits_BK: Tensor = self.fc(x_BDhw.view(count, 8, -1).mean(2))
        return logits_BK


class Beside(TinyNet):
    """Part of the signal goes around the layer."""

    def forward(self, image_BCHW: Tensor) -> Tensor:
        x_BDhw = self.stem(image_BCHW)
        y_BDhw = self.last(x_BDhw)
        logits_BK: Tensor = self.fc(y_BDhw.mean((2, 3)) + x_BDhw.amax((1, 2, 3))[:, None])
        return logits_BK


def build_seeded(kind: type[TinyNet]) -> TinyNet:
    network = kind()
    network.load_state_dict(tiny_net().state_dict())
    return network.eval()


@pytest.mark.parametrize("kind", [Shared, Twice, Sized])
@pytest.mark.parametrize("count", [1, 3])
def test_networks_of_all_kinds(kind: type[TinyNet], count: int) -> None:
    network, image_BCHW = build_seeded(kind), random_images(count, 16)
    head = head_of(network, grid_of(network, "last", image_BCHW), image_BCHW, copies=2)
    with torch.no_grad():
        expected_NK = network(image_BCHW.clone()).repeat(2, 1)
        found_NK = head(head.activation_BDhw.repeat(2, 1, 1, 1))
    torch.testing.assert_close(found_NK, expected_NK)


@pytest.mark.parametrize("count", [1, 3])
def test_a_signal_beside_the_layer_is_refused(count: int) -> None:
    with pytest.raises(UserError, match="goes around layer 'last'"):
        find_head(build_seeded(Beside), "last", random_images(count, 16))


def test_a_picture_that_gives_nan_does_not_refuse_the_others() -> None:
    network, image_BCHW = tiny_net(), random_images(3, 16)
    image_BCHW[1] = torch.nan
    head = find_head(network, "last", image_BCHW)
    with torch.no_grad():
        found_BK = head(head.activation_BDhw)
    assert found_BK.isnan().all(1).tolist() == [False, True, False]


def test_a_layer_that_does_not_run_is_refused() -> None:
    network = tiny_net()
    network.unused = nn.Conv2d(3, 3, 1)
    with pytest.raises(UserError, match="layer 'unused' does not run"):
        head_of(network, Grid("unused", 8, 8), random_images(1, 16))


class Failing(nn.Module):
    """A head that breaks on command."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False

    def forward(self, x_BDhw: Tensor) -> Tensor:
        if self.fails:
            raise ArithmeticError
        return x_BDhw


def test_the_network_is_restored_after_an_exception() -> None:
    network, image_BCHW = tiny_net(), random_images(2, 16)
    failing = Failing()
    setattr(network, "dropout", failing)  # noqa: B010 - of another type than TinyNet's
    vars(network.stem)["forward"] = network.stem.forward  # somebody's own, on the instance
    before = marks(network)
    head = find_head(network, "last", image_BCHW)
    failing.fails = True
    with pytest.raises(ArithmeticError):
        head(head.activation_BDhw)
    assert marks(network) == before
    with pytest.raises(ArithmeticError):
        find_head(network, "last", image_BCHW)
    assert marks(network) == before
