"""Handwritten digits, 8x8, inside scikit-learn: no download."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from unlearnbench.data import Pool, Source

SIDE = 8


class Digits(Source):
    """1,797 grey images of handwritten digits, 8x8 pixels, 10 classes; ships with scikit-learn.

    Has no test set of its own. Intensities 0..16 are scaled to 0..255.
    """

    def load(self) -> Pool:
        """Read scikit-learn's file; importing its loader takes a second in every worker."""
        package = find_spec("sklearn")
        places = package.submodule_search_locations if package else None
        file = Path(places[0], "datasets", "data", "digits.csv.gz") if places else None
        if file is not None and file.is_file():
            table = np.loadtxt(file, delimiter=",")
            pixels, labels = table[:, :-1], table[:, -1]
        else:
            from sklearn.datasets import load_digits

            pixels, labels = map(np.asarray, load_digits(return_X_y=True))
        images = np.round(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
        return Pool((images, labels.astype(np.int64)), (images[:0], labels[:0].astype(np.int64)))
