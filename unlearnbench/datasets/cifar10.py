"""CIFAR-10."""

from unlearnbench.data.vision import TorchvisionSource

SIDE = 32


class Cifar10(TorchvisionSource):
    """60,000 colour images, 32x32 pixels, 10 classes; through torchvision."""

    dataset = "CIFAR10"
    files = ("cifar-10-batches-py",)
    classes = (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )
