"""Tiny ImageNet."""

from pathlib import Path

import numpy as np
from PIL import Image

from unlearnbench.data import Images, Labels
from unlearnbench.data.vision import FolderSource, stack

SIDE = 64


class TinyImageNet(FolderSource):
    """110,000 colour images, 64x64 pixels, 200 classes; its validation part is the test set."""

    parts = ("train", "val")
    layout = "Unpack tiny-imagenet-200.zip (Stanford, CS231n) below the folder named by --data."

    @property
    def folder(self) -> Path:
        """Where the archive unpacks to."""
        return self.root / (self.path or "tiny-imagenet-200")

    def decode(self, part: str) -> tuple[Images, Labels]:
        """Decode train/ by folders, val/ by its list of annotations."""
        if part == "train":
            return super().decode(part)
        classes = sorted(folder.name for folder in (self.folder / "train").iterdir())
        lines = (self.folder / "val" / "val_annotations.txt").read_text().splitlines()
        names, labels = zip(*(line.split("\t")[:2] for line in lines), strict=True)
        paths = [self.folder / "val" / "images" / name for name in names]
        images = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
        return stack(images, self.folder / part), np.array([classes.index(c) for c in labels])
