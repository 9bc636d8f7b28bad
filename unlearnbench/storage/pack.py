"""A pack: runs of a benchmark in one file to hand on, every part of which is checked.

A zip archive of regular files: pack.json, which lists the others with their sizes and checksums;
benchmark.toml; and of each run its record as it was written, its signals and logits `reduced`, its
split, and its weights if they were asked for. No pickle, and nothing in it is ever run or unpacked
under a name that it chose.
"""

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError

from unlearnbench.entries import enter_known
from unlearnbench.errors import UserError
from unlearnbench.files import UnsoundError, parsed_toml, unseal
from unlearnbench.planning import reading
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.facts import MethodFacts
from unlearnbench.planning.known import PluginFacts
from unlearnbench.planning.plan import Spec
from unlearnbench.recipe import Strict
from unlearnbench.storage.records import WEIGHTS, PoolSize, check_arrays, read_record
from unlearnbench.storage.reduction import npz, restored
from unlearnbench.storage.store import Store

CONTENTS, BENCHMARK = "pack.json", "benchmark.toml"
MEMBER = re.compile(
    r"benchmark\.toml|apart/[0-9a-f]{32}|splits/[0-9a-f]{12}|models/[0-9a-f]{12}\.safetensors"
    r"|runs/\w[\w.+-]*-[0-9a-f]{12}/(record\.json|signals|logits)",
    re.ASCII,
)
"""What the files of a pack are called."""
PLACES = {
    "split": "splits/{split}",
    "signals.npz": "runs/{folder}/signals",
    "logits.npz": "runs/{folder}/logits",
}
"""Where a pack has what a record names, but for weights."""
MOST, TIMES = 2**26, 100
"""Bytes that the list of contents may have, or small packs may unpack to; and of larger ones, how
many times their own size, which no results come near."""
WRONG = (ValueError, KeyError, TypeError, RecursionError, zlib.error, zipfile.BadZipFile, EOFError)
"""What reading raises where a pack is not as it was written."""


class Packed(Strict):
    """Hold a file's size and checksum in the pack; unpacked: the size of what it is made into."""

    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    unpacked: int = Field(default=0, ge=0)


class Contents(Strict):
    """Say what a pack holds, and who made it.

    runs: names of the folders of all that was packed, in the other parts too; methods, plugins:
    what plans and reports need to know of those that were run; files: those of this part, by name.
    """

    format: Literal[1] = 1
    what: Literal["results", "bank"]
    benchmark: str = Field(pattern=r"^\w[\w.-]*$")
    by: str = Field(default="", max_length=200)
    note: str = Field(default="", max_length=2000)
    made: str = Field(pattern=r"^\d{4}-\d\d-\d\d$")
    version: str = Field(max_length=40)
    part: int | None = None
    runs: list[str]
    methods: dict[str, MethodFacts] = Field(default_factory=dict)
    plugins: PluginFacts = PluginFacts()
    files: dict[str, Packed]


class PackError(UserError):
    """Say that a file is no pack, or not as it was written: nothing of it is taken over."""

    def __init__(self, file: str, why: str) -> None:
        """Keep the reason apart for those who name the file themselves."""
        super().__init__(f"{file}: {why}.", "Nothing of it was taken over.")
        word = why.partition(" ")[0]
        self.why = f"{word.title() if word.isalpha() else word}{why[len(word) :]}."


def model_place(run: str) -> str:
    """Return where a pack has a run's model."""
    return f"models/{run}.safetensors"


@dataclass(frozen=True)
class PackedRun:
    """Hold a run of a pack: its record, and by the names that the record has, its checked files.

    weights: whether its model is there too; it is read when it is asked for.
    """

    id: str
    spec: Spec
    record: dict[str, Any]
    files: dict[str, bytes]
    weights: bool

    @property
    def signals(self) -> str | None:
        """The checksum of its signals; None for what is shared, and has none."""
        digest: str | None = self.record["files"].get("signals.npz")
        return digest


class Pack:
    """Read a pack, and check whatever is read of it."""

    def __init__(self, path: Path) -> None:
        """Open it and check its list of contents; nothing else of it is unpacked so far.

        Raises PackError, or UserError if it is not there.
        """
        self.path = path
        if not path.is_file():
            raise UserError(f"There is no file {path}.", "Name a pack of `results export`.")
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError) as error:
            raise self.broken("it is cut short, or is no pack") from error
        self._members = {one.filename: one for one in self._zip.infolist()}
        self._kept_apart: dict[str, bytes] = {}
        self.contents = self._listed()
        self._require_bounds()

    def __enter__(self) -> Self:
        """Return the open pack."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._zip.close()

    def broken(self, why: str) -> PackError:
        """Return the error that says why nothing of it is taken over."""
        return PackError(self.path.name, why)

    def _listed(self) -> Contents:
        one = self._members.get(CONTENTS)
        if one is None or one.file_size > MOST:
            raise self.broken(f"it is no pack: it has no {CONTENTS}")
        try:
            raw = unseal(self._zip.read(one).decode())
        except (*WRONG, NotImplementedError, RuntimeError) as error:
            raise self.broken(f"its {CONTENTS} is torn or has been edited") from error
        if raw.get("format") != 1:
            raise self.broken("it was written by a later version of unlearnbench")
        try:
            return Contents.model_validate(raw)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise self.broken(f"{where} of its {CONTENTS}: {first['msg']}") from error

    def _require_bounds(self) -> None:
        """Raise PackError where there is anything but the files listed, of the sizes listed."""
        files, there = self.contents.files, self._zip.infolist()
        for one in there:
            name, kind = one.filename, stat.S_IFMT(one.external_attr >> 16)
            if name != CONTENTS and not MEMBER.fullmatch(name):
                raise self.broken(f"no file of a pack is called {name!r}")
            if one.is_dir() or kind not in (0, stat.S_IFREG) or one.flag_bits & 1:
                raise self.broken(f"{name} is no regular file")
            if name != CONTENTS and (name not in files or files[name].size != one.file_size):
                raise self.broken(f"{name} is not what was written")
        if len(there) != len(self._members):
            raise self.broken("two of its files have one name")
        if lost := files.keys() - self._members.keys():
            raise self.broken(f"{min(lost)} is missing")
        own = self.path.stat().st_size
        unpacked = sum(max(one.size, one.unpacked) for one in files.values())
        if unpacked > max(MOST, TIMES * own) or sum(one.compress_size for one in there) > own:
            raise self.broken(f"it would unpack to more than {TIMES} times its size")

    def read(self, name: str) -> bytes:
        """Return a file of it. Raises PackError where it is missing, or not what was written."""
        if name not in self.contents.files:
            raise self.broken(f"{name} is missing")
        try:
            data = self._zip.read(name)
        except (*WRONG, NotImplementedError, RuntimeError) as error:
            raise self.broken(f"{name} is not what was written") from error
        if sha256(data).hexdigest() != self.contents.files[name].sha256:
            raise self.broken(f"{name} is not what was written")
        return data

    @cached_property
    def benchmark(self) -> Benchmark:
        """The benchmark that it is of, but for the paths of its plugins."""
        enter_known(self.contents.plugins.model_dump(include={"metrics", "attacks"}))
        try:
            raw = parsed_toml(self.read(BENCHMARK).decode())
            benchmark = reading.validate(raw | {"name": raw.get("name", "")})
        except (ValueError, UserError) as error:
            raise self.broken(f"its {BENCHMARK} cannot be read: {error}") from error
        if benchmark.name != self.contents.benchmark or benchmark.plugins:
            raise self.broken(f"its {BENCHMARK} is that of another")
        return benchmark

    @property
    def folders(self) -> list[str]:
        """The names of the folders of the runs that are in this part."""
        return [name.split("/")[1] for name in self.contents.files if name.endswith("record.json")]

    def runs(self) -> Iterator[PackedRun]:
        """Yield the runs that are in this part, all that is small of them checked.

        Raises PackError where one is not what was written, or not of this benchmark.
        """
        for folder in self.folders:
            try:
                yield self._run(folder)
            except WRONG as error:
                raise self.broken(f"runs/{folder} is not what was written") from error

    def _run(self, folder: str) -> PackedRun:
        try:
            record, spec = read_record(self.read(f"runs/{folder}/record.json").decode())
        except UnsoundError as error:
            raise self.broken(f"the record of runs/{folder} {error}") from error
        of = self.benchmark
        if Store(Path()).run_folder(spec).name != folder or record["split"] != spec.split_id:
            raise self.broken(f"runs/{folder} is not the run that its record is of")
        if (spec.data, spec.model, spec.recipe) != (of.data, of.model, of.recipe):
            raise self.broken(f"runs/{folder} is of other data, model or recipe than {BENCHMARK}")
        if folder not in self.contents.runs:
            raise self.broken(f"runs/{folder} is not among its runs")
        files = {}
        for name, expected in record["files"].items():
            if name == WEIGHTS:
                continue
            place = PLACES[name].format(folder=folder, split=spec.split_id)
            data = self._restored(place)
            if sha256(data).hexdigest() != expected:
                raise self.broken(f"{place} is not what its record says")
            try:
                check_arrays(name, BytesIO(data), PoolSize.of(record))
            except UnsoundError as error:
                raise self.broken(f"{place} {error}") from error
            files[name] = data
        model = self.contents.files.get(model_place(spec.id))
        if model and model.sha256 != record["files"].get(WEIGHTS):
            raise self.broken(f"the model of {folder} is not what its record says")
        return PackedRun(spec.id, spec, record, files, model is not None)

    def _restored(self, place: str) -> bytes:
        """Return the file of arrays that stands for one in the pack."""
        data = self.read(place)  # which says so if it is not there
        return npz(restored(data, self._apart, self.contents.files[place].unpacked))

    def _apart(self, name: str) -> bytes:
        if name not in self._kept_apart:
            self._kept_apart[name] = self.read(f"apart/{name}")
        return self._kept_apart[name]
