"""Where images and labels come from, which of them a benchmark uses, and as what."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from unlearnbench.data.copies import count_copies
from unlearnbench.data.faults import refuse
from unlearnbench.data.fitting import Fit
from unlearnbench.data.fitting import Images as Images
from unlearnbench.errors import DataError, UnlearnBenchError
from unlearnbench.guarding.guard import foreign
from unlearnbench.recipe import Strict

Labels = NDArray[np.int64]
Labelled = tuple[Images, Labels]
LARGEST = 4096
"""Side of images, in pixels."""
BLOCK = 256
"""Images that are read from a file at a time, where all of them are looked at."""


@dataclass(frozen=True)
class Drawn:
    """Stand for an array of images, rows `index` of a file that is mapped into memory.

    They are read when they are asked for, as in `images[:8]`, and may be more than memory holds.
    """

    file: Images
    index: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.index)

    def __getitem__(self, index: slice | NDArray[np.int64]) -> Images:
        """Read some of the images."""
        return np.asarray(self.file[self.index[index]])

    def __array__(self, dtype: object = None, copy: bool | None = None) -> Images:
        """Read them all."""
        return self[:]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, as an array's."""
        return len(self), *self.file.shape[1:]


@dataclass(frozen=True)
class Pool:
    """Hold a data set as its source gives it.

    images: uint8 [n, C, H, W]; labels: int64 [n]; a source without a test set of its own gives
    everything as train and an empty test set. Images that are a `np.memmap` stay in their file.
    names: of the samples of train and of test, where they have any: files relative to the folder of
    the data set, with `/` (`train/cat/001.png`).
    """

    train: Labelled
    test: Labelled
    names: tuple[list[str], list[str]] | None = None


class Source(ABC):
    """Stand for one data set; a subclass lives in a file named as the data set."""

    fit: Fit = Fit()
    """What the benchmark wants done to images."""
    classes: ClassVar[Sequence[str]] = ()
    """Names of its classes, in the order of their numbers, where they are known beforehand."""
    fits: ClassVar[bool] = False
    """Whether `load` resizes and cuts images by itself, as where their sizes differ."""

    def __init__(self, root: Path, path: str | None = None) -> None:
        """Look below `root`, the folder given as --data; `path` is for sources that need one."""
        self.root = root
        self.path = path

    def fetch(self) -> None:  # noqa: B027 (most sources have nothing to do)
        """Make sure the data are there, downloading them where that is possible.

        Runs once, before any worker starts. Raises DataError saying where to put what.
        """

    def there(self) -> bool:
        """Say whether all can be read without `fetch`, as a dry run does, which downloads nothing.

        What cannot be fetched but must be there is looked at all the same: a missing file is a
        fault.
        """
        return type(self).fetch is Source.fetch

    def check(self) -> list[str]:
        """Look for faults before anything is made of the data; return what else to tell, in lines.

        Runs once, after `fetch`. Raises DataError naming all faults. A source whose `load` finds
        them needs none of its own.
        """
        return []

    @abstractmethod
    def load(self) -> Pool:
        """Read everything."""


class DataSpec(Strict):
    """Say which data set a benchmark uses, and how much of it."""

    later: ClassVar[dict[str, Any]] = {"superclasses": None, "resize": None, "crop": None}

    name: str = Field(description="a data set of `unlearnbench datasets`")
    path: str | None = Field(
        default=None, description="folder below --data (data set 'folder' only)"
    )
    train: int | None = Field(
        default=None, ge=1, description="training samples drawn at random; all if absent"
    )
    test: int | None = Field(
        default=None, ge=1, description="test samples drawn at random; all if absent"
    )
    validation: int = Field(
        default=0, ge=0, description="samples that are neither, for methods and tuning"
    )
    held_out: int = Field(
        default=0,
        ge=0,
        description="samples cut from the training set that serve attacks as non-members"
        " instead of the test set",
    )
    superclasses: tuple[tuple[int, ...], ...] | None = Field(
        default=None,
        min_length=1,
        description="classes that are merged into one label each, in this order",
    )
    resize: int | None = Field(
        default=None,
        ge=1,
        le=LARGEST,
        description="resize images to this many pixels of their shorter side, and cut a square from"
        " the centre",
    )
    crop: int | None = Field(
        default=None,
        ge=1,
        le=LARGEST,
        description="side of the square that is cut from the centre, if not `resize`",
    )
    size: int | None = Field(
        default=None, ge=1, le=LARGEST, description="shrink images to this side by averaging"
    )
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="seed of these draws")
    evaluate: Literal["test", "validation"] = Field(
        default="test", description="which samples play the test set: 'validation' when tuning"
    )

    @model_validator(mode="after")
    def _cuts_what_is_there(self) -> Self:
        if self.resize and self.crop and self.crop > self.resize:
            raise ValueError(f"crop = {self.crop} is larger than resize = {self.resize}")
        return self

    @property
    def fit(self) -> Fit:
        """What is done to its images."""
        return Fit(self.resize, self.crop, self.size)


@dataclass(frozen=True)
class Data:
    """Hold the samples of a benchmark, all disjoint: training, test, held-out and validation set.

    When tuning, validation samples play the test set, and are the validation set as well. The pool,
    which signals and indices are over, is the first three, in this order.
    """

    train: Labelled
    test: Labelled
    held_out: Labelled
    validation: Labelled
    classes: int
    digest: str
    """16 hex digits that change when any pixel or label does."""
    subclasses: Labels
    """Labels of the pool before any were merged."""
    ids: Labels
    """Which sample of its part of the source, train or test, each of the pool is, from 0."""
    of_test: NDArray[np.bool_]
    """Whether that part is the source's test set, of each of the pool."""
    names: list[str] | None
    """Names of the pool as its source gives them; None if it gives none."""
    copies: dict[str, int]
    """How many images equal another one, as `count_copies` says."""
    whole: Images | None = None
    """Images of the pool, where they lie in one array of which the parts are slices."""

    def require(self, digest: str | None, name: str) -> None:
        """Raise DataError unless this is the data set `name` with that digest; None: whatever."""
        if digest not in (None, self.digest):
            raise DataError(
                f"Data set '{name}' is not what earlier runs of this benchmark were made of: other"
                " images or labels.",
                "Put those back, or keep new results apart: --results DIR.",
            )

    @property
    def images(self) -> Images:
        """Images of the pool."""
        if self.whole is not None:
            return self.whole
        return np.concatenate((self.train[0], self.test[0], self.held_out[0]))

    @property
    def labels(self) -> Labels:
        """Labels of the pool."""
        return np.concatenate((self.train[1], self.test[1], self.held_out[1]))


def unreadable(name: str) -> Callable[[str], DataError]:
    """Return what makes the error of a data set from what its file raised."""
    return lambda line: DataError(f"Data set '{name}' cannot be read: {line}.")


def draw_samples(source: Source, spec: DataSpec) -> Data:
    """Draw a benchmark's samples from a source. Raises DataError if there are too few."""
    with foreign(unreadable(spec.name), passes=UnlearnBenchError):
        pool = source.load()
        _check(pool, spec.name, Fit(size=spec.size) if source.fits else spec.fit)
    draw = np.random.default_rng(spec.seed)
    order = draw.permutation(len(pool.train[1]))
    n_train = spec.train or len(order) - spec.validation - spec.held_out
    ends = np.cumsum((n_train, spec.validation, spec.held_out))
    train, validation, held_out, rest = np.split(order, ends)
    test_from, test = pool.train, rest
    if len(pool.test[1]):
        test_from, test = pool.test, draw.permutation(len(pool.test[1]))
    n_test = spec.test or len(test)
    if n_train < 1 or len(order) < ends[-1] or len(test) < n_test or n_test == 0:
        raise DataError(
            f"Data set '{spec.name}' has too few samples for {max(n_train, 1)} train"
            f" + {n_test} test + {spec.held_out} held-out + {spec.validation} validation.",
            f"It has {len(pool.train[1])} + {len(pool.test[1])}: ask for fewer under [data].",
        )
    test = test[:n_test]
    if spec.evaluate == "validation":
        test_from, test = pool.train, validation
    # In the order of the source: with all samples asked for, index i is the source's sample i.
    indices = [np.sort(index) for index in (train, test, held_out, validation)]
    drawn = zip((pool.train, test_from, pool.train, pool.train), indices, strict=True)
    parts = [_take(part, index, spec.fit, fitted=source.fits) for part, index in drawn]
    ids, of_test = np.concatenate(indices[:3]), np.zeros(sum(map(len, indices[:3])), dtype=np.bool_)
    of_test[len(train) :][: len(test)] = test_from is pool.test
    subclasses = np.concatenate([labels for _, labels in parts[:3]])
    classes = int(max(labels.max(initial=0) for _, labels in (pool.train, pool.test))) + 1
    if spec.superclasses:
        merged = _superclass(spec.superclasses, classes, spec.name)
        parts = [(images, merged[labels]) for images, labels in parts]
        classes = len(spec.superclasses)
    digest = hashlib.sha256()
    for images, labels in parts if spec.evaluate == "test" else parts[:3]:  # each sample once
        for start in range(0, len(images), BLOCK):
            digest.update(images[start : start + BLOCK].tobytes())
        digest.update(labels.tobytes())
    kept, tested, apart, validated = parts
    return Data(
        kept,
        tested,
        apart,
        validated,
        classes,
        digest.hexdigest()[:16],
        subclasses,
        ids,
        of_test,
        _named(pool, ids, of_test),
        count_copies(kept, [tested, apart]),
    )


def _check(pool: Pool, name: str, fit: Fit) -> None:
    """Raise DataError, with all that is wrong, unless a source gives what it must."""
    faults: list[str] = []
    for part, (images, labels) in (("train", pool.train), ("test", pool.test)):
        fine = images.dtype == np.uint8 and images.ndim == 4 and labels.ndim == 1
        if not (fine and len(images) == len(labels) and np.issubdtype(labels.dtype, np.integer)):
            faults.append(
                f"images {images.dtype} {list(images.shape)} and labels {labels.dtype}"
                f" {list(labels.shape)} for {part}, which must be uint8 [n, channels, height,"
                " width], 0 to 255, and whole numbers [n]"
            )
        elif (negative := labels < 0).any():
            first = int(np.flatnonzero(negative)[0])
            faults.append(
                f"labels below 0 in {part}: {negative.sum()}, first {labels[first]} of sample"
                f" {first}"
            )
        if pool.names is not None and len(named := pool.names[part == "test"]) != len(labels):
            faults.append(
                f"{len(named)} names for {len(labels)} samples of {part}: it must name each or none"
            )
    names = [name for named in pool.names or () for name in named if not _encodable(name)]
    if names:
        faults.append(f"names that are not UTF-8: {len(names)}, first {names[0]!a}; rename them")
    if not faults:
        faults += _misfits(pool, fit)
    refuse(f"Data set '{name}'", faults)


def _encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _misfits(pool: Pool, fit: Fit) -> Iterator[str]:
    """Say what does not go together: shapes, classes of the two parts."""
    shapes = pool.train[0].shape[1:], pool.test[0].shape[1:]
    if len(pool.test[1]) and shapes[0] != shapes[1]:
        yield f"images {list(shapes[0])} for train and {list(shapes[1])} for test"
    if fault := fit.fault(*shapes[0][1:]):
        yield fault
    if unknown := sorted({*pool.test[1].tolist()} - {*pool.train[1].tolist()}):
        yield f"classes of test that train has no sample of: {', '.join(map(str, unknown))}"


def _named(pool: Pool, ids: Labels, of_test: NDArray[np.bool_]) -> list[str] | None:
    """Return the name of each sample drawn; None if its source gives none."""
    if pool.names is None:
        return None
    return [pool.names[test][i] for i, test in zip(ids.tolist(), of_test.tolist(), strict=True)]


def _superclass(groups: Sequence[Sequence[int]], classes: int, name: str) -> Labels:
    """Return the merged label of each class."""
    if sorted(chain.from_iterable(groups)) != list(range(classes)):
        raise DataError(
            f"data.superclasses must name each of the {classes} classes of '{name}' once.",
            "Write it as [[0, 1], [2, 3], ...].",
        )
    merged = np.empty(classes, dtype=np.int64)
    for label, group in enumerate(groups):
        merged[list(group)] = label
    return merged


def _take(part: Labelled, index: NDArray[np.int64], fit: Fit, *, fitted: bool) -> Labelled:
    labels, side = part[1][index].astype(np.int64), part[0].shape[-1]
    whole = (fitted or not fit.cut) and fit.size in (None, side)
    if isinstance(part[0], np.memmap) and whole:
        return cast("Images", Drawn(part[0], index)), labels
    images = part[0][index]
    if not fitted:
        images = fit.resized(images)
    return np.ascontiguousarray(fit.averaged(images)), labels
