"""A small convolutional net for 8x8 to 16x16 images."""

from torch import Tensor, nn

# from here on no map is 1x1, of which BatchNorm cannot train on a single image
SMALLEST = 4


def channels_last(images: Tensor) -> Tensor:
    """Lay images out in memory as all layers of this model do."""
    # vmap knows no memory formats, but this gives the same strides under it as well
    return images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


class _Flatten(nn.Module):
    """Flatten, and hand gradients back as channels_last, which all layers before it are."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, C, H, W] to [b, C * H * W]."""
        if x.requires_grad:  # the same numbers: only ReLU and BatchNorm go over them faster
            x.register_hook(channels_last)  # type: ignore[no-untyped-call]
        return x.flatten(1)


def build(classes: int, channels: int, size: int) -> nn.Module:
    """Three 3x3 convolutions with BatchNorm, 16-32-32 channels, one pooling, a linear head."""

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]

    return nn.Sequential(
        *block(channels, 16),
        *block(16, 32),
        nn.MaxPool2d(2),
        *block(32, 32),
        _Flatten(),
        nn.Linear(32 * (size // 2) ** 2, classes),
    )
