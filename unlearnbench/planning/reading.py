"""Benchmark files: found, read on top of each other, changed, checked, and written out."""

import csv
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tomli_w

from unlearnbench.errors import UserError, in_any_case, unknown
from unlearnbench.files import TOML, UnsoundError, parsed_toml, visible
from unlearnbench.planning.benchmark import NAME, Benchmark
from unlearnbench.planning.checking import require_part, require_sound
from unlearnbench.registry import shipped

BASED_ON, PLUGINS = "based_on", "plugins"
LONGEST = 80
"""Characters of what was typed that an error repeats."""
MOST = 10_000
"""Repetitions."""
LEVELS = 16
"""Files on top of each other."""
SIZES = "sizes.csv"
"""How large each shipped benchmark is, and what it needs: written by the docs' builder."""
WHOLE = ("methods", "tuning")
"""Tables of a file that replace those of the files it is based on."""


def shipped_benchmarks() -> dict[str, Path]:
    """List the benchmark files that ship with the package, by name."""
    return {path.stem: path for path in sorted(visible(shipped("benchmarks"), "*.toml"))}


def sizes() -> dict[str, dict[str, str]]:
    """Return what is known of the size of each shipped benchmark, by name: columns of `SIZES`."""
    text = (shipped("benchmarks") / SIZES).read_text(encoding="utf-8")
    return {row["name"]: row for row in csv.DictReader(text.splitlines())}


def locate(name: str) -> Path:
    """Find a benchmark by name, or take `name` as the path of a TOML file."""
    known = shipped_benchmarks()
    if name in known:
        return known[name]
    if name.endswith(".toml") and Path(name).is_file():
        return Path(name)
    if name.endswith(".toml"):
        stem = Path(name).stem
        hint = "Name a file by its path, or a benchmark of `unlearnbench benchmarks`."
        hint = (
            f"The benchmark that ships is named without .toml: {stem}." if stem in known else hint
        )
        raise UserError(f"There is no file {name} here.", hint)
    if Path(f"{name}.toml").is_file():
        raise UserError(f"Unknown benchmark '{name}'.", f"The file here is {name}.toml: name that.")
    raise unknown("benchmark", name, known)


def benchmark_name(named: str) -> str:
    """Return the name of the folder of results of a benchmark that is given by its name or file.

    Dots are part of a name, and no path is one. Raises UserError.
    """
    name = Path(named).stem if named.endswith(".toml") else named
    if not NAME.fullmatch(name):
        raise UserError(
            f"'{named}' is not the name of a benchmark.",
            "A name has letters, digits and . _ - + @, as my.v2 has.",
        )
    return name


def read(path: Path) -> dict[str, Any]:
    """Read a benchmark file on top of those that it is based on, the first of them lowest.

    Tables are merged key by key, but for rows of methods and words about tuning, which stand whole
    or not at all. Paths of plugins, of lists and of weights are seen from the file that names them.
    Raises UserError naming the file, and the line or the key that is broken.
    """
    merged: dict[str, Any] = {}
    for file in reversed(chain(path)):
        merged["name"] = path.stem  # never a base's own
        _, own = _parsed(file)
        for key, value in _seen_from(file.parent, own).items():
            part = isinstance(value, dict) and key not in WHOLE
            merged[key] = {**merged.get(key, {}), **value} if part else value
    return merged


def _seen_from(folder: Path, raw: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a file with the paths in it as seen from where the command is typed."""
    match raw:
        case {"forget": {"list": str(file)}}:
            raw["forget"]["list"] = str(folder / file)
    match raw:
        case {"recipe": {"pretrained": str(file)}}:
            raw["recipe"]["pretrained"] = str(folder / file)
        case {"recipe": {"pretrained": {"file": str(file)}}}:
            raw["recipe"]["pretrained"]["file"] = str(folder / file)
    if PLUGINS in raw:
        raw[PLUGINS] = [str(folder / file) for file in raw[PLUGINS]]
    return raw


def chain(path: Path) -> list[Path]:
    """List a benchmark file and those that it is based on, directly or not, the nearest first.

    A name is that of a shipped benchmark, or of a part of one, or of a file beside the one that
    names it. A file that several are based on stands once, below all of them. Raises UserError for
    another name, for a file that is based on itself, and for more than `LEVELS`.
    """
    lowest_first: dict[Path, Path] = {}

    def add(file: Path, above: list[Path]) -> None:
        real = file.resolve()
        if real in above:
            raise UserError(f"{file} is based on itself.", f"See its key {BASED_ON}.")
        if len(above) > LEVELS:
            raise UserError(f"{path} is based on files of more than {LEVELS} levels.")
        if real not in lowest_first:
            for name in _parsed(file)[0]:
                add(_base(name, file), [*above, real])
            lowest_first[real] = file

    add(path, [])
    return [*reversed(lowest_first.values())]


def _base(name: str, file: Path) -> Path:
    """Return the file that a name in another stands for."""
    base = shipped("benchmarks") / f"{name}.toml"
    base = base if base.is_file() else file.parent / name
    if not base.is_file():
        raise unknown(f"benchmark for {file.name} to be based on", name, shipped_benchmarks())
    return base


def _parsed(path: Path) -> tuple[list[str], dict[str, Any]]:
    """Return what a file is based on, and what else is in it."""
    try:
        with path.open("rb") as file:
            raw = parsed_toml(file.read(TOML + 1).decode())
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"Cannot read {path}: {error}.") from error
    except UnsoundError as error:
        raise UserError(f"{path} {error}.") from error
    except ValueError as error:  # a number of too many digits is one, too
        raise UserError(f"{path} is not valid TOML: {error}.") from error
    named = raw.pop(BASED_ON, [])
    names = [named] if isinstance(named, str) else named
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise UserError(f"{path}: {BASED_ON} must be a name, or a list of names.")
    return names, require_part(raw, str(path))


def validate(raw: dict[str, Any]) -> Benchmark:
    """Check settings. Raises UserError naming the key that is wrong."""
    return require_sound(raw, f"benchmark {raw.get('name', 'without a name')}")


def change(raw: dict[str, Any], assignments: Iterable[str], methods: Iterable[str]) -> None:
    """Apply `--set KEY=VALUE` to a parsed benchmark, in place; see `put`."""
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        short = assignment if len(assignment) <= LONGEST else f"{assignment[:LONGEST]}..."
        if not equals:
            raise _unreadable(short)
        put(raw, key.strip(), _value(text.strip(), short), methods, f"--set {short}")


def _value(text: str, assignment: str) -> Any:
    """Read a value of TOML, or an unquoted word."""
    try:
        read = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError) as error:
        if text[:1] in ("{", "["):
            raise UserError(
                f"Cannot read --set {assignment}: it is not TOML.",
                "Write a table as {a = 1, b = 'two'}, a list as [1, 2].",
            ) from error
        return text
    return read["value"] if len(read) == 1 else text  # more were more lines


def put(raw: dict[str, Any], key: str, value: Any, methods: Iterable[str], where: str = "") -> None:
    """Set one key of a parsed benchmark, in place.

    It begins with a row's label (`salun.keep`) or a table of the file (`recipe.epochs`); a row of
    another label is begun with its method (`fast.method`). where: what sets it, for people. Raises
    UserError for any other key, and for a value that it cannot have.
    """
    tables, where = Benchmark.model_fields.keys(), where or f"{key} = {value!r}"
    *path, last = key.split(".")
    if not path:
        _require_table(last, value, where)
    if (path or [last])[0] == PLUGINS:
        raise UserError(f"{where}: plugins are read first.", "Name their files with --plugin.")
    if path and path[0] not in tables:
        labels = {*methods, *raw.get("methods", {})}
        path[0] = in_any_case(path[0], labels)
        if path[0] not in labels and last != "method":  # which gives one more row its method
            raise unknown("row or table", path[0], labels | tables)
        path.insert(0, "methods")
    part: dict[str, Any] = {last: value}
    for name in reversed(path):
        part = {name: part}
    require_part(part, where)
    table = raw
    for name in path:
        if not isinstance(table.setdefault(name, {}), dict):
            table[name] = {}  # a word such as `pretrained = "file"`, in whose place a table comes
        table = table[name]
    table[last] = value


def _require_table(key: str, value: Any, where: str) -> None:
    """Raise UserError, with what may be meant, for a word alone that is no table or key."""
    if key in ("seed", "seeds") and not isinstance(value, dict):
        raise UserError(
            f"{where}: seeds is a table, of originals, forget and runs.",
            f"Use --seeds {value} for so many repetitions, --set seeds.runs=[{value}] for this seed"
            " of the methods.",
        )
    if key not in Benchmark.model_fields:
        near = unknown("row or table", key, Benchmark.model_fields)
        raise near if "Did you mean" in str(near) else _unreadable(f"{key}={value}")


def _unreadable(assignment: str) -> UserError:
    return UserError(
        f"Cannot read --set {assignment}.",
        "Write it with its table or row: recipe.epochs=5, salun.keep=0.3.",
    )


def repeat(raw: dict[str, Any], count: int) -> None:
    """Set the number of repetitions: the first seeds of each list, counted on where it is short."""
    if count > MOST:
        raise UserError(f"{count} repetitions are too many.", f"Take {MOST} at most.")
    seeds = raw.setdefault("seeds", {})
    for name in ("originals", "forget", "runs"):
        listed = [int(seed) for seed in seeds.get(name) or [1]][:count]
        while len(listed) < count:
            listed.append(listed[-1] + 1)
        seeds[name] = listed


def as_toml(benchmark: Benchmark) -> str:
    """Write a benchmark out with every default."""
    return tomli_w.dumps(benchmark.model_dump(mode="json", exclude_none=True))
