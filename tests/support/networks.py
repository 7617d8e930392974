"""Networks that several tests look at: seeded, in evaluation mode, cheap."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import timm
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import convnext, swin_transformer


class TinyNet(nn.Module):
    """All that a pass could disturb: BatchNorm, dropout, and a ReLU that works in place."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU())
        self.last = nn.Conv2d(6, 8, 3, 1, 1)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        x_BDhw = self.relu(self.last(self.stem(image_BCHW)))
        logits_BK: Tensor = self.fc(self.dropout(x_BDhw.mean((2, 3))))
        return logits_BK


def tiny_net(num_classes: int = 3) -> TinyNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = TinyNet(num_classes)
    return network.eval()


def torchvision_net(name: str, num_classes: int = 10) -> nn.Module:
    """Random weights, the same in every test."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network: nn.Module = torchvision.models.get_model(
            name, weights=None, num_classes=num_classes
        )
    return network.eval()


def random_images(count: int, size: int) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def tiny_transformer(name: str) -> nn.Module:
    """A transformer of few, small blocks, for pictures of 32 pixels and 4 classes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = TRANSFORMERS[name]()
        for weight in network.parameters():  # some heads start at zero: no maps
            if weight.ndim > 1:
                nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
    return network.eval()


def network_and_images(name: str, count: int = 2, size: int = 64) -> tuple[nn.Module, Tensor]:
    """A tiny transformer with pictures of its only size, or torchvision's network of that name."""
    if name in TRANSFORMERS:
        return tiny_transformer(name), random_images(count, 32)
    return torchvision_net(name), random_images(count, size)


def _swin(block: Callable[..., nn.Module], downsample: Callable[..., nn.Module]) -> nn.Module:
    depths, heads, window = [1, 2], [1, 2], [4, 4]
    network: nn.Module = swin_transformer.SwinTransformer(
        [2, 2], 8, depths, heads, window, num_classes=4, block=block, downsample_layer=downsample
    )
    return network


class SequenceFirst(nn.Module):
    """torch's own encoder, whose tokens come before the batch; the head reads a class token."""

    def __init__(self, norm_first: bool) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.token_11D = nn.Parameter(torch.randn(1, 1, 16))
        block = nn.TransformerEncoderLayer(16, 2, 32, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(block, 3, enable_nested_tensor=False)
        self.head = nn.Linear(16, 4)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        patch_TBD = self.patches(image_BCHW).flatten(2).permute(2, 0, 1)
        token_TBD = torch.cat([self.token_11D.expand(-1, len(image_BCHW), -1), patch_TBD])
        logits_BK: Tensor = self.head(self.encoder(token_TBD)[0])
        return logits_BK


_vit = partial(
    timm.models.VisionTransformer,
    img_size=32,
    patch_size=8,
    embed_dim=16,
    depth=3,
    num_heads=2,
    num_classes=4,
)
TRANSFORMERS: dict[str, Callable[[], nn.Module]] = {
    "vit": lambda: torchvision.models.VisionTransformer(32, 8, 3, 2, 16, 32, num_classes=4),
    "vit_registers": lambda: _vit(reg_tokens=2),
    "vit_average": lambda: _vit(global_pool="avg"),
    "vit_first": lambda: SequenceFirst(norm_first=True),
    "vit_post_norm": lambda: SequenceFirst(norm_first=False),
    "swin": lambda: _swin(swin_transformer.SwinTransformerBlock, swin_transformer.PatchMerging),
    "swin_v2": lambda: _swin(
        swin_transformer.SwinTransformerBlockV2, swin_transformer.PatchMergingV2
    ),
    "convnext": lambda: convnext.ConvNeXt(
        [convnext.CNBlockConfig(8, 16, 1), convnext.CNBlockConfig(16, None, 1)], num_classes=4
    ),
}
