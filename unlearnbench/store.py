"""Results on disk: a folder a run, written so that a record is either whole or absent."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearnbench.errors import UserError
from unlearnbench.spec import Spec

SCHEMA = 1
Arrays = dict[str, NDArray[Any]]


def write(path: Path, save: Callable[[Path], object]) -> None:
    """Write a file under a draft's name and rename it: readers see all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".draft-{os.getpid()}-{path.name}")
    try:
        save(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write(path, lambda draft: draft.write_text(text))


class Store:
    """Read and write the results of one benchmark."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which need not exist yet."""
        self.folder = folder

    def prepare(self) -> None:
        """Create the folder. Raises UserError where it cannot be written."""
        try:
            (self.folder / "runs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"Cannot write to {self.folder}: {error.strerror}.", "Name a folder with --results."
            ) from error

    @cached_property
    def _folders(self) -> dict[str, Path]:
        runs = self.folder / "runs"
        if not runs.is_dir():
            return {}
        return {path.name.rpartition("-")[2]: path for path in runs.iterdir()}

    def run_folder(self, spec: Spec) -> Path:
        """Return the folder of a run, made or not yet made: label, seeds, id.

        s seed, f forget set, r request, x swapped, w shadow world, m member of the bank.
        """
        label = spec.method or spec.kind
        parts = [f"s{spec.seed}"]
        if spec.split is not None and spec.split.kind == "shadow":
            parts.append(f"w{spec.split.request}")
        elif spec.split is not None:
            parts += [f"f{spec.split.seed}", f"r{spec.split.request}", "x" * spec.split.swap]
        elif spec.member is not None:
            parts += [f"m{spec.member}"]
        return self.folder / "runs" / f"{label}-{''.join(parts)}-{spec.id}"

    def refresh(self) -> None:
        """Look at the disk again: other processes write there too."""
        self.__dict__.pop("_folders", None)

    def _path(self, run: str, name: str) -> Path:
        folder = self._folders.get(run)
        return folder / name if folder else self.folder / "runs" / run / name

    def done(self, run: str) -> bool:
        """Say whether the run with this id has a record."""
        return self._path(run, "record.json").exists()

    def marks(self, spec: Spec) -> tuple[int | None, int | None]:
        """Return when a run's record and its error were written, in ns; None for what is not there.

        Looks at the disk, where `done` may remember.
        """
        folder = self.run_folder(spec)
        record, error = (_written(folder / name) for name in ("record.json", "error.txt"))
        return record, error

    def error(self, run: str) -> str | None:
        """Return what went wrong with a run, None if nothing did."""
        path = self._path(run, "error.txt")
        return path.read_text() if path.exists() and not self.done(run) else None

    def record(self, run: str) -> dict[str, Any]:
        """Return a run's record."""
        record: dict[str, Any] = json.loads(self._path(run, "record.json").read_text())
        return record

    def size(self, run: str) -> int:
        """Return the bytes that a run takes, its weights included."""
        files = [*self._path(run, "record.json").parent.iterdir(), self.model_path(run)]
        return sum(path.stat().st_size for path in files if path.exists())

    def stamp(self, run: str) -> int:
        """Return a number that changes whenever a run is made anew."""
        return self._path(run, "record.json").stat().st_mtime_ns

    def signals(self, run: str) -> Arrays:
        """Return a run's signals, one number a sample each."""
        return _load(self._path(run, "signals.npz"))

    def logits(self, run: str) -> NDArray[Any]:
        """Return a run's logits, float16 [n, classes]; references have none."""
        logits: NDArray[Any] = _load(self._path(run, "logits.npz"))["logits"]
        return logits

    def split(self, split: str) -> Arrays:
        """Return the indices of a split: forget and earlier, into the training set."""
        return _load(self.folder / "splits" / f"{split}.npz")

    def has_split(self, split: str) -> bool:
        """Say whether a split has been stored."""
        return (self.folder / "splits" / f"{split}.npz").exists()

    def model_path(self, run: str) -> Path:
        """Return where the weights of a run are, if they were kept."""
        return self.folder / "models" / f"{run}.safetensors"

    def save(self, spec: Spec, record: dict[str, Any], signals: Arrays, logits: Arrays) -> None:
        """Write a run: signals, logits if any, and last its record."""
        folder = self.run_folder(spec)
        write(folder / "signals.npz", _saver(signals))
        if logits:
            write(folder / "logits.npz", _saver(logits))
        text = json.dumps({"schema": SCHEMA} | record, indent=1, sort_keys=True)
        write_text(folder / "record.json", text + "\n")
        (folder / "error.txt").unlink(missing_ok=True)

    def save_split(self, split: str, indices: Arrays) -> None:
        """Write a split, unless it is there already."""
        path = self.folder / "splits" / f"{split}.npz"
        if not path.exists():
            write(path, _saver(indices))

    def fail(self, spec: Spec, text: str) -> None:
        """Write down why a run failed."""
        write_text(self.run_folder(spec) / "error.txt", text)


def _written(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _load(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)


def _saver(arrays: Arrays) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    return save
