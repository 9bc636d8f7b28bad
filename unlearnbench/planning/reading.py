"""Benchmark files: found, read on top of each other, changed, checked, and written out."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import tomli_w
from pydantic import ValidationError

from unlearnbench.errors import UserError, of_value, unknown
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.registry import shipped

BASED_ON, PLUGINS = "based_on", "plugins"
WHOLE = ("methods", "tuning")
"""Tables of a file that replace those of the files it is based on."""


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
    or not at all. Paths of plugins and of weights are seen from the file that names them. Raises
    UserError with the line that is broken.
    """
    merged: dict[str, Any] = {}
    for file in reversed(chain(path)):
        merged["name"] = path.stem  # never a base's own
        for key, value in _parsed(file).items():
            if key == "forget" and isinstance(value, dict) and isinstance(value.get("list"), str):
                value["list"] = str(file.parent / value["list"])
            part = isinstance(value, dict) and key not in WHOLE
            merged[key] = {**merged.get(key, {}), **value} if part else value
            if key == PLUGINS and isinstance(value, list):
                merged[key] = [str(file.parent / str(name)) for name in value]
            start = value.get("pretrained") if key == "recipe" and isinstance(value, dict) else None
            if isinstance(start, str):
                merged[key]["pretrained"] = str(file.parent / start)
    merged.pop(BASED_ON, None)
    return merged


def chain(path: Path, above: tuple[Path, ...] = ()) -> list[Path]:
    """List a benchmark file and those that it is based on, directly or not, the nearest first.

    A name is that of a shipped benchmark, or of a part of one, or of a file beside the one that
    names it. Raises UserError for another, and for a file that is based on itself.
    """
    if path in above:
        raise UserError(f"{path} is based on itself.", f"See its key {BASED_ON}.")
    named = _parsed(path).get(BASED_ON, [])
    files = [path]
    for name in reversed([named] if isinstance(named, str) else named):
        base = shipped("benchmarks") / f"{name}.toml"
        base = base if base.is_file() else path.parent / str(name)
        if not base.is_file():
            known = shipped_benchmarks()
            raise unknown(f"benchmark for {path.name} to be based on", str(name), known)
        files += chain(base, (*above, path))
    return files


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
        message = of_value(first["msg"])
        text = ": ".join(filter(None, (where, ".".join(path), message)))
        raise UserError(text if text.endswith(("?", ".")) else f"{text}.") from error


def _siblings(path: list[str]) -> list[str]:
    """List the keys that the table holding the last part of `path` may have."""
    model: Any = Benchmark
    for part in path[:-1]:
        if not part.isdigit():  # the place in a list
            kind = model.model_fields[part].annotation
            model = (*get_args(kind), kind)[0]  # the table of a list of them, or of one or none
    return list(model.model_fields)


def change(raw: dict[str, Any], assignments: Iterable[str], methods: Iterable[str]) -> None:
    """Apply `--set KEY=VALUE` to a parsed benchmark, in place; see `put`."""
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise _unreadable(assignment)
        try:
            value = tomllib.loads(f"value = {text.strip()}")["value"]
        except tomllib.TOMLDecodeError as error:
            value = text.strip()  # an unquoted word
            if value[:1] in ("{", "["):
                raise UserError(
                    f"Cannot read --set {assignment}: it is not TOML.",
                    "Write a table as {a = 1, b = 'two'}, a list as [1, 2].",
                ) from error
        put(raw, key.strip(), value, methods)


def put(raw: dict[str, Any], key: str, value: Any, methods: Iterable[str]) -> None:
    """Set one key of a parsed benchmark, in place.

    It begins with a row's label (`salun.keep`) or a table of the file (`recipe.epochs`); a row of
    another label is begun with its method (`fast.method`). Raises UserError for any other.
    """
    tables = Benchmark.model_fields.keys()
    *path, last = key.split(".")
    if not path and last not in tables:
        raise _unreadable(f"{key}={value}")
    if path and path[0] not in tables:
        labels = {*methods, *raw.get("methods", {})}
        if path[0] not in labels and last != "method":  # which gives one more row its method
            raise unknown("row or table", path[0], labels | tables)
        path.insert(0, "methods")
    table = raw
    for part in path:
        table = table.setdefault(part, {})
    table[last] = value


def _unreadable(assignment: str) -> UserError:
    return UserError(
        f"Cannot read --set {assignment}.",
        "Write it with its table or row: recipe.epochs=5, salun.keep=0.3.",
    )


def repeat(raw: dict[str, Any], count: int) -> None:
    """Set the number of repetitions: the first seeds of each list, counted on where it is short."""
    seeds = raw.setdefault("seeds", {})
    for name in ("originals", "forget", "runs"):
        listed = list(seeds.get(name, [1]))[:count]
        while len(listed) < count:
            listed.append(listed[-1] + 1)
        seeds[name] = listed


def as_toml(benchmark: Benchmark) -> str:
    """Write a benchmark out with every default."""
    return tomli_w.dumps(benchmark.model_dump(mode="json", exclude_none=True))
