"""What a plugin's text says, read without running it."""

import ast
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from io import StringIO
from pathlib import Path
from textwrap import dedent
from tokenize import COMMENT, generate_tokens
from typing import Any

Imported = tuple[int, tuple[str, ...]]
"""How many folders up an import begins, 0 for an absolute one, and the parts of its name."""


def constant(text: str, name: str) -> Any:
    """Return the value of a module's line such as `SIDE = 32`; None where there is none."""
    with suppress(SyntaxError, ValueError):
        for node in ast.parse(text).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
                return ast.literal_eval(node.value)
    return None


KINDS = {
    "Method": "methods",
    "ModelAudit": "model_audits",
    "Source": "datasets",
    "TorchvisionSource": "datasets",
    "FolderSource": "datasets",
    "OfModel": "metrics",
    "OfScores": "metrics",
    "ToRetrain": "metrics",
    "OfModels": "metrics",
    "OfRuns": "metrics",
    "OfRecord": "metrics",
    "Attack": "attacks",
}
"""What a plugin is that has a class with this base, or a line such as `mine = Attack(...)`."""


@lru_cache(maxsize=1024)
def kind_of(text: str) -> str | None:
    """Return which kind of plugin a text is of, such as "methods"; None if its own lines tell not.

    A class with a base of ours tells it, then an entry, then a function `build` of a model.
    """
    tree = ast.parse(text)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    bases = [base for node in classes for base in node.bases]
    values = [n.value for n in tree.body if isinstance(n, (ast.Assign, ast.AnnAssign)) and n.value]
    names = [_name_of(base) for base in bases]
    names += [_name_of(one.func) for value in values for one in _calls(value)]
    if known := [KINDS[name] for name in names if name in KINDS]:
        return known[0]
    builds = any(isinstance(n, ast.FunctionDef) and n.name == "build" for n in tree.body)
    return "models" if builds else None


def _name_of(node: ast.expr) -> str:
    """Return the last part of a name such as `ub.Method`; of `type(ub.method("rl"))` that base."""
    match node:
        case ast.Call(func=ast.Name("type"), args=[asked]) if method_asked(asked):
            return "Method"
    return ast.unparse(node).rpartition(".")[2]


def _calls(value: ast.expr) -> list[ast.Call]:
    """Return the calls that a value is, or a list of."""
    several = value.elts if isinstance(value, (ast.List, ast.Tuple)) else [value]
    return [one for one in several if isinstance(one, ast.Call)]


def method_asked(node: ast.AST) -> str | None:
    """Return the name in a call such as `ub.method("rl", lr=0.1)`, None for anything else."""
    match node:
        case ast.Call(
            func=ast.Name("method") | ast.Attribute(attr="method"),
            args=[ast.Constant(str() as name), *_],
        ):
            return name
    return None


@lru_cache(maxsize=1024)
def methods_asked(text: str) -> frozenset[str]:
    """Return the names of the methods that a text asks for, and so builds on."""
    return frozenset(name for node in _nodes(text) if (name := method_asked(node)))


@lru_cache(maxsize=1024)
def stripped(text: str) -> str:
    """Return a text without comments, docstrings and blank lines, which change nothing it does."""
    lines = text.split("\n")
    for token in generate_tokens(StringIO(text).readline):
        if token.type == COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in _nodes(text):
        match node:
            case ast.Expr(ast.Constant(str()), lineno=first, end_lineno=int() as last):
                lines[first - 1 : last] = [""] * (last - first + 1)
    return "\n".join(filter(None, map(str.rstrip, lines)))


def of_package(text: str, package: Path) -> set[Path]:
    """Return the files of a package that a text imports by name: `from package.room import f`.

    What a room only passes on is looked for in the file that it is from.
    """
    named = [names for level, names in _imports(text) if not level and names[0] == package.name]
    return {file for _, *names in named if names and (file := _defining(package, names))}


def _defining(package: Path, names: Sequence[str]) -> Path | None:
    """Return the file of a package that defines what is imported by `names`; None for no file."""
    place = package
    for name in names:
        if (place / f"{name}.py").is_file():
            return place / f"{name}.py"
        if not (place / name).is_dir():
            break
        place /= name
    room = place / "__init__.py"
    if not room.is_file():
        return None
    for level, (first, *others) in _imports(room.read_text(encoding="utf-8")):
        if not level and first == package.name and others[-1:] == [names[-1]]:
            return _defining(package, others)
    return room


def beside(text: str, folder: Path, root: Path, package: str | None = None) -> set[Path]:
    """Return the files that a text imports out of its own folder, or of that of its plugin, `root`.

    Such as `from .helper import f` or `import helper`. What lies elsewhere is installed, and has
    a version; so has this package, beside which a plugin lies in a checkout. package: of a plugin
    that is installed itself, the only one below `root` that is its own.
    """
    found = set()
    for level, names in _imports(text):
        if not level and (names[0] == "unlearnbench" or package not in (None, names[0])):
            continue
        place = folder.joinpath(*[".."] * (level - 1)) if level else root
        for name in names:
            place /= name
            found.add(place.with_suffix(".py"))
            if not place.is_dir():
                break
            found.add(place / "__init__.py")
    return {file.resolve() for file in found if file.is_file()}


@lru_cache(maxsize=1024)
def _imports(text: str) -> frozenset[Imported]:
    """Return what a text imports, in functions too."""
    found: set[Imported] = set()
    for node in _nodes(text):
        if isinstance(node, ast.Import):
            found |= {(0, tuple(alias.name.split("."))) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module.split(".") if node.module else []
            found |= {(node.level, (*module, alias.name)) for alias in node.names}
    return frozenset(found)


@lru_cache(maxsize=64)
def _nodes(text: str) -> Sequence[ast.AST]:
    """Return all that is said in a text, which may be indented; one that is broken says nothing."""
    with suppress(SyntaxError, ValueError, RecursionError, MemoryError):  # NULs, or nested too deep
        return list(ast.walk(ast.parse(dedent(text))))
    return []
