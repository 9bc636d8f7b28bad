"""The images of a benchmark, read once a worker: all on the device, or streamed to it."""

import warnings
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unlearnbench import registry
from unlearnbench.data.handing import handed
from unlearnbench.data.prepare import Data, DataSpec, Drawn, Images, Labelled, draw_samples
from unlearnbench.data.splits import by_memorisation
from unlearnbench.environment import cores
from unlearnbench.execution import Feeding
from unlearnbench.recipe import Recipe
from unlearnbench.registry import Plugin
from unlearnbench.toolkit.examples import Examples
from unlearnbench.toolkit.stored import Stored

SHARE = 0.25
"""Of a device's free memory, or of what a core has of the machine's, that images may take.

A run holds its retain set beside the pool, and methods join sets.
"""


@lru_cache(maxsize=2)
def load_data(
    spec: DataSpec, root: Path, plugins: tuple[Plugin, ...] = (), given: Path | None = None
) -> Data:
    """Read a data set once a worker; plugins: the user's, in which it may be.

    given: where the main process has put what it read.
    """
    if given is not None and (data := handed(given, spec)) is not None:
        return data
    return draw_samples(registry.source(spec, root, plugins), spec)


@lru_cache(maxsize=2)
def memorisation_order(
    spec: DataSpec,
    root: Path,
    plugins: tuple[Plugin, ...],
    count: int,
    given: Path | None = None,
) -> NDArray[np.int64]:
    """Order the first samples of the pool once a worker: all pairs are compared."""
    data = load_data(spec, root, plugins, given)  # pyright: ignore[reportArgumentType]
    return by_memorisation(data.images[:count], data.labels[:count])


@lru_cache(maxsize=1)
def pooled(
    spec: DataSpec,
    root: Path,
    plugins: tuple[Plugin, ...],
    recipe: Recipe,
    device: torch.device,
    images: Feeding = "auto",
    given: Path | None = None,
) -> Examples:
    """Return the pool of one benchmark, as uint8: training, test and held-out samples."""
    data = load_data(spec, root, plugins, given)  # pyright: ignore[reportArgumentType]
    parts = data.train, data.test, data.held_out
    size = sum(int(np.prod(part[0].shape)) for part in parts)
    streamed = images == "streamed" or (images == "auto" and size > SHARE * room(device))
    if data.whole is not None:
        return examples_of((data.whole, data.labels), recipe, device, streamed)
    train, test, held_out = (examples_of(part, recipe, device, streamed) for part in parts)
    return train + test + held_out


LENT = 2**28
"""Bytes of images up to which all are looked at to see whether they were changed."""
WORDS = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.uint8}


@lru_cache(maxsize=1)
def pool_mark(
    spec: DataSpec,
    root: Path,
    plugins: tuple[Plugin, ...],
    recipe: Recipe,
    device: torch.device,
    images: Feeding = "auto",
    given: Path | None = None,
) -> list[int]:
    """Return the mark of a pool as it was read."""
    return mark(pooled(spec, root, plugins, recipe, device, images, given))  # pyright: ignore[reportArgumentType]


def mark(examples: Examples) -> list[int]:
    """Return numbers that change where images or labels do; of very many, rows here and there."""
    images = examples.images.arrays if isinstance(examples.images, Stored) else (examples.images,)
    return [_sum(array) for array in (*images, examples.labels)]


def _sum(array: Tensor) -> int:
    """Sum an array as whole numbers, each row as often as its place says."""
    some = array[:: max(1, array.nbytes // LENT)]
    rows = some.contiguous().flatten(1) if some.ndim > 1 else some[:, None]
    size = rows.shape[1] * rows.element_size()
    words = rows.view(WORDS[next(width for width in WORDS if size % width == 0)])
    places = torch.arange(1, len(words) + 1, device=words.device)
    return int((words.sum(1, dtype=torch.int64) * places).sum())


def forget_images() -> None:
    """Have data and pool read again when they are next asked for."""
    load_data.cache_clear()
    pooled.cache_clear()
    pool_mark.cache_clear()


def copied(examples: Examples) -> Examples:
    """Return examples that share no memory with the data, but for images that are stored."""
    images = examples.images
    held = images if isinstance(images, Stored) else images.clone()
    return replace(examples, images=held, labels=examples.labels.clone())


def room(device: torch.device) -> int:
    """Return the free memory of a GPU, or the machine's a core, in bytes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    import psutil  # here: it is not needed to say that Windows is not supported

    return psutil.virtual_memory().total // cores()


def examples_of(
    part: Labelled, recipe: Recipe, device: torch.device, streamed: bool = False
) -> Examples:
    """Take a part of the data to the device, or only its labels."""
    labels = torch.from_numpy(part[1]).to(device)
    images = stored(part[0], device) if streamed else held(part[0], device)
    return Examples(images, labels, torch.ones_like(labels, dtype=torch.bool), recipe)


def held(images: Images, device: torch.device) -> Tensor:
    """Bring images to the device, all of them."""
    return torch.from_numpy(np.asarray(images)).to(device)


def stored(images: Images, device: torch.device) -> Tensor:
    """Leave images where they are, in memory or in their file."""
    of = images if isinstance(images, Drawn) else Drawn(images, np.arange(len(images)))
    with warnings.catch_warnings():  # that a file is not to be written to, as nothing does
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        array = torch.from_numpy(of.file)
    return cast("Tensor", Stored((array,), torch.from_numpy(of.index), device))
