"""CifarNet: a fast convolutional net for 32x32 images, slim enough to train on two cores."""

from torch import Tensor, nn

# from here on no map is 1x1, of which BatchNorm cannot train on a single image
SMALLEST = 17
WIDTHS = (64, 128, 128)


class _GlobalMax(nn.Module):
    """Keep of each channel its largest value."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, C, H, W] to [b, C]."""
        return x.amax((2, 3))


def build(classes: int, channels: int, size: int) -> nn.Module:
    """Build a stem of 24 channels and three groups of two 3x3 convolutions, 570 thousand weights.

    The layout of CifarNet in Jordan's airbench94 (arXiv 2404.00498), with a learned first layer,
    scales of BatchNorm that are trained, PyTorch's own initialisation, and narrower groups.
    """

    def half(inputs: int, outputs: int, *between: nn.Module) -> list[nn.Module]:
        conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        return [conv, *between, nn.BatchNorm2d(outputs), nn.GELU()]

    layers: list[nn.Module] = [nn.Conv2d(channels, 24, 2), nn.GELU()]
    for inputs, outputs in zip((24, *WIDTHS), WIDTHS, strict=False):
        layers += [*half(inputs, outputs, nn.MaxPool2d(2)), *half(outputs, outputs)]
    return nn.Sequential(*layers, _GlobalMax(), nn.Linear(WIDTHS[-1], classes))
