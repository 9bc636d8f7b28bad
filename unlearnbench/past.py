"""What was run before: the benchmark that a results folder was made by, and its findings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from unlearnbench import benchmark as files
from unlearnbench import registry
from unlearnbench.benchmark import Benchmark
from unlearnbench.errors import UserError
from unlearnbench.expansion import expand
from unlearnbench.plan import Plan
from unlearnbench.report.collect import collect
from unlearnbench.report.findings import Findings
from unlearnbench.store import Store


def stored(store: Store) -> Benchmark | None:
    """Return the benchmark that a store was made by; None if it does not say which."""
    path = store.folder / "benchmark.toml"
    return files.validate(files.read(path)) if path.exists() else None


def planned(
    store: Store, plugin_files: list[Path]
) -> tuple[Benchmark, Plan, dict[str, registry.Plugin]] | None:
    """Expand the benchmark that a store was made by; None if it does not say which."""
    benchmark = stored(store)
    if benchmark is None:
        return None
    plugins = registry.find("methods", distinct([*map(Path, benchmark.plugins), *plugin_files]))
    return benchmark, expand(benchmark, plugins), plugins


def findings(folder: Path, plugin_files: list[Path]) -> Findings:
    """Collect what a results folder holds. Raises UserError where there is nothing to report."""
    store, name = Store(folder), folder.name
    known = planned(store, plugin_files)
    if known is None:
        hint = f"Run it first: unlearnbench run {name}."
        raise UserError(f"There are no results of '{name}' in {folder.parent}.", hint)
    found = collect(*known[:2], store, known[2])
    if found.runs.empty:
        raise UserError(f"No run of '{name}' has finished yet.", f"Go on: unlearnbench run {name}.")
    return found


def distinct(paths: Iterable[Path]) -> list[Path]:
    """Return each file once."""
    return list(dict.fromkeys(path.resolve() for path in paths))
