"""Which folder of results a name or a path stands for, and what there is where it is none."""

from collections.abc import Iterator
from pathlib import Path

from unlearnbench.errors import UserError
from unlearnbench.planning.benchmark import NAME
from unlearnbench.planning.reading import shipped_benchmarks
from unlearnbench.storage import asked

MOST = 8
"""Names that an error lists."""


def results_folder(named: str | Path, results: Path) -> Path:
    """Return the folder of results that a name below `results`, or a path, stands for.

    A benchmark's file stands for the results of its name. Raises UserError, saying what there is,
    where it is none.
    """
    text = str(named)
    name = Path(text).stem if text.endswith(".toml") else text
    is_name = NAME.fullmatch(name) is not None
    places = [results / name, Path(name)] if is_name else [Path(name), results / name]
    for place in places if name else ():
        if _holds(place):
            return place
    path = Path(name)
    if not is_name and NAME.fullmatch(path.name) and path.parent.is_dir():
        name, results, is_name = path.name, path.parent, True
    require_above(results)
    if not is_name:
        hint = "Name it as it is called below --results, or give its path: digits, results/digits."
        raise UserError(f"'{text}' is no folder of results.", hint)
    where = "in this folder" if results == Path() else f"in the folder {results}"
    raise UserError(f"There are no results of '{name}' {where}.", " ".join(_hints(name, results)))


def require_above(results: Path) -> None:
    """Raise UserError where what is to hold folders of results is one of them itself."""
    if _holds(results) and (results / asked.FILE).is_file():
        above = results.parent if results.name else Path("..")
        raise UserError(
            f"{results} is the results of one benchmark, and --results takes the folder that they"
            " are in.",
            f"Write --results {above}.",
        )


def _holds(folder: Path) -> bool:
    """Say whether a folder holds runs, or findings alone."""
    return (folder / "runs").is_dir() or (folder / "findings.json").is_file()


def _hints(name: str, results: Path) -> Iterator[str]:
    """Say what there is, those of the same benchmark if any, and how to make what there is not."""
    there = sorted(path.name for path in results.glob("*") if _holds(path))
    benchmark = name.partition("@")[0]
    alike = [one for one in there if one.partition("@")[0] == benchmark]
    if named := alike or there:
        more = f" and {len(named) - MOST} more" if len(named) > MOST else ""
        yield f"There are: {', '.join(named[:MOST])}{more}."
    if name in shipped_benchmarks():
        yield f"Run it first: unlearnbench run {name}."
    elif Path(f"{name}.toml").is_file():
        yield f"Run it first: unlearnbench run {name}.toml."
