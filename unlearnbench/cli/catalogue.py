"""The commands that list and explain what there is, and `check`. Listing imports none of it."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unlearnbench.cli.options import DEFAULT, Data, Plugins, stoppable
from unlearnbench.cli.said import copied, paragraphs, say
from unlearnbench.errors import unknown

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

Name = Annotated[str | None, typer.Argument(help="Explain this one only.")]


def methods(name: Name = None, plugin: Plugins = None) -> None:
    """List the methods there are, or explain one with its hyperparameters."""
    from unlearnbench import registry

    known = registry.find("methods", plugin or [])
    if not name:
        _list({one: found.summary() for one, found in known.items()})
        return
    from unlearnbench.outline import (  # slower to import
        extra,
        hyperparameters,
        settings_class,
        spelled,
    )

    name = spelled(name, known)
    if name not in known:
        from unlearnbench.storage.asked import require_file_again

        require_file_again(name, Path("results"))
    found = registry.get(known, "method", name)
    method = settings_class(found)
    say(name, "", *paragraphs(method.__doc__ or ""), "")
    if method.equation:
        equations = inspect.cleandoc(method.equation).splitlines()
        say(*(f"    {line.strip()}" for line in equations if line.strip()), "", hang=8)
    told = [f"paper: {method.paper}", f"file:  {found.origin}"]
    fields = hyperparameters(method)
    if fields:
        told += ["", f"hyperparameters (--set {name}.NAME=VALUE):"]
    width = max(map(len, fields), default=0)
    beside = width + 13  # columns before what a hyperparameter is
    for key, field in fields.items():
        limits = bounds(field)
        if search := searched(field):
            limits.append(f"search {search}")
        shown = f"  [{', '.join(limits)}]" if limits else ""
        told.append(f"  {key:<{width}}  {field.default!s:<8} {field.description}{shown}")
        if source := extra(field).get("source"):
            told.append(f"{'':<{beside}}from: {source}")
    say(*told, hang=beside)


def benchmarks(name: Name = None) -> None:
    """List the benchmarks there are, or show one."""
    from unlearnbench.planning import reading

    known = reading.shipped_benchmarks()
    if not name:
        _list_benchmarks({one: reading.read(path) for one, path in known.items()})
        return
    if name not in known:
        raise unknown("benchmark", name, known)
    own, *bases = reading.chain(known[name])
    below = [
        f"# ---- on top of {path.stem}\n\n{path.read_text(encoding='utf-8').rstrip()}"
        for path in bases
    ]
    copied("\n\n".join([own.read_text(encoding="utf-8").rstrip(), *below]))


def datasets(name: Name = None, plugin: Plugins = None) -> None:
    """List the data sets there are, or explain one."""
    from unlearnbench import registry

    known = registry.find("datasets", plugin or [])
    if not name:
        _list({one: found.summary() for one, found in known.items()})
        return
    source = registry.source_class(registry.get(known, "dataset", name))
    told = [name, "", *paragraphs(source.__doc__ or "")]
    if files := getattr(source, "files", None):
        where = " and ".join(f"DATA/{file}" for file in files)
        where = f"Looked for at {where}, where DATA is given with --data; downloaded if absent."
        told += ["", *paragraphs(where)]
    if layout := getattr(source, "layout", None):
        told += ["", *layout.splitlines()]
    say(*told)


def models(plugin: Plugins = None) -> None:
    """List the models there are, and the libraries that have more."""
    from unlearnbench import registry
    from unlearnbench.architectures import LIBRARIES, names_of

    listed = {one: found.summary() for one, found in registry.find("models", plugin or []).items()}
    for library, installs in LIBRARIES.items():
        count = len(names_of(library))
        there = f"Any of its {count} classifiers, by its name there." if count else ""
        listed[f"{library}:NAME"] = there or f"(not installed: {installs})"
    _list(listed)


def check(
    file: Annotated[Path, typer.Argument(help="The file of a method, a model or a data set.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a setting of the method: lr=0.1; repeatable."),
    ] = None,
    model: Annotated[str, typer.Option(help="The model to try a method on.")] = "small-cnn",
    device: Annotated[str, typer.Option(help="Where a method is tried: cpu, cuda:0.")] = "cpu",
    plugin: Plugins = None,
    data: Data = Path("data"),
) -> None:
    """Check that a method, model or data set file works as a plugin."""
    from unlearnbench.execution.trying import Conditions, examine
    from unlearnbench.scheduling.apart import in_own_process
    from unlearnbench.scheduling.placement import choose

    placement, told = choose(device, 1), set()
    placement.require()
    with stoppable("Stopped."), in_own_process() as run:
        where = placement.devices[0]
        asked = Conditions(data, tuple(set_ or ()), model, tuple(plugin or ()), where)
        kept = broken = 0
        for rule, problem in examine(file, asked, run):
            say(f"{'ok    ' if problem is None else 'FAILED'} {rule}", hang=7)
            kept, broken = kept + (problem is None), broken + (problem is not None)
            if problem is not None:
                say(f"       {'(as above)' if problem in told else problem}", hang=7)
                told.add(problem)
    say(f"{kept} of {kept + broken} checks passed.{'' if broken else _next(file)}")
    raise typer.Exit(1 if broken else 0)


def _next(file: Path) -> str:
    """Say which command takes a file that was checked, "" of a kind that none names."""
    from unlearnbench.registry import Plugin, find

    plugin = Plugin.of(file)
    setting = {"models": "--set model=", "datasets": "--set data.name=", "methods": "--methods "}
    if plugin.kind not in setting:
        return ""
    there = find(plugin.kind)  # type: ignore[arg-type]
    own = "" if plugin.name in there else f" --plugin {shlex.quote(str(file))}"
    return f" Next: unlearnbench run{own} {setting[plugin.kind]}{shlex.quote(plugin.name)}"


def _list_benchmarks(every: Mapping[str, Mapping[str, Any]]) -> None:
    """Print benchmarks by data set, the default and its data first; every: as files have them."""
    from unlearnbench.planning import reading

    sizes, groups = reading.sizes(), dict[str, list[str]]()
    for name in [DEFAULT, *(one for one in every if one != DEFAULT)]:
        called = sizes[name]["data"] if name in sizes else every[name]["data"]["name"]
        groups.setdefault(called, []).append(name)
    for data, names in groups.items():
        # A file that is newer than the list of sizes has none yet.
        known = {name: sizes.get(name, {}) for name in names}
        needs = known[names[0]].get("needs", "")
        say(f"{data} ({needs})" if needs else data)
        width = max(map(len, names))
        for name in names:
            minutes, models = (known[name].get(key, "") for key in ("minutes", "models"))
            size = f"{f'{int(models):,}' if models else '?':>5} models"
            size += f"  {minutes + ' min' if minutes else '':>6}"
            title = f"{every[name]['title']}{' (the default)' if name == DEFAULT else ''}"
            say(f"  {name:<{width}}  {size}  {title}", hang=width + len(size) + 6)
        say("")
    say("Time: to make the models on two CPU cores like those of the published results.")


def bounds(field: FieldInfo) -> list[str]:
    """List a hyperparameter's bounds, for people."""
    return [
        f"{sign} {value:{',' if isinstance(value, int) else 'g'}}"
        for bound in field.metadata
        for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
        if (value := getattr(bound, name, None)) is not None
    ]


def searched(field: FieldInfo) -> str:
    """Return the range that a hyperparameter is tuned in, "" if it is not tuned."""
    from unlearnbench.outline import extra

    return " to ".join(f"{end:g}" for end in extra(field).get("search", ()))


def _list(told: Mapping[str, str]) -> None:
    """Print names, each with its description."""
    width = max(map(len, told))
    for name, text in told.items():
        say(f"{name:<{width}}  {text}", hang=width + 2)
