"""The images of a benchmark, read once a worker, on the device."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from unlearnbench import registry
from unlearnbench.data.prepare import Data, DataSpec, Images, Labels, draw_samples
from unlearnbench.data.splits import by_memorisation
from unlearnbench.recipe import Recipe
from unlearnbench.registry import Plugin
from unlearnbench.toolkit.examples import Examples


@lru_cache(maxsize=2)
def load_data(spec: DataSpec, root: Path, plugins: tuple[Plugin, ...] = ()) -> Data:
    """Read a data set once a worker; plugins: the user's, in which it may be."""
    return draw_samples(registry.source(spec, root, plugins), spec)


@lru_cache(maxsize=2)
def memorisation_order(
    spec: DataSpec, root: Path, plugins: tuple[Plugin, ...], count: int
) -> NDArray[np.int64]:
    """Order the first samples of the pool once a worker: all pairs are compared."""
    data = load_data(spec, root, plugins)  # pyright: ignore[reportArgumentType]
    return by_memorisation(data.images[:count], data.labels[:count])


@lru_cache(maxsize=1)
def resident(
    spec: DataSpec, root: Path, plugins: tuple[Plugin, ...], recipe: Recipe, device: torch.device
) -> Examples:
    """Keep the pool of one benchmark on the device, as uint8."""
    data = load_data(spec, root, plugins)  # pyright: ignore[reportArgumentType]
    test, held_out = (examples_of(part, recipe, device) for part in (data.test, data.held_out))
    return examples_of(data.train, recipe, device) + test + held_out


def examples_of(part: tuple[Images, Labels], recipe: Recipe, device: torch.device) -> Examples:
    """Move arrays to the device."""
    images, labels = (torch.from_numpy(array).to(device) for array in part)
    return Examples(images, labels, torch.ones_like(labels, dtype=torch.bool), recipe)
