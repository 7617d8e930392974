"""A network of your own: `--model examples/own_model.py:build --weights own_model.safetensors`."""

from torch import Tensor, nn


class Net(nn.Module):
    """Three convolutions and a linear layer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            *(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU()),
        )
        self.head = nn.Linear(64, classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.trunk(images).mean((2, 3)))
        return logits


def build() -> nn.Module:
    """Called without arguments; `--weights` fills what it returns."""
    return Net(classes=4)
