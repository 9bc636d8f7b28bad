"""ResNet-18 for 32x32 images whose outputs change no faster than a bound."""

from torch import nn

from unlearnbench.toolkit.bounded import Block, BoundedConv, BoundedLinear, Centred


def build(classes: int, channels: int, size: int) -> nn.Module:
    """Build ResNet-18 with the CIFAR stem, without BatchNorm, of layers of norm at most 1.

    The net of AMUN's experiments on Lipschitz-bounded models; see `Bounded` for what is not as in
    its authors' code. The five blocks that keep the shape double the bound at most each, the mean
    over s x s positions divides it by s: at 32x32 the net's Lipschitz constant is at most 8.
    """
    layers: list[nn.Module] = [Centred(), BoundedConv(channels, 64, 3, size), nn.ReLU()]
    inputs, side = 64, size
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers.append(Block(inputs, width, side, stride))
        inputs, side = width, (side - 1) // stride + 1
        layers.append(Block(inputs, width, side, 1))
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), BoundedLinear(inputs, classes)]
    return nn.Sequential(*layers)
