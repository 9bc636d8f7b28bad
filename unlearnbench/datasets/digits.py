"""Handwritten digits, 8x8, inside scikit-learn: no download."""

import numpy as np

from unlearnbench.data import Pool, Source


class Digits(Source):
    """1,797 grey images of handwritten digits, 8x8 pixels, 10 classes; ships with scikit-learn.

    Has no test set of its own. Intensities 0..16 are scaled to 0..255.
    """

    def load(self) -> Pool:
        """Read them from scikit-learn."""
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        images = np.round(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
        return Pool((images, labels.astype(np.int64)), (images[:0], labels[:0].astype(np.int64)))
