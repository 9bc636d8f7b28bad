"""Lists of samples, as a deletion request has them: numbers, or names of files."""

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearnbench.data.prepare import Data
from unlearnbench.errors import DataError, UserError
from unlearnbench.units import count

Index = NDArray[np.int64]
Entries = tuple[str, ...]
ForgetList = str | PathLike[str] | Sequence[int] | Sequence[str] | NDArray[Any]
"""A list of samples: a file's path, or the numbers or names themselves, [n]."""

GIVEN = "the given list"
"""What stands for a file's name where a list was given by its entries."""

COLUMNS = ("id", "ids", "index", "file", "files", "filename", "file_name", "name", "path")
"""What the column of a table may be called."""
SUFFIXES = (".txt", ".csv", ".npy")
"""Endings of lists; one without any is read as a text."""
SEPARATORS = ",;\t"
FEW = 5
"""How many entries an error names."""
NUMBER = re.compile(r"(test:)?-?\d+")
HOW = "Give numbers (samples of the training set, from 0) or names of files, one a line."
KINDS = (
    "A list is .txt with one entry a line, .csv with a column called id or file, or .npy of"
    " numbers or names."
)


def listing(given: ForgetList) -> str | Entries:
    """Return a list as it can be kept: the path of a file, or the entries as text.

    Raises UserError for what holds neither whole numbers nor names, and where it is empty.
    """
    if isinstance(given, (str, PathLike)):
        return fspath(given)
    try:
        entries = list(given)
        kept = tuple(_of_array(np.asarray(entries))) if entries else ()
    except (TypeError, ValueError) as error:
        raise UserError(f"Cannot read {GIVEN}: {error}.", "Give whole numbers or names.") from error
    if not kept:
        raise UserError(f"{GIVEN.capitalize()} names no sample.", "Give whole numbers or names.")
    return kept


def read_list(path: Path) -> Entries:
    """Return the entries of a list of samples, in order, as often as they are there.

    .npy: whole numbers or strings, [n]; .csv: a column called id, file, name or the like, or a
    single one, separated by commas, semicolons or tabs; .txt: one a line, but for empty lines and
    those that begin with #. Raises UserError if it is of another kind, cannot be read or is empty.
    """
    if not path.is_file():
        raise UserError(f"There is no list {path}.", HOW)
    if path.suffix not in ("", *SUFFIXES):
        raise UserError(f"The list {path} has a format that is not supported.", KINDS)
    try:
        if path.suffix == ".npy":
            entries = _of_array(np.load(path, allow_pickle=False))
        elif path.suffix == ".csv":
            entries = _of_table(path)
        else:
            entries = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise UserError(f"Cannot read the list {path}: {error}.", HOW) from error
    stripped = [entry.strip() for entry in entries]
    kept = tuple(entry for entry in stripped if entry and not entry.startswith("#"))
    if not kept:
        raise UserError(f"The list {path} names no sample.", HOW)
    return kept


def repeats_said(name: str, entries: Sequence[str], found: Index) -> str:
    """Say how many entries of a list name a sample once more, "" if none do; found: the samples."""
    more = len(entries) - len(found)
    if not more:
        return ""
    return f"{name} names samples more than once: {count(more, 'repeat')} dropped."


def _of_array(array: NDArray[Any]) -> list[str]:
    if array.ndim != 1 or array.dtype.kind not in "iuU":
        raise ValueError(f"it holds {array.dtype} {list(array.shape)}, not whole numbers or names")
    return [str(entry) for entry in array.tolist()]


def _of_table(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8-sig")
    first = next((line for line in text.splitlines() if line.strip()), "")
    named = [mark for mark in SEPARATORS if any(map(_is_column, first.split(mark)))]
    lines = io.StringIO(text, newline="")
    separator = named[0] if named else ","
    rows = [row for row in csv.reader(lines, delimiter=separator) if any(map(str.strip, row))]
    if not rows:
        return []
    columns = [place for place, head in enumerate(rows[0]) if _is_column(head)]
    if not columns and len(rows[0]) > 1:
        raise ValueError(f"none of its columns is called {', '.join(COLUMNS)}")
    place = columns[0] if columns else 0
    return [row[place] for row in rows[bool(columns) :] if len(row) > place]


def _is_column(head: str) -> bool:
    return head.strip().strip('"').lower() in COLUMNS


def list_digest(entries: Iterable[str]) -> str:
    """Return 16 hex digits that are the same for the same entries, in any order and number."""
    return hashlib.sha256("\n".join(sorted(set(entries))).encode()).hexdigest()[:16]


def positions(entries: Sequence[str], data: Data, *, everywhere: bool = False) -> Index:
    """Return where the samples of a list are in the pool, sorted: int64 [n].

    Numbers count the samples of the source's training part, from 0, and with "test:" before them
    those of its test part; names are files as the source has them, with or without the part's own
    folder before them, or without any where no other file is called so. everywhere: not only among
    the training samples. Raises DataError naming what is not found.
    """
    many = len(data.labels) if everywhere else len(data.train[1])
    asked = dict.fromkeys(entries)
    if all(map(NUMBER.fullmatch, asked)):
        places = _numbered(asked, data)
    elif data.names is None:
        first = next(entry for entry in asked if not NUMBER.fullmatch(entry))
        raise DataError(f"'{first}' is listed, but samples of this data set have no names.", HOW)
    else:
        known = {name: place for place, name in enumerate(data.names[:many])}
        if not all(_plain(entry) in known for entry in asked):  # ends of a million names take long
            pool = {name: place for place, name in enumerate(data.names)}
            known = pool | _by_name(data.names[:many])
        places = {entry: known.get(_plain(entry)) for entry in asked}
    lost = [entry for entry, place in places.items() if place is None or place >= many]
    if lost:
        why = [f"{entry} {_why_lost(entry, data, places[entry], many)}" for entry in lost[:FEW]]
        told = "; ".join([*why, *([f"and {len(lost) - FEW} more"] if lost[FEW:] else [])])
        which = "A listed sample" if len(places) == 1 else f"{len(lost)} of {len(places)} samples"
        raise DataError(f"{which} cannot be used: {told}.")
    return np.unique(np.array(list(places.values()), dtype=np.int64))


def _numbered(entries: Iterable[str], data: Data) -> dict[str, int | None]:
    """Return where in the pool each number is, None of those that are not."""
    parts = np.where(data.of_test, "test:", "").tolist()
    drawn = zip(parts, data.ids.tolist(), strict=True)
    numbers = {f"{part}{number}": place for place, (part, number) in enumerate(drawn)}
    return {entry: numbers.get(re.sub(r"\b0+(?=\d)", "", entry)) for entry in entries}


def _why_lost(entry: str, data: Data, place: int | None, many: int) -> str:
    """Say why an entry stands for no sample that may be meant; many: how many of the pool may."""
    if place is not None:
        return "is a test sample" if data.of_test[place] else "is held out"
    train = len(data.train[1])
    last = int(data.ids[:train].max())
    if last >= train:  # a benchmark draws some of those that there are
        part = "" if many == len(data.labels) else " training"
        return f"is not among the {many:,}{part} samples drawn ([data] train)"
    if NUMBER.fullmatch(entry):
        return f"is not a sample number: training samples are 0 to {last}"
    names = (data.names or [])[:many]
    if alike := [name for name in names if f"/{name}".endswith(f"/{_plain(entry)}")]:
        known = _by_name(names)
        clear = [end for end in _ends(alike[0]) if end in known][-1]
        return f"names {len(alike)} files: write {clear}, or the one that is meant"
    return "is not a file of the training set"


def _plain(entry: str) -> str:
    return entry.replace("\\", "/").removeprefix("./")


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
