"""What was run before: the benchmark that a results folder was made by, and its findings."""

from __future__ import annotations

from pathlib import Path

from unlearnbench import registry
from unlearnbench.errors import UserError
from unlearnbench.evaluation.collect import collect
from unlearnbench.evaluation.findings import Findings
from unlearnbench.planning import reading
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.expansion import Planned, expand
from unlearnbench.storage import housekeeping
from unlearnbench.storage.store import Store


def stored(store: Store) -> Benchmark | None:
    """Return the benchmark that a store was made by; None if it does not say which."""
    path = store.folder / "benchmark.toml"
    return reading.validate(reading.read(path)) if path.exists() else None


def planned(store: Store, plugin_files: list[Path]) -> Planned | None:
    """Expand the benchmark that a store was made by; None if it does not say which."""
    benchmark = stored(store)
    if benchmark is None:
        return None
    return expand(
        benchmark, registry.find("methods", [*map(Path, benchmark.plugins), *plugin_files])
    )


def findings(folder: Path, plugin_files: list[Path]) -> Findings:
    """Collect what a results folder holds. Raises UserError where there is nothing to report."""
    store, name = Store(folder), folder.name
    known = planned(store, plugin_files)
    if known is None:
        hint = f"Run it first: unlearnbench run {name}."
        raise UserError(f"There are no results of '{name}' in {folder.parent}.", hint)
    found = collect(known, store)
    if found.runs.empty:
        raise UserError(f"No run of '{name}' has finished yet.", f"Go on: unlearnbench run {name}.")
    return found


def superfluous(name: str, plugin_files: list[Path], results: Path) -> list[Path]:
    """List what the results of a benchmark do not need."""
    store = housekeeping.open_store(results, name)
    known = planned(store, plugin_files)
    if known is None:
        raise UserError(f"{store.folder} has no benchmark.toml.", "Run the benchmark once more.")
    return housekeeping.superfluous(store, known.plan)
