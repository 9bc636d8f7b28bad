"""ResNet-18 as it is made for 32x32 images."""

from typing import Any, cast

from torch import nn
from torchvision.models import resnet18

# from here on no map is 1x1, of which BatchNorm cannot train on a single image
SMALLEST = 9


def build(classes: int, channels: int, size: int) -> nn.Module:
    """Build torchvision's ResNet-18 with the CIFAR stem: 3x3 first convolution, no first pooling.

    AMUN's code also halves the sum in each down-sampling block; the paper calls it ResNet-18 and
    does not say so, so it is not done here.
    """
    model: Any = resnet18(num_classes=classes)
    model.conv1 = nn.Conv2d(channels, 64, 3, 1, 1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()
    return cast("nn.Module", model)
