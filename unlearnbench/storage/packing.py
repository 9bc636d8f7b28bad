"""Write packs: all of a plan's runs, or its originals and references, in one file or in parts."""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path

from unlearnbench.files import seal, write
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.plan import Plan
from unlearnbench.planning.reading import as_toml
from unlearnbench.storage.pack import BENCHMARK, CONTENTS, PLACES, Contents, Packed, model_place
from unlearnbench.storage.reduction import name_apart, npz, reduced
from unlearnbench.storage.store import Store

DAY = (1980, 1, 1, 0, 0, 0)
"""Of every file in a pack, so that the same results are the same bytes."""
ENTRY = 300
"""Bytes that a zip archive takes at most to list one of our files."""


@dataclass
class Written:
    """Say what was written: files, how many runs they hold, and what is left out and why."""

    paths: list[Path] = field(default_factory=list)
    runs: int = 0
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _File:
    """One file of a pack before it is written; unpacked: the size of what it is made into."""

    data: bytes
    unpacked: int = 0

    @property
    def listed(self) -> Packed:
        """What the list of contents says of it."""
        digest = sha256(self.data).hexdigest()
        return Packed(size=len(self.data), sha256=digest, unpacked=self.unpacked)


def to_pack(store: Store, plan: Plan, *, bank: bool) -> tuple[list[str], list[str]]:
    """Return the finished runs of a plan, or of its bank, and what is left out as it is damaged.

    A bank's originals are those of the training set: other worlds' serve one benchmark alone.
    """
    runs, left_out = [], []
    for run, node in plan.nodes.items():
        shared = node.spec.kind in ("original", "reference") and node.spec.split is None
        if (bank and not shared) or not store.exists(run):
            continue
        if damage := store.damage(run) or store.split_damage(run):
            left_out.append(f"{store.runs()[run].name}: {damage}")
        else:
            runs.append(run)
    return runs, left_out


def write_packs(
    store: Store,
    runs: Sequence[str],
    contents: Contents,
    benchmark: Benchmark,
    path: Path,
    *,
    weights: bool = False,
    part_size: int | None = None,
) -> Written:
    """Write runs into a pack, or into parts of about so many bytes at most; return what came of it.

    contents: without files; weights: with the models that were kept; part_size: a part has one run
    at least. Parts are called NAME-1.zip, NAME-2.zip and so on, and each can be read alone.
    """
    waiting, written = list(runs), Written()
    text = as_toml(_without_paths(benchmark)).encode()
    while waiting:
        part = len(written.paths) + 1 if part_size else None
        place = path.with_stem(f"{path.stem}-{part}") if part else path
        packing = _Packing(store, waiting, weights, part_size, written)
        about = contents.model_copy(update={"part": part})
        write(place, partial(packing.fill, about, _File(text)))
        written.paths.append(place)
    return written


def _without_paths(benchmark: Benchmark) -> Benchmark:
    """Return a benchmark that says nothing of the folders of this machine."""
    forget = benchmark.forget
    if forget.list is not None:
        forget = forget.model_copy(update={"list": Path(forget.list).name})
    return benchmark.model_copy(update={"plugins": [], "forget": forget})


class _Packing:
    """Fill one file with as many of the waiting runs as it may hold."""

    def __init__(
        self,
        store: Store,
        waiting: list[str],
        weights: bool,
        part_size: int | None,
        written: Written,
    ) -> None:
        self.store, self.waiting, self.weights = store, waiting, weights
        self.part_size, self.written = part_size, written
        self.files: dict[str, Packed] = {}

    def fill(self, contents: Contents, benchmark: _File, draft: Path) -> None:
        """Write the pack, last its list of contents."""
        taken, begun = ENTRY, False
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
            self._add(archive, {BENCHMARK: benchmark})
            while self.waiting:
                run = self.waiting[0]
                files = self._files(run)
                if files is not None:
                    needs = self._weigh(files) if self.part_size else 0
                    if begun and taken + needs > (self.part_size or 0):
                        break
                    self._add(archive, files)
                    taken, begun = taken + needs, bool(self.part_size)
                    self.written.runs += 1
                self.waiting.pop(0)
            about = contents.model_copy(update={"files": self.files}).model_dump(mode="json")
            _put(archive, CONTENTS, seal(about).encode())

    def _add(self, archive: zipfile.ZipFile, files: dict[str, _File]) -> None:
        for name, file in files.items():
            if name not in self.files:
                _put(archive, name, file.data)
                self.files[name] = file.listed

    def _weigh(self, files: dict[str, _File]) -> int:
        """Return how many bytes files will add to the pack, or a few more."""
        new = [file.data for name, file in files.items() if name not in self.files]
        return sum(len(zlib.compress(data)) + ENTRY for data in new)

    def _files(self, run: str) -> dict[str, _File] | None:
        """Return what a pack has of a run; None where its arrays would not come back the same."""
        folder, record = self.store.runs()[run], self.store.record(run)
        split = self.store.split_path(record["split"])
        files: dict[str, _File] = {}

        def put_apart(data: bytes) -> str:
            name = name_apart(data)
            files.setdefault(f"apart/{name}", _File(data, 0))
            return name

        for name in record["files"].keys() & PLACES.keys():
            source = split if name == "split" else folder / name
            arrays = self.store.arrays(source)
            if npz(arrays) != source.read_bytes():
                self.written.left_out.append(f"{folder.name}: {name} was written by another NumPy")
                return None
            place = PLACES[name].format(folder=folder.name, split=record["split"])
            files[place] = _File(reduced(arrays, put_apart), source.stat().st_size)
        if self.weights and "weights" in record["files"]:
            files[model_place(run)] = _File(self.store.model_path(run).read_bytes())
        files[f"runs/{folder.name}/record.json"] = _File((folder / "record.json").read_bytes())
        return dict(sorted(files.items()))


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Write a regular file of no particular day; models, of which little can be saved, as is."""
    about = zipfile.ZipInfo(name, DAY)
    about.external_attr = 0o100644 << 16
    stored = name.startswith("models/")
    about.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    archive.writestr(about, data)
