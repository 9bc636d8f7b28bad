"""Results on disk: a folder a run, a record that is whole or absent, a lease on what is made."""

import errno
import json
import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from filelock import SoftFileLease, Timeout
from numpy.typing import NDArray

from unlearnbench.errors import UserError
from unlearnbench.files import DRAFT, checksum, seal, unseal, write, write_text
from unlearnbench.planning.plan import Spec

SCHEMA = 3
PRUNED = "pruned"
"""What a record has in the place of `files` for those that were left behind: their checksums."""
OTHER_DATA = "it was made of other data than the rest"
Arrays = dict[str, NDArray[Any]]


class Store:
    """Read and write the results of one benchmark."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which need not exist yet."""
        self.folder = folder
        self.leases = Leases(folder / "leases")
        self._checked: dict[tuple[str, int], tuple[str | None, str | None]] = {}
        self._folders: dict[str, Path] | None = None

    def prepare(self) -> None:
        """Create the folder. Raises UserError where it cannot be written."""
        try:
            (self.folder / "runs").mkdir(parents=True, exist_ok=True)
            if not os.access(self.folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            hint = "Name a folder with --results."
            raise UserError(f"Cannot write to {self.folder}: {error.strerror}.", hint) from error

    def runs(self) -> dict[str, Path]:
        """Return the folders of all runs, finished or not, by id, as they were when last read."""
        if self._folders is None:
            paths = (self.folder / "runs").glob("*")
            self._folders = {path.name.rpartition("-")[2]: path for path in paths}
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
        """Check files anew, and list folders anew unless all runs that are needed are known.

        So a store can be kept from one run to the next without trusting what it saw before.
        """
        self._checked.clear()
        if not self.runs().keys() >= set(needs):
            self.refresh()

    def _path(self, run: str, name: str) -> Path:
        return self.runs().get(run, self.folder / "runs" / run) / name

    def done(self, run: str) -> bool:
        """Say whether a run has been made, and its files are as they were written."""
        return self.exists(run) and self.damage(run) is None

    def exists(self, run: str) -> bool:
        """Say whether the run with this id has a record, whatever its state."""
        return self._path(run, "record.json").exists()

    def marks(self, spec: Spec) -> tuple[int | None, int | None]:
        """Return when the disk's record and error of a run were written, in ns; None if absent."""
        folder = self.run_folder(spec)
        return _written(folder / "record.json"), _written(folder / "error.txt")

    def error(self, run: str) -> str | None:
        """Return what went wrong with a run when last tried, None if nothing did.

        One that was made before, and failed when it was to be made anew, has its record as well.
        """
        path = self._path(run, "error.txt")
        return path.read_text(encoding="utf-8") if path.exists() else None

    def record(self, run: str) -> dict[str, Any]:
        """Return a run's record."""
        return unseal(self._path(run, "record.json").read_text(encoding="utf-8"))

    def damage(self, run: str) -> str | None:
        """Say what is wrong with a run's files, read once a record; None if all is as written."""
        return self._look(run)[0]

    def digest(self, run: str) -> str | None:
        """Return the digest of the data that a finished run was made of."""
        return self._look(run)[1]

    def _look(self, run: str) -> tuple[str | None, str | None]:
        key = run, self.stamp(run)
        if key not in self._checked:
            self._checked[key] = self._examine(run)
        return self._checked[key]

    def _examine(self, run: str) -> tuple[str | None, str | None]:
        """Return what is wrong with a run's files, and the digest of its data."""
        try:
            text = self._path(run, "record.json").read_text(encoding="utf-8")
            if json.loads(text)["schema"] != SCHEMA:
                return "record.json is of another version of unlearnbench", None
            record = unseal(text)
        except (ValueError, KeyError, TypeError):
            return "record.json is torn or has been edited", None
        for name, expected in record["files"].items():
            path = self.model_path(run) if name == "weights" else self._path(run, name)
            if name != "split" and (wrong := self._compare(path, expected)):
                return wrong, None
        return None, record.get("data")

    def split_damage(self, run: str) -> str | None:
        """Say what is wrong with the split that a run shares with others; None if nothing is."""
        record = self.record(run)
        expected = record["files"].get("split")
        if expected is None:
            return None
        return self._compare(self.folder / "splits" / f"{record['split']}.npz", expected)

    def _compare(self, path: Path, expected: str) -> str | None:
        found = checksum(path)
        if found == expected:
            return None
        what = "is missing" if found is None else "is not what was written"
        return f"{path.relative_to(self.folder)} {what}"

    def has_weights(self, run: str) -> bool:
        """Say whether the weights of a finished run were kept, and are here."""
        return "weights" in self.record(run)["files"]

    def weights_checksum(self, run: str) -> str | None:
        """Return the checksum of a finished run's weights, if only that is here; None for none."""
        record = self.record(run)
        files: dict[str, str] = record.get(PRUNED, {}) | record["files"]
        return files.get("weights")

    def pruned(self, run: str) -> bool:
        """Say whether a finished run has been taken over without the weights that it had."""
        return "weights" in self.record(run).get(PRUNED, {})

    def stamp(self, run: str) -> int:
        """Return a number that changes whenever a run is made anew."""
        return self._path(run, "record.json").stat().st_mtime_ns

    def signals(self, run: str, *names: str) -> Arrays:
        """Return a run's signals, one number a sample each: those named that it has, or all."""
        return load_arrays(self._path(run, "signals.npz"), *names)

    def logits(self, run: str) -> NDArray[Any]:
        """Return a run's logits, float16 [n, classes], up to a constant a sample."""
        return load_arrays(self._path(run, "logits.npz"))["logits"]

    def split(self, split: str) -> Arrays:
        """Return the indices of a split: forget and earlier, into the training set."""
        return load_arrays(self.folder / "splits" / f"{split}.npz")

    def has_split(self, split: str) -> bool:
        """Say whether a split has been stored."""
        return (self.folder / "splits" / f"{split}.npz").exists()

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
        for left in folder.glob(f"{DRAFT}*"):  # by a worker that was killed while it wrote
            left.unlink()
        if weights is not None:
            files["weights"] = write(self.model_path(spec.id), weights)
        if split is not None:
            path = self.folder / "splits" / f"{spec.split_id}.npz"
            files["split"] = write(path, _saver(split))
        if signals:
            files["signals.npz"] = write(folder / "signals.npz", _saver(signals))
        if logits:
            files["logits.npz"] = write(folder / "logits.npz", _saver(logits))
        if "profile" in record:
            record["profile"]["store"] = time.perf_counter() - start
        content = {"schema": SCHEMA, "split": spec.split_id, "files": files} | record
        write_text(folder / "record.json", seal(content))
        (folder / "error.txt").unlink(missing_ok=True)
        if self._folders is not None:
            self._folders[spec.id] = folder

    def fail(self, spec: Spec, text: str) -> None:
        """Write down why a run failed."""
        write_text(self.run_folder(spec) / "error.txt", text)


def _written(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


_reading = Lock()
"""NumPy parses headers as Python, whose parser counts wrong where two threads use it (3.11)."""


def load_arrays(path: Path, *names: str) -> Arrays:
    """Return the arrays of a file: those named that it has, or all; nothing is unpickled."""
    with _reading, np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in names or stored.files if name in stored.files}


def _saver(arrays: Arrays) -> Callable[[Path], None]:
    return partial(np.savez, **arrays)  # type: ignore[arg-type]


LEASE = 60.0
"""Seconds without a sign of life after which a run is anybody's again; on one machine at once.

Counted by the clock of whoever waits, so that clocks may differ or jump. Should an owner come back
to life later, two make the same run, and store the same record.
"""


class Leases:
    """Say which process makes which run of a shared folder; what it holds shows signs of life."""

    def __init__(self, folder: Path) -> None:
        """Keep the leases in `folder`."""
        self.folder = folder
        self._known: dict[str, SoftFileLease] = {}

    def take(self, run: str) -> bool:
        """Take a lease on a run; False if another has it, of whom it learns in time if it died."""
        if run not in self._known:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._known[run] = SoftFileLease(self.folder / run, lease_duration=LEASE)
        with suppress(Timeout):
            self._known[run].acquire(timeout=0)
            return True
        return False

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Have a lease on a thing that is held for moments only, waiting for others to drop theirs.

        Raises UserError, naming the file of the lease, where another keeps it for two minutes.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lease = SoftFileLease(self.folder / name, lease_duration=LEASE, timeout=2 * LEASE)
        try:
            lease.acquire()
        except Timeout as error:
            problem = (
                f"Another process is changing {self.folder.parent} and does not come to an end."
            )
            hint = f"If none is running, remove {self.folder / name}."
            raise UserError(problem, hint) from error
        try:
            yield
        finally:
            lease.release()

    def drop(self, run: str) -> None:
        """Release a lease that was taken."""
        self._known.pop(run).release()

    def drop_all(self) -> None:
        """Release every lease, and clear away what dead processes of this machine have left."""
        for lease in self._known.values():
            lease.release()  # which does nothing for one that another process has
        for path in self.folder.glob("[!.]*"):
            if self.take(path.name):
                self.drop(path.name)
