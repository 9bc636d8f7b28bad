"""What the command line and a benchmark file may hold, read off the code that checks it."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from docs.builder.markdown import ROOT, table
from unlearnbench.cli.catalogue import bounds
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.recipe import Strict

COLUMNS = ("Key", "What it says", "Value", "Default")
PLAIN = {int: "whole number", float: "number", str: "text", bool: "true or false"}


def commands() -> str:
    """Describe every command by Typer's own writer: usage, arguments, options with defaults."""
    words = [sys.executable, "-m", "typer", "unlearnbench.cli.app", "utils", "docs"]
    words += ["--name", "unlearnbench"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    # Its text is escaped for HTML, but code is escaped once more when the page is made.
    text = html.unescape(done.stdout)
    text = re.sub(r"```console\n\$ (.*?)\n```", r"```text\n\1\n```", text)
    text = re.sub(r"^\* `--help`: .*\n", "", text, flags=re.M)
    text = re.sub(r"\*\*Options\*\*:\n+(?=#|\Z)", "", text)
    return text[text.index("## ") :].strip()


def benchmark_file() -> str:
    """Describe every key of a benchmark file, table by table: type, bounds, default, meaning."""
    return "\n\n".join(_tables(Benchmark, [], "What stands above all tables."))


def _tables(model: type[Strict], path: list[str], about: str) -> Iterator[str]:
    """Describe a table of the file, and then those inside it."""
    rows, inside = [], []
    for key, field in model.model_fields.items():
        if key == "given":  # which `audit` fills in, and nobody writes
            continue
        kind = _parts(field.annotation)[0]
        if isinstance(kind, type) and issubclass(kind, Strict):
            inside.append(_tables(kind, [*path, key], str(field.description)))
        else:
            value = ", ".join([_value(field.annotation), *bounds(field)])
            default = _default(field) if [*path, key] != ["name"] else "the file's name"
            rows.append([f"`{key}`", str(field.description), value, default])
    heading = f"## `[{'.'.join(path)}]`" if path else "## At the top"
    yield f"{heading}\n\n{about}\n\n{table(COLUMNS, rows)}"
    yield from chain.from_iterable(inside)


def _parts(annotation: Any) -> list[Any]:
    """List what a union is of, None left out; anything else is of itself."""
    if get_origin(annotation) not in (Union, UnionType):
        return [annotation]
    return [part for part in get_args(annotation) if part is not NoneType]


def _value(annotation: Any) -> str:
    """Say what a key's value may be."""
    kind = _parts(annotation)[0]
    if get_origin(kind) is Literal:
        return " or ".join(f"`{word}`" for word in get_args(kind))
    if get_origin(kind) is Annotated:
        return ", ".join([_value(get_args(kind)[0]), *bounds(get_args(kind)[1])])
    if get_origin(kind) in (list, tuple):
        return f"list of {_value(get_args(kind)[0])}"
    return PLAIN.get(kind, "table")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be said"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, (list, dict)):  # each apart, so that a line may end between them
        return ", ".join(f"`{one}`" for one in value) or "none"
    return "" if value is None else f"`{json.dumps(value)}`"
