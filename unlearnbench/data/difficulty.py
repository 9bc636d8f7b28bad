"""Which training samples a model will have to memorise, guessed without training any."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unlearnbench.data.source import Images, Labels

NEIGHBOURS = 10
BLOCK = 1024
"""Samples whose distances to all others are held at a time."""


def by_memorisation(images: Images, labels: Labels) -> NDArray[np.int64]:
    """Order samples from the least to the most memorised, by a proxy; [n] indices.

    A sample that looks like its class can be learnt from others; one that lies among other classes
    must be remembered (Feldman, arXiv 1906.05271). The proxy is the share of a sample's 10 nearest
    neighbours, by l2 distance of pixels, that carry another label; among equals, the distance to
    the nearest of its own class over that to the nearest of another. Squared distances of bytes are
    whole numbers that float64 holds exactly, so the order is the same on every machine.
    """
    flat = images.reshape(len(images), -1).astype(np.float64)
    squares = (flat**2).sum(1)
    strangers, ratios = np.empty(len(flat)), np.empty(len(flat))
    few = min(NEIGHBOURS, len(flat) - 1)
    for start in range(0, len(flat), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(flat)))
        far = squares[rows, None] + squares - 2 * flat[rows] @ flat.T
        far[np.arange(len(rows)), rows] = np.inf
        other = labels[rows, None] != labels
        reach = np.partition(far, few - 1, axis=1)[:, few - 1, None]
        near = far <= reach  # ties at the end are all counted
        strangers[rows] = (near & other).sum(1) / near.sum(1)
        own = np.where(other, np.inf, far).min(1)
        ratios[rows] = np.sqrt(own / np.maximum(np.where(other, far, np.inf).min(1), 1))
    return np.lexsort((ratios, strangers))
