"""Networks that several tests look at: seeded, in evaluation mode, cheap."""

from __future__ import annotations

import torch
import torchvision
from torch import Tensor, nn


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
