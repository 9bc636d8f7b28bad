"""The commands that list and explain what there is, and `check`. Listing imports none of it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unlearnbench.cli.options import Plugins
from unlearnbench.errors import unknown

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from unlearnbench.registry import Plugin

Name = Annotated[str | None, typer.Argument(help="Explain this one.")]


def methods(name: Name = None, plugin: Plugins = None) -> None:
    """List the methods there are, or explain one with its hyperparameters."""
    from unlearnbench import registry

    known = registry.find("methods", plugin or [])
    typer.echo(explain_method(name, known) if name else _columns(known))


def benchmarks(name: Name = None) -> None:
    """List the benchmarks there are, or show one."""
    from unlearnbench.planning.reading import read, shipped_benchmarks

    if name:
        typer.echo(explain_benchmark(name))
        return
    titles = {one: str(read(path).get("title", "")) for one, path in shipped_benchmarks().items()}
    width = max(map(len, titles), default=0)
    typer.echo("\n".join(f"{one:<{width}}  {title}" for one, title in titles.items()))


def datasets(name: Name = None) -> None:
    """List the data sets there are, or explain one."""
    from unlearnbench import registry

    typer.echo(explain_dataset(name) if name else _columns(registry.find("datasets")))


def models() -> None:
    """List the models there are."""
    from unlearnbench import registry

    typer.echo(_columns(registry.find("models")))


def check(file: Annotated[Path, typer.Argument(help="The file of a method.")]) -> None:
    """Hold a method to the contract that every method keeps."""
    from unlearnbench.execution.contract import examine

    told = set()
    for rule, problem in examine(file):
        typer.echo(f"{'ok    ' if problem is None else 'FAILED'} {rule}")
        if problem is not None:
            typer.echo(f"       {'(as above)' if problem in told else problem}")
            told.add(problem)
    raise typer.Exit(1 if told else 0)


def explain_method(name: str, known: Mapping[str, Plugin]) -> str:
    """Explain one method: docstring, equation in LaTeX, paper, hyperparameters with sources."""
    from unlearnbench import registry
    from unlearnbench.outline import settings_class

    plugin = registry.get(dict(known), "method", name)
    method = settings_class(plugin)
    lines = [name, "", inspect.cleandoc(method.__doc__ or ""), ""]
    if method.equation:
        equations = inspect.cleandoc(method.equation).splitlines()
        lines += [*(f"    {line.strip()}" for line in equations if line.strip()), ""]
    lines += [f"paper: {method.paper}", f"file:  {plugin.origin}"]
    if method.model_fields:
        lines += ["", f"hyperparameters (--set {name}.NAME=VALUE):"]
    for key, field in method.model_fields.items():
        limits = bounds(field)
        if search := searched(field):
            limits.append(f"search {search}")
        told = f"  [{', '.join(limits)}]" if limits else ""
        lines.append(f"  {key:<12} {field.default!s:<8} {field.description}{told}")
        if source := extra(field).get("source"):
            lines.append(f"{'':<23} from: {source}")
    return "\n".join(lines)


def extra(field: FieldInfo) -> dict[str, Any]:
    """Return what `param` keeps of a hyperparameter beside its bounds: search, source."""
    kept = field.json_schema_extra
    return kept if isinstance(kept, dict) else {}


def bounds(field: FieldInfo) -> list[str]:
    """List a hyperparameter's bounds, for people."""
    return [
        f"{sign} {value:g}"
        for bound in field.metadata
        for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
        if (value := getattr(bound, name, None)) is not None
    ]


def searched(field: FieldInfo) -> str:
    """Return the range that a hyperparameter is tuned in, "" if it is not tuned."""
    if not (search := extra(field).get("search")):
        return ""
    low, high = search
    return f"{low:g} to {high:g}"


def explain_dataset(name: str) -> str:
    """Explain one data set and say where its files are looked for."""
    from unlearnbench import registry

    plugin = registry.get(registry.find("datasets"), "dataset", name)
    source = registry.source_class(plugin)
    lines = [name, "", inspect.cleandoc(source.__doc__ or "")]
    files, layout = getattr(source, "files", None), getattr(source, "layout", None)
    if files:
        where = " and ".join(f"DATA/{file}" for file in files)
        said = f"Looked for at {where}, where DATA is given with --data; downloaded if absent."
        lines += ["", said]
    if layout:
        lines += ["", layout]
    return "\n".join(lines)


def explain_benchmark(name: str) -> str:
    """Show one benchmark's file, and below it those that it is based on."""
    from unlearnbench.planning.reading import chain, shipped_benchmarks

    known = shipped_benchmarks()
    if name not in known:
        raise unknown("benchmark", name, known)
    own, *bases = chain(known[name])
    below = [f"# ---- on top of {path.stem}\n\n{path.read_text().rstrip()}" for path in bases]
    return "\n\n".join([own.read_text().rstrip(), *below])


def _columns(plugins: Mapping[str, Plugin]) -> str:
    width = max(map(len, plugins), default=0)
    return "\n".join(f"{name:<{width}}  {plugin.summary()}" for name, plugin in plugins.items())
