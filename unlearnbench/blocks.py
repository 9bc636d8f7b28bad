"""Large arrays, some rows at a time: where what is made of a row needs no other."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BLOCK = 2**23
"""Numbers that are worked on at a time: in float64 each takes up to 60 bytes meanwhile."""


def row_blocks(numbers: NDArray[np.generic]) -> Iterator[slice]:
    """Yield slices that hold all rows of an array [n, columns], in order."""
    size = max(1, BLOCK // numbers.shape[1])
    for start in range(0, len(numbers), size):
        yield slice(start, start + size)
