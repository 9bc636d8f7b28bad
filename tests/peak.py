"""The memory that something takes at most."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable


def peak(work: Callable[[], object]) -> int:
    """Return how many bytes were held at once while `work` was done, beside what was held before.

    NumPy's arrays count, PyTorch's do not.
    """
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
