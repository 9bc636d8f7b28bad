"""MobileNetV2 as it is made for 32x32 images."""

from typing import Any, cast

from torch import nn
from torchvision.models import mobilenet_v2

# from here on no map is 1x1, of which BatchNorm cannot train on a single image
SMALLEST = 9
STAGES = [
    [1, 16, 1, 1],
    [6, 24, 2, 1],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
]
"""Of each stage: expansion, channels, blocks, stride."""


def build(classes: int, channels: int, size: int) -> nn.Module:
    """Build torchvision's MobileNetV2 without its first two strides and without dropout.

    So 32x32 images end as 4x4 maps, where the net for 224x224 would leave them 1x1.
    """
    model: Any = mobilenet_v2(num_classes=classes, inverted_residual_setting=STAGES, dropout=0.0)
    model.features[0][0] = nn.Conv2d(channels, 32, 3, 1, 1, bias=False)
    nn.init.kaiming_normal_(model.features[0][0].weight, mode="fan_out")
    return cast("nn.Module", model)
