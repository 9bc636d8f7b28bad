"""SVHN."""

from unlearnbench.data.vision import TorchvisionSource

SIDE = 32


class Svhn(TorchvisionSource):
    """99,289 colour images of house numbers, 32x32 pixels, 10 classes; through torchvision."""

    dataset = "SVHN"
    files = ("train_32x32.mat", "test_32x32.mat")
    parts = ({"split": "train"}, {"split": "test"})
