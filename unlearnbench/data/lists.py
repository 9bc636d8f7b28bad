"""Lists of samples, as a deletion request has them: numbers, or names of files."""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unlearnbench.data.prepare import Data
from unlearnbench.errors import DataError, UserError

Index = NDArray[np.int64]
Entries = tuple[str, ...]

COLUMNS = ("id", "ids", "index", "file", "files", "filename", "file_name", "name", "path")
"""What the column of a table may be called."""
FEW = 5
"""How many entries an error names."""
NUMBER = re.compile(r"(test:)?\d+")
HOW = "Give numbers (samples of the training set, from 0) or names of files, one a line."


def read_list(path: Path) -> Entries:
    """Return the entries of a list of samples, each once, in order.

    .npy: whole numbers or strings, [n]; .csv: a column called id, file, name or the like, or a
    single one; any other file: one a line, but for empty lines and those that begin with #. Raises
    UserError if it cannot be read or is empty.
    """
    if not path.is_file():
        raise UserError(f"There is no list {path}.", HOW)
    try:
        if path.suffix == ".npy":
            entries = _of_array(path)
        elif path.suffix == ".csv":
            entries = _of_table(path)
        else:
            entries = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise UserError(f"Cannot read the list {path}: {error}.", HOW) from error
    kept = [entry.strip() for entry in entries]
    unique = dict.fromkeys(entry for entry in kept if entry and not entry.startswith("#"))
    if not unique:
        raise UserError(f"The list {path} names no sample.", HOW)
    return tuple(unique)


def _of_array(path: Path) -> list[str]:
    array = np.load(path, allow_pickle=False)
    if array.ndim != 1 or array.dtype.kind not in "iuU":
        raise ValueError(f"it holds {array.dtype} {list(array.shape)}, not whole numbers or names")
    return [str(entry) for entry in array.tolist()]


def _of_table(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file) if any(map(str.strip, row))]
    if not rows:
        return []
    heads = [head.strip().lower() for head in rows[0]]
    named = [place for place, head in enumerate(heads) if head in COLUMNS]
    if not named and len(heads) > 1:
        raise ValueError(f"none of its columns is called {', '.join(COLUMNS)}")
    place = named[0] if named else 0
    return [row[place] for row in rows[bool(named) :] if len(row) > place]


def digest(entries: Iterable[str]) -> str:
    """Return 16 hex digits that are the same for the same entries, in whatever order."""
    return hashlib.sha256("\n".join(sorted(entries)).encode()).hexdigest()[:16]


def positions(entries: Sequence[str], data: Data, *, everywhere: bool = False) -> Index:
    """Return where the samples of a list are in the pool, sorted: int64 [n].

    Numbers count the samples of the source's training part, from 0, and with "test:" before them
    those of its test part; names are files as the source has them, with or without the part's own
    folder before them, or without any where no other file is called so. everywhere: not only among
    the training samples. Raises DataError naming what is not found.
    """
    count = len(data.labels) if everywhere else len(data.train[1])
    if all(NUMBER.fullmatch(entry) for entry in entries):
        parts = np.where(data.of_test[:count], "test:", "").tolist()
        drawn = zip(parts, data.ids[:count].tolist(), strict=True)
        numbers = {f"{part}{number}": place for place, (part, number) in enumerate(drawn)}
        places = {entry: numbers.get(re.sub(r"\b0+(?=\d)", "", entry)) for entry in entries}
    elif data.names is None:
        first = next(entry for entry in entries if not NUMBER.fullmatch(entry))
        raise DataError(f"'{first}' is listed, but samples of this data set have no names.", HOW)
    else:
        known = _by_name(data.names[:count])
        places = {
            entry: known.get(entry.replace("\\", "/").removeprefix("./")) for entry in entries
        }
    lost = [entry for entry, place in places.items() if place is None]
    if lost:
        some = ", ".join(lost[:FEW]) + (", ..." if lost[FEW:] else "")
        raise DataError(
            f"{len(lost)} of {len(places)} listed samples are not among the {count:,}"
            f"{'' if everywhere else ' training'} samples that the benchmark draws: {some}.",
            f"{HOW} The benchmark draws all where [data] has no train.",
        )
    return np.unique(np.array(list(places.values()), dtype=np.int64))


def _by_name(names: Sequence[str]) -> dict[str, int]:
    """Return where each name is, and each end of one after a `/` that no other name has."""
    known: dict[str, int] = {}
    ends = Counter(end for name in names for end in _ends(name))
    for place, name in enumerate(names):
        known |= {end: place for end in _ends(name) if ends[end] == 1}
    return known | {name: place for place, name in enumerate(names)}


def _ends(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]
