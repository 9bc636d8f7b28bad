"""Fashion-MNIST."""

from unlearnbench.data.vision import TorchvisionSource

SIDE = 28


class FashionMnist(TorchvisionSource):
    """70,000 grey images of clothes, 28x28 pixels, 10 classes; through torchvision."""

    dataset = "FashionMNIST"
    files = ("FashionMNIST/raw",)
    classes = (
        *("T-shirt", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    )
