"""Data sets through torchvision."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from unlearnbench.data.prepare import Images, Labels, Pool, Source
from unlearnbench.errors import DataError


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

    def there(self) -> bool:
        """Say whether its files are."""
        return all(path.exists() for path in self.paths)

    def fetch(self) -> None:
        """Download with a progress bar what is not there."""
        if self.there():
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
