"""Folders of image files: a folder for each class in each part."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from unlearnbench.data.caching import Cache
from unlearnbench.data.decoding import FORMATS, Decoder
from unlearnbench.data.faults import MOST, refuse
from unlearnbench.data.fitting import Images
from unlearnbench.data.prepare import Pool, Source
from unlearnbench.errors import DataError
from unlearnbench.files import expendable

NOTES = {".csv", ".db", ".ini", ".json", ".md", ".txt", ".xml", ".yaml", ".yml"}
"""Endings of files that lie among images and that nobody takes for one."""


@dataclass
class Listing:
    """List the images of one part, in order: names relative to the data set, and their classes.

    classes: all there are, those without an image too; passed: files that are no images.
    """

    names: list[str] = field(default_factory=list)
    of: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)


class FolderSource(Source):
    """Read `train/<class>/*` and `test/<class>/*`, decoded once and kept beside them.

    Classes are numbered by name, those of train for both parts. Hidden files and folders are
    passed over.
    """

    fits = True
    parts: ClassVar[tuple[str, str]] = ("train", "test")
    layout: ClassVar[str] = "It must hold train/<class>/<image> and test/<class>/<image>."

    @property
    def folder(self) -> Path:
        """Where train/ and test/ are."""
        return self.root / (self.path or ".")

    def there(self) -> bool:
        """Have a dry run look, whatever there is: nothing can be downloaded."""
        return True

    def fetch(self) -> None:
        """Check that both parts are there."""
        for part in self.parts:
            if not (self.folder / part).is_dir():
                hint = self.layout
                if self.path and not self.folder.is_dir():
                    hint = f"{self.path} (--path) is seen from {self.root} (--data). {hint}"
                raise DataError(f"There is no folder {self.folder / part}.", hint)

    def check(self) -> list[str]:
        """Read every file, and decode what is not as it was; name files that are no images."""
        listed, told = self.listed(), list[str]()
        images = self._pool(listed, thorough=True).train[0]
        if not isinstance(images, np.memmap):
            told.append(f"Nothing can be kept in {self.folder}: each command decodes all images.")
        if passed := [name for part in listed for name in part.passed]:
            names = ", ".join(passed[:3]) + (", ..." if len(passed) > 3 else "")
            told.append(f"Skipped, because these are not names of image files: {names}")
        return told

    def load(self) -> Pool:
        """Take what was decoded before, of files that have not changed since, or decode them."""
        return self._pool(self.listed(), thorough=False)

    def listed(self) -> tuple[Listing, Listing]:
        """List the images of both parts."""
        train, test = map(self.list_part, self.parts)
        return train, test

    def list_part(self, part: str) -> Listing:
        """List `part`/<class>/*, by class and name, folders inside a class included."""
        made = Listing()
        with os.scandir(self.folder / part) as entries:
            made.classes = sorted(one.name for one in entries if one.is_dir() and _seen(one.name))
        for name in made.classes:
            for path in _files(self.folder / part / name):
                relative = path.relative_to(self.folder).as_posix()
                if path.suffix.lower() in FORMATS:
                    made.names.append(relative)
                    made.of.append(name)
                elif path.suffix.lower() not in NOTES:
                    made.passed.append(relative)
        return made

    def _pool(self, listed: tuple[Listing, Listing], *, thorough: bool) -> Pool:
        """Read all images. Raises DataError with all faults there are."""
        train, test = listed
        names, cache = [*train.names, *test.names], Cache(self.folder)
        faults = list(self._of_classes(train, test))
        hashes, unread = cache.hashes(names, thorough=thorough)
        faults += unread
        images = None if faults else cache.images(hashes, self.fit, thorough=thorough)
        if images is None:
            with expendable():
                cache.keep(hashes, self.fit, self._decoded(hashes, faults))
                images = cache.images(hashes, self.fit, thorough=False)
        if images is None:
            images = _together(len(names), self._decoded(hashes, faults))
        numbers = {name: number for number, name in enumerate(train.classes)}
        labels = np.array([numbers[name] for name in (*train.of, *test.of)], dtype=np.int64)
        cut = len(train.names)
        parts = (images[:cut], labels[:cut]), (images[cut:], labels[cut:])
        return Pool(*parts, (train.names, test.names))

    def _of_classes(self, *parts: Listing) -> Iterator[str]:
        """Say which classes lack images, and in which the parts differ."""
        for where, part in zip(self.parts, parts, strict=True):
            if not part.classes:
                yield f"there is no folder of a class in {where}"
            full = {*part.of}
            if empty := [name for name in part.classes if name not in full]:
                yield f"no image in {_some([f'{where}/{name}' for name in empty])}"
        train, test = (set(part.classes) for part in parts)
        if train and test:
            for where, only in zip(self.parts, (train - test, test - train), strict=True):
                if only:
                    yield f"only {where} has {_some(sorted(only))}: both must have the same classes"

    def _decoded(self, hashes: dict[str, bytes], faults: list[str]) -> Iterator[Images]:
        """Yield all images, some at a time. Raises DataError at the end if there is any fault."""
        decoder = Decoder(self.folder, self.fit)
        for images in decoder.decode(hashes):
            if not faults:
                yield images
        refuse(f"Data in {self.folder}", [*faults, *decoder.faults])


def _seen(name: str) -> bool:
    """Say whether a file or folder is not hidden."""
    return not name.startswith(".")


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder that are not hidden, folder by folder, each by name.

    Links to folders are followed, and may lead in circles: no folder is entered twice, and none
    that this one lies in.
    """
    found = []
    entered = set(map(_identity, (*folder.absolute().parents, *folder.resolve().parents)))
    for inside, folders, files in os.walk(folder, followlinks=True):
        if (identity := _identity(Path(inside))) in entered:
            folders.clear()
            continue
        entered.add(identity)
        folders[:] = sorted(filter(_seen, folders))
        found.append((inside, sorted(filter(_seen, files))))
    for inside, files in sorted(found):
        yield from (Path(inside, name) for name in files)


def _identity(folder: Path) -> tuple[int, int]:
    about = folder.stat()
    return about.st_dev, about.st_ino


def _some(names: Sequence[str]) -> str:
    """List names, the first ten of them."""
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more


def _together(count: int, chunks: Iterator[Images]) -> Images:
    """Join chunks of images into one array [count, ...] without holding any of them twice."""
    first = next(chunks)
    images = np.empty((count, *first.shape[1:]), dtype=np.uint8)
    images[: (end := len(first))] = first
    for chunk in chunks:
        images[end : end + len(chunk)] = chunk
        end += len(chunk)
    return images
