"""A benchmark's samples on a device, read once a worker.

Specs of data are hashable, as all of pydantic's frozen models, which pyright cannot see.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from unlearnbench import registry
from unlearnbench.data.difficulty import by_memorisation
from unlearnbench.data.prepare import Data, DataSpec, prepare
from unlearnbench.recipe import Recipe
from unlearnbench.toolkit.examples import Examples


@lru_cache(maxsize=2)
def load_data(spec: DataSpec, root: Path) -> Data:
    """Read a data set once a worker."""
    return prepare(registry.source(spec, root), spec)


@lru_cache(maxsize=2)
def memorisation_order(spec: DataSpec, root: Path) -> NDArray[np.int64]:
    """Order the training samples once a worker: all pairs are compared."""
    return by_memorisation(*load_data(spec, root).train)  # pyright: ignore[reportArgumentType]


_resident: dict[tuple[str, Recipe, torch.device], Examples] = {}


def resident(data: Data, recipe: Recipe, device: torch.device) -> Examples:
    """Keep the pool on the device as uint8, one benchmark at a time."""
    key = (data.digest, recipe, device)
    if key not in _resident:
        _resident.clear()
        train, test, held_out = (
            examples_of(part, recipe, device) for part in (data.train, data.test, data.held_out)
        )
        _resident[key] = train + test + held_out
    return _resident[key]


def examples_of(
    part: tuple[NDArray[np.uint8], NDArray[np.int64]], recipe: Recipe, device: torch.device
) -> Examples:
    """Move arrays to the device."""
    images, labels = (torch.from_numpy(array).to(device) for array in part)
    return Examples(images, labels, torch.ones_like(labels, dtype=torch.bool), recipe)
