"""CIFAR-100."""

from unlearnbench.data.vision import TorchvisionSource

SIDE = 32


class Cifar100(TorchvisionSource):
    """60,000 colour images, 32x32 pixels, 100 classes; through torchvision."""

    dataset = "CIFAR100"
    files = ("cifar-100-python",)
