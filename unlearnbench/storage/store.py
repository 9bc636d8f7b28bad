"""Results on disk: a folder a run, a record that is whole or absent, a lease on what is made."""

import errno
import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearnbench import arrays
from unlearnbench.arrays import Arrays
from unlearnbench.errors import UserError
from unlearnbench.files import (
    CHECKSUM,
    UnsoundError,
    checksum,
    opened,
    read_text,
    seal,
    visible,
)
from unlearnbench.planning.plan import Spec
from unlearnbench.storage import inside, sealed
from unlearnbench.storage.leases import ASKED, Leases
from unlearnbench.storage.look import Looked, mismatch
from unlearnbench.storage.records import (
    ANOTHER,
    LOGITS,
    PRUNED,
    SCHEMA,
    SIGNALS,
    SPLIT,
    WEIGHTS,
    PoolSize,
    check_record,
    read_record,
)

OTHER_DATA = "it was made of other data than the rest"
OTHER_VERSION = f"record.json {ANOTHER}"
ERROR = 2**20
"""Bytes of a failure's text that are read."""


class Store:
    """Read and write the results of one benchmark."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which need not exist yet."""
        self.folder = folder
        self.leases = Leases(folder / "leases")
        self._checked: dict[tuple[str, int], Looked] = {}
        self._splits: dict[tuple[str, str, int, int | None], str | None] = {}
        self._folders: dict[str, Path] | None = None

    def prepare(self) -> None:
        """Create the folder. Raises UserError where it is not to be written, or cannot."""
        try:
            inside.require_own(self.folder)
            (self.folder / "runs").mkdir(parents=True, exist_ok=True)
            if not os.access(self.folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            hint = "Name a folder with --results."
            raise UserError(f"Cannot write to {self.folder}: {error.strerror}.", hint) from error

    def runs(self) -> dict[str, Path]:
        """Return the folders of all runs, finished or not, by id, as they were when last read."""
        if self._folders is None:
            paths = visible(self.folder, "runs/*")
            self._folders = {_id(path): path for path in paths}
        return self._folders

    def run_folder(self, spec: Spec) -> Path:
        """Return the folder of a run, made or not yet made: label, seeds, id.

        s seed, f forget set, r request, x swapped, w shadow world, m member of the bank.
        """
        label = spec.made_by
        if spec.kind == "shared":
            label += "-shared"
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
        self._folders = None

    def renew(self, needs: Collection[str]) -> None:
        """Check files again, and list folders again unless all runs that are needed are known.

        So a store can be kept from one run to the next without trusting what it saw before.
        """
        self._checked.clear()
        self._splits.clear()
        if not self.runs().keys() >= set(needs):
            self.refresh()

    def _path(self, run: str, name: str) -> Path:
        folder = self.runs().get(run)  # asked for more often than anything else
        return (folder or self.folder / "runs" / run) / name

    def done(self, run: str) -> bool:
        """Say whether a run has been made, and its files are as they were written."""
        written = _written(self._path(run, "record.json"))
        return written is not None and self._look(run, written).damage is None

    def exists(self, run: str) -> bool:
        """Say whether the run with this id has a record, whatever its state."""
        return run in self.runs() and self._path(run, "record.json").exists()

    def marks(self, spec: Spec) -> tuple[int | None, int | None]:
        """Return when the disk's record and error of a run were written, in ns; None if absent."""
        folder = self.run_folder(spec)
        return _written(folder / "record.json"), _written(folder / "error.txt")

    def error(self, run: str) -> str | None:
        """Return what went wrong with a run when last tried, None if nothing did.

        One that was made before, and failed when it was to be made again, has its record as well.
        """
        if run not in self.runs():
            return None
        path = self._path(run, "error.txt")
        try:
            return read_text(path, self.folder, ERROR)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except UnsoundError as error:
            return f"{path.name} {error}"

    def record(self, run: str) -> dict[str, Any]:
        """Return a run's record. Raises UnsoundError where it is not one."""
        text = read_text(self._path(run, "record.json"), self.folder)
        known = self._checked.get((run, _written(self._path(run, "record.json")) or 0))
        if known is None or known.text != _digest(text):
            return read_record(text)[0]
        record: dict[str, Any] = json.loads(text)  # which has been checked
        del record[CHECKSUM]
        return record

    def damage(self, run: str) -> str | None:
        """Say what is wrong with a run's files, read once a record; None if all is as written."""
        return self._look(run).damage

    def require_version(self, runs: Iterable[str]) -> None:
        """Raise UserError where another version has made any of these runs.

        It would take the records of this one for torn, and make them again, as this one would its.
        """
        for run in runs:
            if self.exists(run) and self.damage(run) == OTHER_VERSION:
                raise UserError(
                    f"{self.folder} holds records of another version of unlearnbench"
                    f" ({self.runs()[run].name}): the two would undo each other's work.",
                    "Go on with that version, or start over elsewhere: --results DIR.",
                )

    def digest(self, run: str) -> str | None:
        """Return the digest of the data that a finished run was made of."""
        return self._look(run).data

    def samples(self, run: str) -> tuple[object, ...]:
        """Return what all runs agree in that stand in one table: data, their parts, labels."""
        found, of = self._look(run), self._look(run).pool
        return found.data, of and (of.train, of.test, of.held_out), found.labels

    def seal(self, run: str) -> str:
        """Return a checksum of a finished run's record, which has those of all its files."""
        return self._look(run).text

    def _look(self, run: str, written: int | None = None) -> Looked:
        if written is None and (written := _written(self._path(run, "record.json"))) is None:
            return Looked("record.json is missing")
        key = run, written
        if key not in self._checked:
            self._checked[key] = self._examine(run)
        return self._checked[key]

    def _examine(self, run: str) -> Looked:
        """Look at a run's record, and at all files that it has by itself."""
        path = self._path(run, "record.json")
        try:
            text = read_text(path, self.folder)
            record, spec = read_record(text)
        except UnsoundError as error:
            return Looked(f"record.json {error}")
        except OSError as error:
            return Looked(f"record.json cannot be read ({error.strerror})")
        if self.run_folder(spec).name != path.parent.name:
            return Looked("record.json is of another run")
        labels, of = None, PoolSize.of(record)
        for name, expected in record["files"].items():
            if name != SPLIT:
                wrong, found = mismatch(self.folder, self.place(run, name), name, expected, of)
                if wrong:
                    return Looked(wrong)
                labels = labels if found is None else found
        return Looked(
            None,
            _digest(text),
            record.get("data"),
            of,
            labels,
            record["split"],
            record["files"],
            record.get(PRUNED, {}),
        )

    def split_damage(self, run: str) -> str | None:
        """Say what is wrong with the split that a run shares with others; None if nothing is."""
        look = self._look(run)
        expected = look.files.get(SPLIT)
        if expected is None or look.split is None or look.pool is None:
            return None
        path = self.split_path(look.split)
        key = look.split, expected, look.pool.count, _written(path)
        if key not in self._splits:
            self._splits[key] = mismatch(self.folder, path, SPLIT, expected, look.pool)[0]
        return self._splits[key]

    def place(self, run: str, name: str) -> Path:
        """Return where a file is that a finished run's record names."""
        if name == SPLIT:
            return self.split_path(str(self._look(run).split))
        return self.model_path(run) if name == WEIGHTS else self._path(run, name)

    def split_of(self, run: str) -> tuple[str | None, str | None]:
        """Return the name of a finished run's split, and its checksum; None where it has none."""
        look = self._look(run)
        return look.split, look.files.get(SPLIT)

    def disagrees(self, split: str | None, expected: str | None) -> bool:
        """Say whether finished runs have a split that is another than one of this checksum."""
        if split is None or checksum(self.split_path(split)) in (None, expected):
            return False
        return any(self.vouches(run, split) for run in self.runs() if self.done(run))

    def vouches(self, run: str, split: str) -> bool:
        """Say whether a finished run was made with a split, which is as it was then."""
        look = self._look(run)
        return look.split == split and SPLIT in look.files and self.split_damage(run) is None

    def has_weights(self, run: str) -> bool:
        """Say whether the weights of a finished run were kept, and are here."""
        return WEIGHTS in self._look(run).files

    def weights_checksum(self, run: str) -> str | None:
        """Return the checksum of a finished run's weights, if only that is here; None for none."""
        found = self._look(run)
        return {**found.pruned, **found.files}.get(WEIGHTS)

    def pruned(self, run: str) -> bool:
        """Say whether a finished run has been taken over without the weights that it had."""
        return WEIGHTS in self._look(run).pruned

    def signals(self, run: str, *names: str) -> Arrays:
        """Return a run's signals, one number a sample each: those named that it has, or all."""
        return self.arrays(self._path(run, SIGNALS), *names)

    def logits(self, run: str) -> NDArray[Any]:
        """Return a run's logits, float16 [n, classes], up to a constant a sample."""
        return self.arrays(self._path(run, LOGITS))["logits"]

    def split(self, split: str) -> Arrays:
        """Return the indices of a split: forget and earlier, into the training set."""
        return self.arrays(self.split_path(split))

    def arrays(self, path: Path, *names: str) -> Arrays:
        """Return the arrays of a file: those named that it has, or all; nothing is unpickled.

        Raises UnsoundError, naming it, for a file of anything else.
        """
        try:
            with opened(path, self.folder) as file:
                return arrays.load_arrays(file, arrays.array_places(file), *names)
        except UnsoundError as error:
            raise UnsoundError(f"{path.relative_to(self.folder)} {error}") from error

    def split_path(self, split: str) -> Path:
        """Return where a forget set is."""
        return self.folder / "splits" / f"{split}.npz"

    def model_path(self, run: str) -> Path:
        """Return where the weights of a run are, if they were kept."""
        return self.folder / "models" / f"{run}.safetensors"

    def save(
        self,
        spec: Spec,
        record: dict[str, Any],
        signals: Arrays,
        logits: Arrays,
        split: Arrays | None = None,
        weights: Callable[[Path], object] | None = None,
    ) -> None:
        """Write a run: weights, split, signals and logits, if any, and last its record.

        The record has the checksums of all the others, and one of itself; a profile in it is told
        how long the others took.
        """
        folder, files, start = self.run_folder(spec), {}, time.perf_counter()
        put = partial(inside.put_file, folder=self.folder)
        if weights is not None:
            files[WEIGHTS] = put(self.model_path(spec.id), save=weights)
        if split is not None:
            files[SPLIT] = put(self.split_path(str(spec.split_id)), save=_saver(split))
        if signals:
            files[SIGNALS] = put(folder / SIGNALS, save=_saver(signals))
        if logits:
            files[LOGITS] = put(folder / LOGITS, save=_saver(logits))
        if "profile" in record:
            record["profile"]["store"] = time.perf_counter() - start
        content = {"schema": SCHEMA, "split": spec.split_id, "files": files} | record
        check_record(content)
        self.conclude(folder, seal(content))

    def conclude(self, folder: Path, record: str) -> None:
        """Write a run's record, when all its other files are there: it has not failed any more."""
        inside.put_text(folder / "record.json", self.folder, record)
        inside.remove(folder / "error.txt", self.folder)
        self._enter(folder)

    @contextmanager
    def claim(self, folder: Path) -> Iterator[bool]:
        """Hold the lease on a run that is to be taken over; yield whether it could be had.

        folder: the run's. What another process has made of it by now is seen within.
        """
        run = _id(folder)
        if not self.leases.take(run):
            yield False
            return
        try:
            if folder.is_dir():
                self._enter(folder)
            yield True
        finally:
            self.leases.drop(run)

    def _enter(self, folder: Path) -> None:
        """List the folder of a run with those that were there when they were listed."""
        if self._folders is not None:
            self._folders[_id(folder)] = folder

    def note(self, path: Path, text: str) -> None:
        """Write one of the texts that commands change one after the other, and its copy.

        Raises as `Leases.require` where another process may have changed what it follows from.
        """
        self.leases.require(ASKED)
        sealed.write_sealed(path, self.folder, text)

    def unnote(self, path: Path) -> None:
        """Remove one of these texts and its copy; raises as `note` does."""
        self.leases.require(ASKED)
        sealed.remove_sealed(path, self.folder)

    def fail(self, spec: Spec, text: str) -> None:
        """Write down why a run failed."""
        inside.put_text(self.run_folder(spec) / "error.txt", self.folder, text)


def _id(folder: Path) -> str:
    return folder.name.rpartition("-")[2]


def _written(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _saver(arrays: Arrays) -> Callable[[Path], None]:
    return partial(np.savez, **arrays)  # type: ignore[arg-type]
