"""A small convolutional net for 8x8 to 16x16 images."""

from torch import nn


def build(classes: int, channels: int, size: int) -> nn.Module:
    """Three 3x3 convolutions with BatchNorm, 16-32-32 channels, one pooling, a linear head."""

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]

    half = size // 2
    return nn.Sequential(
        *block(channels, 16),
        *block(16, 32),
        nn.MaxPool2d(2),
        *block(32, 32),
        nn.Flatten(),
        nn.Linear(32 * half * half, classes),
    )
