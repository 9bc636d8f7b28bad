"""What there is: methods, benchmarks, data sets, models, as text. Listing imports none of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from unlearnbench import registry
from unlearnbench.commands import equation
from unlearnbench.errors import unknown


def list_methods(files: Iterable[Path]) -> str:
    """List every method with the first line of its docstring."""
    return _columns(registry.find("methods", files))


def explain_method(name: str, files: Iterable[Path]) -> str:
    """Explain one method: docstring, equation, paper, hyperparameters with their sources."""
    plugin = registry.get(registry.find("methods", files), "method", name)
    method = registry.settings_class(plugin)
    lines = [name, "", inspect.cleandoc(method.__doc__ or ""), ""]
    if method.equation:
        lines += [*(f"    {line}" for line in equation.plain(method.equation)), ""]
    lines += [f"paper: {method.paper}", f"file:  {plugin.origin}"]
    if method.model_fields:
        lines += ["", f"hyperparameters (--set {name}.NAME=VALUE):"]
    for key, field in method.model_fields.items():
        search = searched(field)
        known = [*bounds(field), *([f"search {search}"] if search else [])]
        told = f"  [{', '.join(known)}]" if known else ""
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


def list_datasets() -> str:
    """List every data set with the first line of its docstring."""
    return _columns(registry.find("datasets"))


def explain_dataset(name: str) -> str:
    """Explain one data set and say where its files are looked for."""
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


def list_models() -> str:
    """List every model with the first line of its file's docstring."""
    return _columns(registry.find("models"))


def list_benchmarks() -> str:
    """List every benchmark with its title."""
    from unlearnbench.planning.reading import read, shipped_benchmarks

    rows = {name: str(read(path).get("title", "")) for name, path in shipped_benchmarks().items()}
    width = max(map(len, rows), default=0)
    return "\n".join(f"{name:<{width}}  {title}" for name, title in rows.items())


def explain_benchmark(name: str) -> str:
    """Show one benchmark's file, and below it those that it is based on."""
    from unlearnbench.planning.reading import chain, shipped_benchmarks

    known = shipped_benchmarks()
    if name not in known:
        raise unknown("benchmark", name, known)
    own, *bases = chain(known[name])
    below = [f"# ---- on top of {path.stem}\n\n{path.read_text().rstrip()}" for path in bases]
    return "\n\n".join([own.read_text().rstrip(), *below])


def _columns(plugins: dict[str, registry.Plugin]) -> str:
    width = max(map(len, plugins), default=0)
    return "\n".join(f"{name:<{width}}  {plugin.summary()}" for name, plugin in plugins.items())
