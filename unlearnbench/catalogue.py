"""What there is: methods, benchmarks and data sets, as text. Listing imports none of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path

from unlearnbench import registry
from unlearnbench.errors import unknown


def list_methods(files: Iterable[Path]) -> str:
    """List every method with the first line of its docstring."""
    return _columns(registry.find("methods", files))


def explain_method(name: str, files: Iterable[Path]) -> str:
    """Explain one method: docstring, paper, hyperparameters with bounds and search range."""
    plugin = registry.get(registry.find("methods", files), "method", name)
    method = registry.settings_class(plugin)
    lines = [name, "", inspect.cleandoc(method.__doc__ or ""), "", f"paper: {method.paper}"]
    lines.append(f"file:  {plugin.origin}")
    if method.model_fields:
        lines += ["", f"hyperparameters (--set {name}.NAME=VALUE):"]
    for key, field in method.model_fields.items():
        bounds = [
            f"{sign} {value:g}"
            for bound in field.metadata
            for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
            if (value := getattr(bound, name, None)) is not None
        ]
        extra = field.json_schema_extra
        search = extra.get("search") if isinstance(extra, dict) else None
        if isinstance(search, list):
            low, high = search
            bounds.append(f"search {low:g} to {high:g}")
        limits = f"  [{', '.join(bounds)}]" if bounds else ""
        lines.append(f"  {key:<12} {field.default!s:<8} {field.description}{limits}")
    return "\n".join(lines)


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
        lines += [
            "",
            f"Looked for at DATA/{files}, where DATA is given with --data; downloaded if absent.",
        ]
    if layout:
        lines += ["", layout]
    return "\n".join(lines)


def list_benchmarks() -> str:
    """List every benchmark with its title."""
    from unlearnbench.benchmark import read, shipped_benchmarks

    rows = {name: str(read(path).get("title", "")) for name, path in shipped_benchmarks().items()}
    width = max(map(len, rows), default=0)
    return "\n".join(f"{name:<{width}}  {title}" for name, title in rows.items())


def explain_benchmark(name: str) -> str:
    """Show one benchmark's file, and below it those that it is based on."""
    from unlearnbench.benchmark import chain, shipped_benchmarks

    known = shipped_benchmarks()
    if name not in known:
        raise unknown("benchmark", name, known)
    own, *bases = chain(known[name])
    below = [f"# ---- on top of {path.stem}\n\n{path.read_text().rstrip()}" for path in bases]
    return "\n\n".join([own.read_text().rstrip(), *below])


def _columns(plugins: dict[str, registry.Plugin]) -> str:
    width = max(map(len, plugins), default=0)
    return "\n".join(f"{name:<{width}}  {plugin.summary()}" for name, plugin in plugins.items())
