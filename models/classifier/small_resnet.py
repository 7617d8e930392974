"""A small residual network for the generated benchmark: 8x8 cells for pictures of 64 px."""

from __future__ import annotations

from torch import Tensor, nn

from models.classifier.preprocessing import Preprocessing

WIDTHS = (32, 48, 96, 128)  # channels of the stem and the stages; 0.45 million parameters


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()
        self.shortcut = _shortcut(inputs, outputs, stride)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW = self.relu1(self.bn1(self.conv1(x_BCHW)))
        y_BCHW = self.bn2(self.conv2(y_BCHW))
        out_BCHW: Tensor = self.relu2(y_BCHW + self.shortcut(x_BCHW))
        return out_BCHW


class SmallResNet(nn.Module):
    """Stem and three stages; stem, stage1 and stage2 halve the picture."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        stem, narrow, middle, wide = WIDTHS
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 5, 2, 2, bias=False), nn.BatchNorm2d(stem), nn.ReLU()
        )
        self.stage1 = ResidualBlock(stem, narrow, 2)
        self.stage2 = ResidualBlock(narrow, middle, 2)
        self.stage3 = ResidualBlock(middle, wide)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(wide, num_classes)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        x_BCHW = self.stage3(self.stage2(self.stage1(self.stem(image_BCHW))))
        logit_BK: Tensor = self.fc(self.pool(x_BCHW).flatten(1))
        return logit_BK


def small_resnet(num_classes: int = 4) -> nn.Module:
    """The network with fresh weights, from torch's random state."""
    return SmallResNet(num_classes)


def small_preprocessing(image_size: int = 64) -> Preprocessing:
    """Pictures of this size without resizing, values from -1 to 1."""
    return Preprocessing(crop=(image_size, image_size), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """The identity, or a 1x1 convolution to the block's shape."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
