"""The layer found in every torchvision network, and the layers that are refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from models.errors import LayerError
from models.network.capture import capture
from models.network.grid import Grid
from models.network.layers import check_cells, find_grid, grid_of
from tests.support.networks import (
    TRANSFORMERS,
    random_images,
    tiny_net,
    tiny_transformer,
    torchvision_net,
)

TORCHVISION = torchvision.models.list_models(module=torchvision.models)
EXPECTED = {
    "alexnet": "features",
    "convnext": "features",
    "densenet": "features",
    "efficientnet": "features",
    "googlenet": "inception5b",
    "inception": "Mixed_7c",
    "maxvit": "blocks.3",
    "mnasnet": "layers",
    "mobilenet": "features",
    "regnet": "trunk_output",
    "resnet": "layer4",
    "resnext": "layer4",
    "shufflenet": "conv5",
    "squeezenet": "classifier.1",  # the convolution whose channels are the classes
    "vgg": "features",
    "wide_resnet": "layer4",
}
TOKENS = ("swin", "vit")


def family(name: str) -> str:
    known = [family for family in (*EXPECTED, *TOKENS) if name.startswith(family)]
    assert known, f"torchvision has a new family, {name}: say here which layer is right"
    return known[0]


def on_meta(name: str) -> tuple[nn.Module, Tensor]:
    """Shapes without numbers: 600 million parameters cost nothing."""
    extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        return torchvision.models.get_model(name, **extra).eval(), torch.zeros(1, 3, 224, 224)


# RegNets compute their widths with tensors, so they need a real device: a small one of each kind.
REGNETS = ("regnet_x_400mf", "regnet_y_400mf")
CONVOLUTIONS = [name for name in TORCHVISION if family(name) in EXPECTED.keys() - {"regnet"}]


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_last_layer_with_cells_is_found_in_torchvision(name: str) -> None:
    assert find_grid(*on_meta(name)).layer == EXPECTED[family(name)]


@pytest.mark.parametrize("name", REGNETS)
def test_the_last_layer_with_cells_is_found_in_regnets(name: str) -> None:
    assert find_grid(torchvision_net(name), random_images(1, 64)).layer == EXPECTED["regnet"]


VIT = Grid("encoder.layers.encoder_layer_11.ln_1", 14, 14, "BTD", 1)
OF_TORCHVISION = {
    "vit_b_16": VIT,
    "vit_b_32": Grid(VIT.layer, 7, 7, "BTD", 1),
    "swin_t": Grid("norm", 7, 7, "BhwD"),
    "swin_v2_t": Grid("norm", 7, 7, "BhwD"),
    "convnext_tiny": Grid("features", 7, 7),
    "maxvit_t": Grid("blocks.3", 7, 7),
}
OF_TIMM = {
    "vit_tiny_patch16_224": Grid("blocks.11.norm1", 14, 14, "BTD", 1),
    "vit_medium_patch16_reg1_gap_256": Grid("blocks", 16, 16, "BTD", 1),
    "vit_small_patch14_reg4_dinov2": Grid("blocks.11.norm1", 37, 37, "BTD", 5),
    "vit_base_patch16_siglip_224": Grid("norm", 14, 14, "BTD"),  # pools by an attention
    "deit_tiny_distilled_patch16_224": Grid("blocks.11.norm1", 14, 14, "BTD", 2),
    "deit3_small_patch16_224": Grid("blocks.11.norm1", 14, 14, "BTD", 1),
    "cait_xxs24_224": Grid("blocks_token_only.1.norm1", 14, 14, "BTD", 1),
    "swin_tiny_patch4_window7_224": Grid("norm", 7, 7, "BhwD"),
    "swinv2_tiny_window8_256": Grid("norm", 8, 8, "BhwD"),
    "convnext_atto": Grid("stages", 7, 7),
    "maxvit_rmlp_pico_rw_256": Grid("norm", 8, 8),
    "mvitv2_tiny": Grid("norm", 7, 7, "BTD"),
    "levit_128s": Grid("stages", 4, 4, "BTD"),
    "mixer_s32_224": Grid("norm", 7, 7, "BTD"),
    "efficientnet_b0": Grid("bn2", 7, 7),
    "resnet18": Grid("layer4", 7, 7),
}


@pytest.mark.parametrize("name", OF_TORCHVISION)
def test_the_last_layer_whose_cells_are_read_is_found_in_torchvision(name: str) -> None:
    assert find_grid(torchvision_net(name), torch.zeros(1, 3, 224, 224)) == OF_TORCHVISION[name]


@pytest.mark.parametrize("name", OF_TIMM)
def test_the_last_layer_whose_cells_are_read_is_found_in_timm(name: str) -> None:
    network = timm.create_model(name, pretrained=False)
    size = network.default_cfg["input_size"][1]
    assert find_grid(network.eval(), torch.zeros(1, 3, size, size)) == OF_TIMM[name]


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_the_found_layers_grid_is_the_same_by_name(name: str) -> None:
    network, image_BCHW = tiny_transformer(name), torch.zeros(1, 3, 32, 32)
    grid = find_grid(network, image_BCHW)
    assert grid_of(network, grid.layer, image_BCHW) == grid


@pytest.mark.parametrize("name", [name for name in TRANSFORMERS if name != "swin_v2"])
def test_cells_are_where_the_grid_says(name: str) -> None:
    """A change of the picture under one cell changes that cell most."""
    network, image_BCHW = tiny_transformer(name), random_images(1, 32)
    grid = find_grid(network, image_BCHW)
    row, column, pixels = grid.rows // 4, grid.columns // 2, 32 // grid.rows
    changed_BCHW = image_BCHW.clone()
    rows = slice(row * pixels, (row + 1) * pixels)
    changed_BCHW[:, :, rows, column * pixels : (column + 1) * pixels] += 2
    before, after = (capture(network, grid, x).activation_BDhw for x in (image_BCHW, changed_BCHW))
    largest = int((after - before).abs().sum(1).argmax())
    assert divmod(largest, grid.columns) == (row, column)


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_input_of_a_normalisation_times_its_gradient_is_zero(scale: float) -> None:
    """Why the block before the last attention is not the layer, but the normalisation after it."""
    network, image_BCHW = tiny_transformer("vit"), random_images(2, 32)
    with torch.no_grad():
        network.get_parameter("conv_proj.weight").mul_(scale)  # as large as trained ones
    sums = []
    for layer in ("encoder.layers.encoder_layer_1", "encoder.layers.encoder_layer_2.ln_1"):
        seen = capture(network, grid_of(network, layer, image_BCHW), image_BCHW)
        product_BDhw = seen.activation_BDhw * seen.gradient_BDhw
        sums.append((product_BDhw.sum(1).abs().sum() / product_BDhw.abs().sum()).item())
    assert sums[0] < 1e-4
    assert sums[1] > 0.1


@pytest.mark.parametrize(
    "layer", ["encoder.layers.encoder_layer_2", "encoder.layers.encoder_layer_2.mlp", "encoder.ln"]
)
def test_tokens_that_the_head_does_not_read_are_refused(layer: str) -> None:
    with pytest.raises(LayerError) as caught:
        grid_of(tiny_transformer("vit"), layer, random_images(1, 32))
    assert str(caught.value) == (
        f"no gradient comes to the 4x4 cells of layer {layer!r}, "
        "the logits depend on its other tokens alone: name an earlier --layer"
    )


def test_a_head_of_zeros_hides_nothing() -> None:
    """As torchvision's ViT starts: every gradient is zero, and still the right layer is found."""
    network = tiny_transformer("vit")
    nn.init.zeros_(network.get_parameter("heads.head.weight"))
    layer = find_grid(network, random_images(1, 32)).layer
    assert layer == "encoder.layers.encoder_layer_2.ln_1"


@pytest.mark.parametrize(
    ("layer", "grid"),
    [
        ("conv_proj", Grid("conv_proj", 4, 4)),
        ("encoder.layers.encoder_layer_0", Grid("encoder.layers.encoder_layer_0", 4, 4, "BTD", 1)),
    ],
)
def test_a_layer_with_cells_may_be_named(layer: str, grid: Grid) -> None:
    assert grid_of(tiny_transformer("vit"), layer, random_images(1, 32)) == grid


class Flat(nn.Module):
    """A transformer whose tokens have a shape of its own: no cells that we know after its start."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, 8)
        self.norm = nn.LayerNorm(8)
        self.mlp = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8), nn.Linear(8, 3))

    def forward(self, image_BCHW: Tensor) -> Tensor:
        token_BTD = self.norm(self.patches(image_BCHW).flatten(2).transpose(1, 2))
        logits_BK: Tensor = self.mlp(token_BTD.unflatten(0, (1, 1, 1, -1))).mean((0, 1, 2, 4))
        return logits_BK


def test_a_network_with_cells_only_at_its_start_is_refused() -> None:
    with pytest.raises(LayerError) as caught:
        find_grid(Flat().eval(), random_images(1, 32))
    assert str(caught.value) == (
        "found no last layer with cells in Flat: name one that gives (batch, channels, rows, "
        "columns) or (batch, tokens, channels) with --layer"
    )


def lenet() -> nn.Sequential:
    """Few convolutions and a long head."""
    convolutions = nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 5))
    widths = [8 * 10 * 10, 32, 32, 32, 10]
    head = [(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(widths)]
    return nn.Sequential(convolutions, nn.Flatten(), *[part for pair in head for part in pair])


def test_a_long_head_does_not_hide_the_convolutions() -> None:
    assert find_grid(lenet().eval(), random_images(1, 32)).layer == "0"


def test_a_network_without_a_convolution_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16, 2))
    with pytest.raises(LayerError, match=r"no last layer with cells in Sequential.*--layer"):
        find_grid(network, random_images(1, 4))


def test_finding_a_layer_restores_hooks_and_modes() -> None:
    network = tiny_net().train()
    find_grid(network, random_images(2, 16))
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(("layer", "cells"), [("stem", (8, 6)), ("last", (8, 6))])
def test_cells_are_rows_and_columns(layer: str, cells: tuple[int, int]) -> None:
    grid = grid_of(tiny_net(), layer, torch.zeros(1, 3, 16, 12))
    assert grid == Grid(layer, *cells)


class Branches(nn.Module):
    """A layer that never runs, one without cells, and one that gives two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Conv2d(3, 2, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.pair = nn.MaxPool2d(2, return_indices=True)
        self.fc = nn.Linear(3, 2)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        x_BCHW, _ = self.pair(image_BCHW)
        logits_BK: Tensor = self.fc(self.pool(x_BCHW).flatten(1))
        return logits_BK


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        ("pol", "no layer 'pol' in the network (did you mean 'pool'?): name another --layer"),
        ("unused", "layer 'unused' does not run in this network: name another --layer"),
        ("pool", "layer 'pool' gives (1, 3, 1, 1); a map needs "),
        ("fc", "layer 'fc' gives (1, 2); a map needs (batch, channels, rows, columns), "),
        ("pair", "layer 'pair' gives a tuple; a map needs (batch, channels, rows, columns), "),
    ],
)
def test_a_layer_without_cells_is_refused(layer: str, line: str) -> None:
    with pytest.raises(LayerError) as caught:
        grid_of(Branches(), layer, random_images(1, 8))
    assert str(caught.value).startswith(line)
    assert "--layer" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("size", "cells", "remedy"),
    [
        ((64, 64), "2x2 cells for pictures of 64x64 pixels", "--layer layer3 gives 4x4"),
        ((96, 64), "3x2 cells for pictures of 64x96 pixels", "--layer layer3 gives 6x4"),
        ((32, 224), "1x7 cells for pictures of 224x32 pixels", "--layer layer2 gives 4x28"),
    ],
)
def test_a_layer_that_is_too_coarse_is_said_and_a_finer_one_proposed(
    size: tuple[int, int], cells: str, remedy: str
) -> None:
    network, image_1CHW = torchvision_net("resnet18"), torch.zeros(1, 3, *size)
    (warning,) = check_cells(network, find_grid(network, image_1CHW), image_1CHW)
    assert warning == (
        f"maps from layer layer4 have only {cells}, too few to tell an object from its "
        f"background: {remedy}"
    )
    finer = grid_of(network, remedy.split()[1], image_1CHW)  # what it proposes can be done
    assert not list(check_cells(network, finer, image_1CHW))


def test_where_no_layer_is_finer_that_is_said() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    image_1CHW = torch.zeros(1, 3, 16, 16)
    (warning,) = check_cells(network, grid_of(network, "0", image_1CHW), image_1CHW)
    assert warning.endswith(
        "no layer of this network has more: give larger pictures, or methods without a layer"
    )


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_transformer_of_enough_cells_needs_no_warning(name: str) -> None:
    network, image_1CHW = tiny_transformer(name), random_images(1, 32)
    grid = find_grid(network, image_1CHW)
    assert bool(list(check_cells(network, grid, image_1CHW))) == (min(grid.rows, grid.columns) < 4)
