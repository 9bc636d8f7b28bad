"""VGG-19 with BatchNorm for images of 32x32 and more."""

from typing import Any, cast

from torch import nn
from torchvision.models import vgg19_bn

SMALLEST = 32


def build(classes: int, channels: int, size: int) -> nn.Module:
    """Build torchvision's VGG-19-BN with one linear layer on what is left after five poolings.

    At 64x64 that head is the Linear(2048, classes) of AMUN's Tiny ImageNet experiments.
    """
    model: Any = vgg19_bn(num_classes=classes)
    if channels != 3:
        model.features[0] = nn.Conv2d(channels, 64, 3, padding=1)
    model.avgpool = nn.Identity()
    side = size // 32
    model.classifier = nn.Linear(512 * side * side, classes)
    return cast("nn.Module", model)
