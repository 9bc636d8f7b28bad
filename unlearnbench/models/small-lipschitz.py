"""A small residual net for 8x8 to 16x16 images whose outputs change no faster than a bound."""

from torch import nn

from unlearnbench.toolkit.bounded import Block, BoundedConv, BoundedLinear, Centred


def build(classes: int, channels: int, size: int) -> nn.Module:
    """Build a stem, six blocks of 16 channels and a head, of layers of norm at most 1.

    Without BatchNorm. Each block doubles the bound at most: the net's Lipschitz constant is at
    most 64. With much less it could not tell images apart that are as near as digits are.
    """
    return nn.Sequential(
        Centred(),
        BoundedConv(channels, 16, 3, size),
        nn.ReLU(),
        *(Block(16, 16, size, 1) for _ in range(6)),
        nn.Flatten(),
        BoundedLinear(16 * size * size, classes),
    )
