"""Benchmark files: what is compared on what, validated."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

import tomli_w
from pydantic import Field, ValidationError, field_validator, model_validator

from unlearnbench.data import DataSpec
from unlearnbench.errors import UserError, unknown
from unlearnbench.metrics.attacks import ATTACKS
from unlearnbench.metrics.compute import METRICS
from unlearnbench.published import Published, looked_up
from unlearnbench.recipe import Recipe, Strict
from unlearnbench.registry import shipped
from unlearnbench.spec import Access, Kind

TERMS = ("forget_accuracy", "retain_accuracy", "test_accuracy", "ft_auc")
"""The paper's four terms of the average gap."""
BASED_ON = "based_on"
WHOLE = ("methods", "tuning")
"""Tables of a file that replace those of the files it is based on."""


class Forget(Strict):
    """Say what is forgotten."""

    kind: Kind = Field("random", description="class, subclass: of one class; most-memorised, ...")
    fractions: list[float] = Field(
        min_length=1, description="of the training set (or of the class)"
    )
    target: int | None = Field(
        None, ge=0, description="first class (or subclass) forgotten; by the forget seed if absent"
    )
    requests: int = Field(1, ge=1, description="forget sets sent in a row")

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        for fraction in self.fractions:
            if not (0 < fraction < 1 or (fraction == 1 and self.kind in ("class", "subclass"))):
                raise ValueError(f"fraction {fraction:g} is outside (0, 1)")
        return self


class Seeds(Strict):
    """Say how often everything is repeated.

    zip: repetition i takes the i-th original, forget set and run; product: every combination.
    """

    originals: list[int] = Field(min_length=1)
    forget: list[int] = Field(min_length=1)
    runs: list[int] = Field(min_length=1)
    pairing: Literal["zip", "product"] = "zip"
    retrains: int = Field(
        1,
        ge=1,
        description="models retrained for each forget set; of three or more, the last is held out"
        " of the yardstick and judged as a method would be",
    )

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        lengths = {len(self.originals), len(self.forget), len(self.runs)}
        if self.pairing == "zip" and len(lengths) > 1:
            raise ValueError("originals, forget and runs must be equally long to be zipped")
        return self


class References(Strict):
    """Size the bank of reference models for membership attacks."""

    count: int = Field(16, ge=2, multiple_of=2)
    seed: int = Field(0, ge=0)


class ULira(Strict):
    """Size U-LiRA: shadow models passed through the very methods that are compared."""

    shadows: int = Field(
        0, ge=0, multiple_of=4, description="worlds, each with an original and a run a method"
    )
    seed: int = Field(0, ge=0)
    methods: list[str] = Field(default_factory=list, description="rows audited; all if empty")


class Limits(Strict):
    """Declare beforehand, in points, what a difference to retrain must not exceed."""

    equivalence: float = Field(2.0, gt=0, description="margin of FT AUC for 'equivalent'")
    utility: float = Field(5.0, gt=0, description="test accuracy a method may lose and be ranked")


class Benchmark(Strict):
    """Say which methods are compared, on what, how often. One TOML file each."""

    name: str = Field(
        pattern=r"^[\w.-]+$", description="names the results folder; the file name if absent"
    )
    title: str
    data: DataSpec
    model: str
    recipe: Recipe = Recipe()
    access: list[Access] = Field(["full"], min_length=1)
    forget: Forget
    seeds: Seeds
    references: References = References()
    attacks: list[str] = Field(list(ATTACKS), min_length=1, description="that tables show")
    limits: Limits = Limits()
    controls: bool = Field(True, description="run do-nothing, destroyed and planted-leak too")
    curves: bool = Field(False, description="note accuracies after each epoch of unlearning")
    swap: bool = Field(False, description="run all again with forget and test samples exchanged")
    ulira: ULira = ULira()
    gap_terms: list[str] = Field(list(TERMS), min_length=1, description="averaged in avg_gap")
    methods: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="rows of the table: settings by label"
    )
    others: bool = Field(True, description="run the methods that have no row here as well")
    plugins: list[str] = Field(default_factory=list, description="files of further methods")
    tuning: dict[str, Any] = Field(
        default_factory=dict, description="how the settings were chosen, for the reader"
    )
    published: list[Published] = Field(
        default_factory=list, description='rows, or tables of a paper such as "amun: Table 1"'
    )

    @field_validator("published", mode="before")
    @classmethod
    def _looked_up(cls, entries: object) -> object:
        return looked_up(entries)

    @model_validator(mode="after")
    def _known_metrics(self) -> Self:
        named = [*self.gap_terms, *(name for row in self.published for name in row.values)]
        for name in named:
            if name not in METRICS:
                raise ValueError(str(unknown("metric", name, METRICS)))
        for name in self.attacks:
            if name not in ATTACKS:
                raise ValueError(str(unknown("attack", name, ATTACKS)))
        return self

    @model_validator(mode="after")
    def _possible(self) -> Self:
        plain = self.forget.kind == "random" and self.forget.requests == 1
        if (self.swap or self.ulira.shadows) and not plain:
            raise ValueError("swap and ulira need random forget sets and one request")
        return self


def shipped_benchmarks() -> dict[str, Path]:
    """List the benchmark files that ship with the package, by name."""
    return {path.stem: path for path in sorted(shipped("benchmarks").glob("*.toml"))}


def locate(name: str) -> Path:
    """Find a benchmark by name, or take `name` as the path of a TOML file."""
    known = shipped_benchmarks()
    if name in known:
        return known[name]
    if name.endswith(".toml") and Path(name).is_file():
        return Path(name)
    raise unknown("benchmark", name, known)


def read(path: Path) -> dict[str, Any]:
    """Read a benchmark file on top of those that it is based on, the first of them lowest.

    Tables are merged key by key, but for rows of methods and words about tuning, which stand whole
    or not at all. Raises UserError with the line that is broken.
    """
    merged: dict[str, Any] = {}
    for file in reversed(chain(path)):
        merged["name"] = path.stem  # never a base's own
        for key, value in _parsed(file).items():
            part = isinstance(value, dict) and key not in WHOLE
            merged[key] = {**merged.get(key, {}), **value} if part else value
    merged.pop(BASED_ON, None)
    return merged


def chain(path: Path, above: tuple[Path, ...] = ()) -> list[Path]:
    """List a benchmark file and those that it is based on, directly or not, the nearest first."""
    if path in above:
        raise UserError(f"{path} is based on itself.", f"See its key {BASED_ON}.")
    named = _parsed(path).get(BASED_ON, [])
    names = [named] if isinstance(named, str) else named
    files = [path]
    for name in reversed(names):
        files += chain(_base(str(name), path), (*above, path))
    return files


def _base(name: str, path: Path) -> Path:
    """Find a shipped benchmark or a part of one, or a file beside the one that names it."""
    for file in (shipped("benchmarks") / f"{name}.toml", path.parent / name):
        if file.is_file():
            return file
    raise unknown(f"benchmark for {path.name} to be based on", name, shipped_benchmarks())


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not valid TOML: {error}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {path}: {error}.") from error


def validate(raw: dict[str, Any]) -> Benchmark:
    """Check settings. Raises UserError naming the key that is wrong."""
    where = f"benchmark {raw['name']}"
    try:
        return Benchmark.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        path = [str(part) for part in first["loc"]]
        if first["type"] == "extra_forbidden":
            raise unknown(f"key in {where}", path[-1], _siblings(path)) from error
        message = first["msg"].removeprefix("Value error, ")
        text = ": ".join(filter(None, (where, ".".join(path), message)))
        raise UserError(text if text.endswith("?") else f"{text}.") from error


def _siblings(path: list[str]) -> Iterable[str]:
    """List the keys that the table holding the last part of `path` may have."""
    model: Any = Benchmark
    for part in path[:-1]:
        if part.isdigit():
            continue
        model = model.model_fields[part].annotation
        model = Published if model == list[Published] else model
    fields: Iterable[str] = model.model_fields
    return fields


def change(raw: dict[str, Any], assignments: Iterable[str], methods: Iterable[str]) -> None:
    """Apply `--set KEY=VALUE` to a parsed benchmark, in place.

    KEY begins with a method's label (`salun.keep`) or a table of the file (`recipe.epochs`).
    """
    labels = {*methods, *raw.get("methods", {})}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        *path, last = key.strip().split(".")
        if not equals or (not path and last not in Benchmark.model_fields):
            raise UserError(f"Cannot read --set {assignment}.", "Write it as salun.keep=0.3.")
        if path and path[0] not in Benchmark.model_fields:
            if path[0] not in labels:
                raise unknown("method", path[0], labels)
            path.insert(0, "methods")
        table = raw
        for part in path:
            table = table.setdefault(part, {})
        table[last] = _value(text.strip())


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # an unquoted word


def repeat(raw: dict[str, Any], count: int) -> None:
    """Set the number of repetitions: the first seeds of each list, counted on where it is short."""
    seeds = raw.setdefault("seeds", {})
    for name in ("originals", "forget", "runs"):
        listed = list(seeds.get(name, [1]))
        while len(listed) < count:
            listed.append(listed[-1] + 1)
        seeds[name] = listed[:count]


def merge(asked: Benchmark, stored: Benchmark) -> Benchmark:
    """Keep the rows that were run before beside those asked for now, if all else is the same."""
    same: dict[str, Any] = {"methods": {}, "plugins": [], "title": "", "tuning": {}}
    same |= {"published": []}
    same |= {"attacks": list(ATTACKS), "limits": Limits()}  # ways of reading, not of running
    if asked.model_copy(update=same) != stored.model_copy(update=same):
        return asked
    return asked.model_copy(
        update={
            "methods": stored.methods | asked.methods,
            "plugins": list(dict.fromkeys([*stored.plugins, *asked.plugins])),
        }
    )


def as_toml(benchmark: Benchmark) -> str:
    """Write a benchmark out with every default."""
    return tomli_w.dumps(benchmark.model_dump(mode="json", exclude_none=True))
