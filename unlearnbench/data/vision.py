"""Data sets through torchvision."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np

from unlearnbench.data.prepare import Images, Labels, Pool, Source
from unlearnbench.errors import DataError
from unlearnbench.files import DRAFT, UnsoundError, abandoned, opened_behind, refuse_link

FASHION = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
UNCOMPARED = {
    "FashionMNIST": {f"FashionMNIST/raw/{name}": known for name, known in FASHION.items()}
}
"""SHA-256 of files that torchvision reads without comparing them, by data set and place.

What it reads of CIFAR and SVHN it compares with its own checksums first. Of Fashion-MNIST it
compares the archives alone, when it downloads them; they need not be there, and may be packed
otherwise, as Debian's are. So what is compared here is what was packed.
"""


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
        """Download with a progress bar what is not there.

        Everything is downloaded, unpacked and compared in a folder of its own first: torchvision
        would write through links that somebody has put in the data folder.
        """
        if self.there():
            return
        for path in self.paths:
            for place in (path, *path.parents[: len(path.relative_to(self.root).parts) - 1]):
                refuse_link(place)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with self._apart() as folder:
                for part in self.parts:
                    self._open(folder, part, download=True)
                self._compare(folder)
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"{self.dataset} is not in {self.root} and could not be downloaded ({error}).",
                f"Put its files at {self._places}, or name the folder that holds them with --data.",
            ) from error

    def load(self) -> Pool:
        """Read both parts, if all their files are those that were published."""
        try:
            self._compare(self.root)
            train, test = (
                _arrays(self._open(self.root, part, download=False)) for part in self.parts
            )
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"{self.dataset} in {self.root} cannot be read: {error}",
                f"Remove {self._places} and run again.",
            ) from error
        return Pool(train, test)

    @contextmanager
    def _apart(self) -> Iterator[Path]:
        """Yield a folder with what is there already; what it then holds goes to the data folder."""
        self._sweep()
        archive = str(getattr(self._kind, "filename", ""))
        with TemporaryDirectory(prefix=f"{DRAFT}{self.dataset}-", dir=self.root) as made:
            folder = Path(made)
            for name in filter(None, (archive, *self.files)):
                if (self.root / name).is_file():
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(self.root / name, folder / name)
            yield folder
            if archive and archive not in self.files:
                (folder / archive).unlink(missing_ok=True)
            _move(folder, self.root)

    def _sweep(self) -> None:
        """Remove what downloads left that were killed."""
        for draft in self.root.glob(f"{DRAFT}{self.dataset}-*"):
            inside = [Path(at, name) for at, _, names in os.walk(draft) for name in (".", *names)]
            if not draft.is_symlink() and len(abandoned(inside)) == len(inside):
                shutil.rmtree(draft, ignore_errors=True)

    def _compare(self, root: Path) -> None:
        """Raise RuntimeError where torchvision would read a file that it compares with nothing."""
        processed = root / self.dataset / "processed"
        if hasattr(self._kind, "processed_folder") and os.path.lexists(processed):
            problem = f"{processed} is of an old torchvision, and would be read without a checksum."
            raise DataError(problem, "Remove this folder: the files in raw are enough.")
        for name, known in UNCOMPARED.get(self.dataset, {}).items():
            if (root / name).exists():
                try:
                    with opened_behind(root / name) as file:
                        fine = file_digest(file, "sha256").hexdigest() == known
                except UnsoundError as error:
                    raise RuntimeError(f"{name} {error}.") from error
                if not fine:
                    raise RuntimeError(f"{name} is not the file that was published.")

    @property
    def _kind(self) -> Any:
        import torchvision

        return getattr(torchvision.datasets, self.dataset)

    def _open(self, root: Path, part: dict[str, Any], *, download: bool) -> Any:
        return self._kind(root, download=download, **part)


def _move(made: Path, place: Path) -> None:
    """Move a file or a folder, into a folder that is there already what it holds."""
    if not (made.is_dir() and place.is_dir()):
        made.replace(place)
        return
    for inside in sorted(made.iterdir()):
        refuse_link(place / inside.name)
        _move(inside, place / inside.name)


def _arrays(dataset: Any) -> tuple[Images, Labels]:
    images = np.asarray(dataset.data)
    labels = np.asarray(getattr(dataset, "targets", getattr(dataset, "labels", None)))
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[-1] == 3:
        images = images.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(images), labels.astype(np.int64)
