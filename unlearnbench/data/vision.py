"""Data sets through torchvision, and folders of image files."""

import os
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from unlearnbench.data.prepare import Images, Labels, Pool, Source
from unlearnbench.errors import DataError
from unlearnbench.files import write


class TorchvisionSource(Source):
    """Read a data set class of torchvision, downloading it where it is missing."""

    dataset: ClassVar[str]
    """Name of the class in torchvision.datasets."""
    files: ClassVar[tuple[str, ...]]
    """What must exist below the data folder for the set to count as there."""
    parts: ClassVar[tuple[dict[str, Any], dict[str, Any]]] = ({"train": True}, {"train": False})
    """Arguments that select the training and the test set."""

    @property
    def paths(self) -> list[Path]:
        """Where its files are."""
        return [self.root / name for name in self.files]

    @property
    def _places(self) -> str:
        return " and ".join(map(str, self.paths))

    def fetch(self) -> None:
        """Download with a progress bar what is not there."""
        if all(path.exists() for path in self.paths):
            return
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for part in self.parts:
                self._open(part, download=True)
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"{self.dataset} is not in {self.root} and could not be downloaded ({error}).",
                f"Put its files at {self._places}, or name the folder that holds them with --data.",
            ) from error

    def load(self) -> Pool:
        """Read both parts; torchvision verifies their checksums."""
        try:
            train, test = (_arrays(self._open(part, download=False)) for part in self.parts)
        except RuntimeError as error:
            raise DataError(
                f"{self.dataset} in {self.root} cannot be read: {error}",
                f"Remove {self._places} and run again.",
            ) from error
        return Pool(train, test)

    def _open(self, part: dict[str, Any], *, download: bool) -> Any:
        import torchvision

        return getattr(torchvision.datasets, self.dataset)(self.root, download=download, **part)


def _arrays(dataset: Any) -> tuple[Images, Labels]:
    images = np.asarray(dataset.data)
    labels = np.asarray(getattr(dataset, "targets", getattr(dataset, "labels", None)))
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[-1] == 3:
        images = images.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(images), labels.astype(np.int64)


class FolderSource(Source):
    """Read `train/<class>/*` and `test/<class>/*`, decoded once and cached as one array file."""

    parts: ClassVar[tuple[str, str]] = ("train", "test")
    layout: ClassVar[str] = "It must hold train/<class>/<image> and test/<class>/<image>."

    @property
    def folder(self) -> Path:
        """Where train/ and test/ are."""
        return self.root / (self.path or ".")

    def fetch(self) -> None:
        """Check that both parts are there."""
        for part in self.parts:
            if not (self.folder / part).is_dir():
                raise DataError(f"There is no folder {self.folder / part}.", self.layout)

    def load(self) -> Pool:
        """Read the cache, or decode every image and write it."""
        cache = self.folder / ".unlearnbench.npz"
        newest = max(
            p.stat().st_mtime for part in self.parts for p in self.folder.glob(f"{part}/*")
        )
        if cache.exists() and cache.stat().st_mtime >= newest:
            with np.load(cache, allow_pickle=False) as stored:
                return Pool((stored["x"], stored["y"]), (stored["test_x"], stored["test_y"]))
        (x, y), (test_x, test_y) = map(self.decode, self.parts)
        if os.access(self.folder, os.W_OK):
            write(cache, partial(np.savez, x=x, y=y, test_x=test_x, test_y=test_y))
        return Pool((x, y), (test_x, test_y))

    def decode(self, part: str) -> tuple[Images, Labels]:
        """Decode `part`/<class>/*; classes are numbered by name."""
        from torchvision.datasets import ImageFolder

        try:
            dataset = ImageFolder(self.folder / part)
        except FileNotFoundError as error:
            raise DataError(f"{self.folder / part} holds no images.", self.layout) from error
        images = [np.asarray(image) for image, _ in dataset]
        return stack(images, self.folder / part), np.array(dataset.targets, dtype=np.int64)


def stack(images: list[Any], where: Path) -> Images:
    """Join decoded colour images [H, W, 3] into [n, 3, H, W]. Raises DataError if sizes differ."""
    shapes = sorted({image.shape for image in images})
    if len(shapes) > 1:
        raise DataError(f"The images in {where} differ in size: {shapes[:3]}.", "Resize them.")
    return np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
