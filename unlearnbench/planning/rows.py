"""Which methods a benchmark compares, under which labels, with which settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from unlearnbench import registry
from unlearnbench.errors import UserError, unknown
from unlearnbench.method import Method
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.plan import ORIGINAL, RETRAIN


@dataclass(frozen=True)
class Row:
    """Hold one row of the tables: a method with its settings under a label."""

    label: str
    method: Method
    name: str


def resolve(
    benchmark: Benchmark, plugins: dict[str, registry.Plugin], wanted: Iterable[str] | None
) -> tuple[Benchmark, dict[str, str]]:
    """Write out which methods run, with every setting; `wanted` None: as the benchmark says.

    A label in the file is a method's name, or any word with a `method` key beside its settings.
    The retrain row is always there. Raises UserError for unknown methods and wrong settings; a
    broken method that nobody named is left out and returned with the reason.
    """
    listed = benchmark.methods
    named = [*listed] if wanted is None else list(wanted)
    others = sorted(set(plugins) - set(listed)) if wanted is None and benchmark.others else []
    methods: dict[str, dict[str, Any]] = {}
    broken: dict[str, str] = {}
    for label in dict.fromkeys([RETRAIN, *named, *others]):
        if label == ORIGINAL:
            continue
        settings = dict(listed.get(label, {}))
        name = str(settings.pop("method", label))
        if name not in plugins:
            raise unknown("method", name, {*plugins, *listed})
        try:
            method = registry.build(registry.settings_class(plugins[name]), label, settings)
        except UserError as error:
            if label not in others:
                raise
            broken[label] = str(error)
        else:
            methods[label] = {"method": name} | method.model_dump(mode="json")
    return benchmark.model_copy(update={"methods": methods}), broken


def rows(benchmark: Benchmark, plugins: dict[str, registry.Plugin]) -> Iterator[Row]:
    """Yield the rows of a resolved benchmark."""
    for label, entry in benchmark.methods.items():
        settings = dict(entry)
        name = str(settings.pop("method"))
        if name not in plugins:
            raise UserError(
                f"This benchmark was run with the method '{name}', which is not there any more.",
                "Name its file with --plugin.",
            )
        method = registry.build(registry.settings_class(plugins[name]), label, settings)
        yield Row(label, method, name)
