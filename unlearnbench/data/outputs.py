"""Outputs of models in files, whatever framework they are of, and which samples they are of."""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from unlearnbench.data import lists
from unlearnbench.errors import UserError
from unlearnbench.units import are, count

SUFFIXES = (".npz", ".csv")
LABEL = ("label", "labels", "y")
"""What labels may be called in a file."""
HOW = (
    "A file of outputs holds logits [samples, classes]: .npz with an array 'logits', and 'labels',"
    " 'ids', 'member' where wanted; .csv with a column a class, and 'label', 'id' where wanted."
)
PROBABILITIES = 1e-3
"""How near to 1 the sum of each row of probabilities is.

Rounded ones of a thousand classes are not so near: taken for logits, they would make every model
look as unsure as can be.
"""
UNPACKED = 2**30
"""Bytes to which a compressed array may unpack; one that is not compressed takes what it has."""
UNREADABLE = (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""What reading a file raises that is torn, or no archive of arrays."""


@dataclass(frozen=True)
class Parts:
    """Say which rows of outputs are what: lists of row numbers, or of ids where files have them.

    retain: by default all rows that are in no other list; labels: the true classes, whole numbers
    [samples], where the files of outputs do not hold them.
    """

    forget: Path | None = None
    retain: Path | None = None
    test: Path | None = None
    labels: Path | None = None


@dataclass(frozen=True)
class Outputs:
    """Hold what one file says: logits float32 [n, classes]; of each sample its label and its id.

    member: bool [n], of a reference, what it was trained on; zeros: whether some probabilities were
    exactly 0, so that their logarithms are put in, see `read_outputs`.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64] | None = None
    ids: list[str] | None = None
    member: NDArray[np.bool_] | None = None
    zeros: bool = False


def require_kind(path: Path) -> None:
    """Raise UserError for a file that is of no kind that outputs are read from."""
    if path.suffix not in SUFFIXES:
        raise UserError(f"Outputs are not read from {path}, but from .npz and .csv.", HOW)


def read_outputs(path: Path) -> Outputs:
    """Read a file of outputs; rows that are probabilities become their logarithms.

    A probability of 0 counts as half of the smallest other one in the file: what was rounded to 0
    is below half of the last digit, and a far smaller number would make of rounding the largest
    log-odds of all. Raises UserError for what a file of outputs cannot be.
    """
    require_kind(path)
    if not path.is_file():
        raise UserError(f"There is no file {path}.", HOW)
    try:
        found = _of_arrays(path) if path.suffix == ".npz" else _of_table(path)
    except (*UNREADABLE, MemoryError) as error:
        why = str(error) or type(error).__name__
        raise UserError(f"Cannot read outputs from {path}: {why}.", HOW) from error
    logits = found.logits
    if logits.ndim != 2 or logits.shape[1] < 2 or not len(logits):
        shape = f"The logits in {path} have shape {list(logits.shape)}"
        raise UserError(f"{shape}; [samples, classes] is needed.", HOW)
    broken = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(broken):
        few = f"{len(broken):,} of {count(len(logits), 'row')}"
        raise UserError(
            f"{path}: {few} {are(len(broken))} not finite (the first is row {broken[0]})."
        )
    for name in ("labels", "ids", "member"):
        other = getattr(found, name)
        if other is not None and len(other) != len(logits):
            raise UserError(f"{path} has {len(other)} {name} for {len(logits)} rows.", HOW)
    if logits.min() >= 0 and logits.max() <= 1 + PROBABILITIES:
        sums = logits.sum(1, dtype=np.float64)
        row = int(np.abs(sums - 1).argmax())
        if abs(sums[row] - 1) >= PROBABILITIES:
            raise UserError(
                f"{path} holds numbers from 0 to 1, but not all rows sum to 1 (row {row}:"
                f" {sums[row]:.4g}).",
                "Give logits, or probabilities that are not rounded.",
            )
        zero = logits <= 0
        logs = np.log(logits, where=~zero, out=np.zeros_like(logits))
        logs[zero] = logs.min() - np.log(2)
        found = replace(found, logits=logs, zeros=bool(zero.any()))
    return found


def _of_arrays(path: Path) -> Outputs:
    with zipfile.ZipFile(path) as archive:
        there = [one.filename.removesuffix(".npy") for one in archive.infolist()]
        if "logits" not in there:
            few = ", ".join(there[: lists.FEW]) or "none"
            raise UserError(f"{path} has no array 'logits' (it has: {few}).", HOW)
        wanted = ("logits", *LABEL, "ids", "member")
        arrays = {name: _array(archive, name) for name in wanted if name in there}
    labels = next((arrays[name] for name in LABEL if name in arrays), None)
    ids, member = arrays.get("ids"), arrays.get("member")
    return Outputs(
        arrays["logits"].astype(np.float32, copy=False),
        None if labels is None else _whole(labels),
        None if ids is None else [str(one) for one in ids.tolist()],
        None if member is None else member.astype(np.bool_),
    )


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """Read one array of an archive. Raises ValueError where it is much larger than its file."""
    about = archive.getinfo(f"{name}.npy")
    if about.compress_type != zipfile.ZIP_STORED and about.file_size > UNPACKED:
        size = f"unpacks to more than {UNPACKED >> 20} MB"
        raise ValueError(f"'{name}' {size}, save it with numpy.savez, not compressed")
    with archive.open(about) as stored:
        array: NDArray[Any] = np.lib.format.read_array(stored, allow_pickle=False)
    if array.size > about.file_size:  # as of strings without letters
        raise ValueError(f"'{name}' says that it has {array.size} entries, which take no room")
    return array


def _of_table(path: Path) -> Outputs:
    frame = pd.read_csv(path)
    if any(str(column).startswith("Unnamed: ") for column in frame):  # pandas' own word for it
        raise UserError(
            f"{path} has a column without a name, as the index is that pandas writes.",
            "Write it without: frame.to_csv(FILE, index=False). A class must have a name.",
        )
    named = {str(column).strip().lower(): column for column in frame}
    label = next((named[name] for name in LABEL if name in named), None)
    ids = next((named[name] for name in lists.COLUMNS if name in named), None)
    logits = frame.drop(columns=[one for one in (label, ids) if one is not None])
    for column in logits:
        if not is_numeric_dtype(logits[column]):
            raise UserError(f"{path}: the column '{column}' does not hold numbers alone.", HOW)
    return Outputs(
        _by_number(logits).to_numpy(dtype=np.float32),
        None if label is None else _whole(frame[label].to_numpy()),
        None if ids is None else [str(one) for one in frame[ids].tolist()],
    )


def _by_number(logits: pd.DataFrame) -> pd.DataFrame:
    """Put classes that are called by their numbers in order: sorted as words, c10 is before c2."""
    named = [re.fullmatch(r"(\D*)(\d+)", str(column).strip()) for column in logits]
    numbers = [int(one[2]) for one in named if one]
    if len({one[1] for one in named if one}) > 1:
        return logits
    for first in (0, 1):
        if sorted(numbers) == list(range(first, first + len(named))):
            return logits.iloc[:, np.argsort(numbers)]
    return logits


def _whole(labels: NDArray[Any]) -> NDArray[np.int64]:
    whole = labels.astype(np.int64)
    if labels.ndim != 1 or (whole != labels).any() or (whole < 0).any():
        raise ValueError("labels are not whole numbers from 0, one a row")
    return whole


@dataclass(frozen=True)
class Aligned:
    """Say which samples the files of all models are of, and put them in an order of ours.

    The training set comes first, then the test set. members: by file as `Outputs.member`, in the
    order of the files; order: rows of the files; forget: indices into that order; train: how many
    samples come first; labels, ids: of each sample, in that order; odd: what else to tell of the
    lists, in lines. The outputs of all files may be more than memory holds: they are read again,
    file by file.
    """

    members: Mapping[Path, NDArray[np.bool_] | None]
    order: NDArray[np.int64]
    forget: NDArray[np.int64]
    train: int
    labels: NDArray[np.int64]
    ids: list[str]
    odd: list[str]

    @property
    def digest(self) -> str:
        """16 hex digits that change when labels do, or what is forgotten or tested on."""
        hashed = hashlib.sha256("\n".join(self.ids).encode())
        for array in (self.labels, self.forget, np.array(self.train)):
            hashed.update(array.tobytes())
        return hashed.hexdigest()[:16]


def gathered(paths: Sequence[Path], parts: Parts) -> Aligned:
    """Read all files, and say which row is what. Raises UserError where they do not fit."""
    said: dict[str, tuple[Path, Any]] = {}
    read = {path: _compared(path, said) for path in dict.fromkeys(paths)}
    shape, ids = said["shape"][1], said.get("ids", (None, None))[1]
    known = {entry: row for row, entry in enumerate(ids or map(str, range(shape[0])))}
    if len(known) < shape[0]:
        raise UserError("Some ids stand for two rows.", "Give each sample an id of its own.")
    labels = _labels(said.get("labels", (None, None))[1], parts, shape)
    if parts.forget is None or parts.test is None:
        lacking = "--forget" if parts.forget is None else "--test"
        raise UserError(
            f"{lacking} is not given.", "Outputs need lists of both, of rows or of ids."
        )
    odd = _zeros_said([path.name for path, (_, zeros) in read.items() if zeros])
    forget, test = _rows(parts.forget, known, odd), _rows(parts.test, known, odd)
    rest = np.setdiff1d(np.arange(shape[0]), np.concatenate((forget, test)))
    retain = rest if parts.retain is None else _rows(parts.retain, known, odd)
    both = np.concatenate((forget, retain, test))
    if len(np.unique(both)) < len(both):
        raise UserError("The lists overlap.", "A sample is forgotten, retained or tested on.")
    train = np.sort(np.concatenate((forget, retain)))
    order = np.concatenate((train, test))
    names = list(known)
    return Aligned(
        {path: member for path, (member, _) in read.items()},
        order,
        np.flatnonzero(np.isin(order, forget)),
        len(train),
        labels[order],
        [names[row] for row in order.tolist()],
        odd,
    )


def _compared(
    path: Path, said: dict[str, tuple[Path, Any]]
) -> tuple[NDArray[np.bool_] | None, bool]:
    """Read a file, and let its outputs go again.

    Returns what its model was trained on, if it says, and whether it has probabilities of 0. said:
    the first file that says anything of shape, ids or labels, and what. Raises UserError where this
    one says otherwise.
    """
    one = read_outputs(path)
    shape = list(one.logits.shape)
    for what, value in {"shape": shape, "ids": one.ids, "labels": one.labels}.items():
        if value is None:
            continue
        first, before = said.setdefault(what, (path, value))
        if not np.array_equal(value, before):
            told = f" ({shape}, not {before})" if what == "shape" else ""
            raise UserError(
                f"{path} has other {what} than {first}{told}.",
                "All files must be of the same samples, in the same order.",
            )
    return one.member, one.zeros


def _zeros_said(files: Sequence[str]) -> list[str]:
    """Say which files have probabilities of 0, if any has: in a line, or none."""
    if not files:
        return []
    some = ", ".join(files[: lists.FEW]) + (", ..." if files[lists.FEW :] else "")
    return [
        f"Some probabilities are exactly 0 in {some}, as rounded ones are: each counts as half of"
        " the smallest other one in its file. Log-odds are not exact then: better give logits."
    ]


def _labels(
    labels: NDArray[np.int64] | None, parts: Parts, shape: Sequence[int]
) -> NDArray[np.int64]:
    if parts.labels is not None:
        try:
            array = parts.labels.suffix == ".npy"
            told = np.load(parts.labels) if array else np.loadtxt(parts.labels, ndmin=1)
            labels = _whole(told)
        except (OSError, ValueError) as error:
            raise UserError(f"Cannot read labels from {parts.labels}: {error}.", HOW) from error
    if labels is None:
        raise UserError("The true labels are not given.", f"Name a file: --labels. {HOW}")
    if len(labels) != shape[0] or labels.max() >= shape[1]:
        raise UserError(
            f"There are {len(labels)} labels up to {labels.max()}, and logits {list(shape)}.", HOW
        )
    return labels


def _rows(path: Path, known: Mapping[str, int], odd: list[str]) -> NDArray[np.int64]:
    """Return the rows that a list names, each once; add to `odd` what is to be told of it."""
    entries = lists.read_list(path)
    lost = [entry for entry in dict.fromkeys(entries) if entry not in known]
    if lost:
        some = ", ".join(lost[: lists.FEW]) + (", ..." if lost[lists.FEW :] else "")
        few = "1 entry" if len(lost) == 1 else f"{len(lost)} entries"
        are = "is no row" if len(lost) == 1 else "are no rows"
        raise UserError(f"{few} of {path} {are} of the outputs: {some}.", HOW)
    rows = np.array([known[entry] for entry in dict.fromkeys(entries)], dtype=np.int64)
    odd += filter(None, [lists.repeats_said(path.name, entries, rows)])
    return rows
