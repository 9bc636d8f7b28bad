"""Images and labels as arrays, and where they come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """Hold a data set as its source gives it.

    images: uint8 [n, C, H, W]; labels: int64 [n]; a source without a test set of its own gives
    everything as train and an empty test set.
    """

    train: tuple[Images, Labels]
    test: tuple[Images, Labels]


class Source(ABC):
    """Stand for one data set; a subclass lives in a file named as the data set."""

    def __init__(self, root: Path, path: str | None = None) -> None:
        """Look below `root`, the folder given as --data; `path` is for sources that need one."""
        self.root = root
        self.path = path

    def fetch(self) -> None:  # noqa: B027 (most sources have nothing to do)
        """Make sure the data are there, downloading them where that is possible.

        Runs once, before any worker starts. Raises DataError saying where to put what.
        """

    @abstractmethod
    def load(self) -> Pool:
        """Read everything."""
