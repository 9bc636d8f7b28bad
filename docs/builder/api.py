"""The reference of the Python library: signatures and docstrings, read off the source."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from typing import Any

NAMED = re.compile(r"[a-z_]\w*(?:, [a-z_]\w*)*: ")
"""How a docstring begins to explain a parameter."""
WIDTH = 88
"""A signature that is longer has a line for each parameter."""
INHERITED = {"unlearnbench.Condition": ("labels", "methods", "word", "overall", "verdict")}
"""What a class has from a base, of which most is not for users: what is, by the class."""


def described(path: Path) -> str:
    """Describe a class or function; path: its dotted name as the name of a file.

    Raises ImportError or AttributeError for a name that there is not.
    """
    module, _, name = path.name.rpartition(".")
    return "\n\n".join(_parts(path.name, getattr(import_module(module), name)))


def _parts(name: str, found: Any) -> Iterator[str]:
    (node,) = ast.parse(dedent(inspect.getsource(found))).body
    yield f'<a id="{name}"></a>\n\n### `{name}`'
    if isinstance(node, ast.FunctionDef):
        yield from _function(node, node.name)
    elif isinstance(node, ast.ClassDef):
        yield from _class(node, name)
        for member in INHERITED.get(name, ()):
            held = inspect.getattr_static(found, member)
            function = getattr(held, "func", None) or getattr(held, "fget", held)
            (of_base,) = ast.parse(dedent(inspect.getsource(function))).body
            yield from _member(of_base, name)


def _class(node: ast.ClassDef, name: str) -> Iterator[str]:
    """Describe how an instance is made, its fields, and its public functions."""
    public = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name[0] != "_"]
    made = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    fields = [n for n in node.body if isinstance(n, ast.AnnAssign) and _plain(n)]
    bases = ", ".join(map(ast.unparse, node.bases))
    head = f"class {node.name}({bases})" if bases else f"class {node.name}"
    lines = [f"    {ast.unparse(field)}" for field in fields]
    lines += [f"    def {_signature(one, '__init__')}" for one in made]
    yield "```python\n" + "\n".join([f"{head}:" if lines else head, *lines]) + "\n```"
    yield from _paragraphs(node)
    for one in public:
        yield from _member(one, name)


def _member(node: Any, name: str) -> Iterator[str]:
    """Describe a public function of the class `name`."""
    short = name.rpartition(".")[2]
    yield f'<a id="{name}.{node.name}"></a>\n\n#### `{short}.{node.name}`'
    yield from _function(node, node.name)


def _plain(field: ast.AnnAssign) -> bool:
    return isinstance(field.target, ast.Name) and field.target.id[0] != "_"


def _function(node: ast.FunctionDef, name: str) -> Iterator[str]:
    signature = _signature(node, name)
    if any(ast.unparse(mark) in ("property", "cached_property") for mark in node.decorator_list):
        signature = f"{name}: {ast.unparse(node.returns) if node.returns else 'Any'}"
    yield f"```python\n{signature}\n```"
    yield from _paragraphs(node)


def _signature(node: ast.FunctionDef, name: str) -> str:
    """Write parameters and what is returned, without the instance."""
    arguments = node.args
    if arguments.args and arguments.args[0].arg in ("self", "cls"):
        arguments.args = arguments.args[1:]
    back = f" -> {ast.unparse(node.returns)}" if node.returns and name != "__init__" else ""
    parts = [re.sub(r"^(\w+: [^=]+)=", r"\1 = ", part) for part in _split(ast.unparse(arguments))]
    line = f"{name}({', '.join(parts)}){back}"
    if len(line) <= WIDTH:
        return line
    return f"{name}(\n    " + ",\n    ".join(parts) + f",\n){back}"


def _split(arguments: str) -> list[str]:
    """Cut a list of parameters at its own commas."""
    parts, depth, begin = [], 0, 0
    for place, character in enumerate(arguments):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append(arguments[begin:place].strip())
            begin = place + 1
    return [*parts, arguments[begin:].strip()]


def _paragraphs(node: ast.FunctionDef | ast.ClassDef) -> Iterator[str]:
    """Yield a docstring's paragraphs; code as it is, explained parameters as a list."""
    for text in (ast.get_docstring(node) or "").split("\n\n"):
        if text.startswith("    "):
            yield f"```python\n{dedent(text)}\n```"
        elif NAMED.match(line := " ".join(text.split())):
            *items, last = re.split(f"; (?={NAMED.pattern})", line)
            last, _, rest = last.partition(". ")
            yield "\n".join(f"- {_marked(item)}." for item in [*items, last.rstrip(".")])
            if rest:
                yield rest
        elif line:
            yield line


def _marked(item: str) -> str:
    """Set the names before the colon as code."""
    names, _, text = item.partition(": ")
    return f"{', '.join(f'`{name}`' for name in names.split(', '))}: {text}"
