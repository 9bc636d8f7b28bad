"""Gather what the store holds of a benchmark into data frames."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from unlearnbench import metrics, registry
from unlearnbench.benchmark import Benchmark
from unlearnbench.metrics.compute import bank
from unlearnbench.metrics.compute import metrics as compute
from unlearnbench.metrics.gaps import summarise, with_gaps, yardstick
from unlearnbench.plan import Cell, Plan
from unlearnbench.spec import digest
from unlearnbench.store import Store, write_text


@dataclass
class Findings:
    """Hold all that a report is made of.

    runs: one row a finished cell, with its metrics, gaps and costs; summary: one row a method and
    metric; records: by run id; notes: lines that a reader must see beside the table.
    """

    benchmark: Benchmark
    plan: Plan
    runs: pd.DataFrame
    records: dict[str, dict[str, Any]]
    notes: list[str] = field(default_factory=list)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Reduce the runs to means, spreads, intervals and gaps."""
        return summarise(self.runs)


def collect(
    benchmark: Benchmark, plan: Plan, store: Store, plugins: dict[str, registry.Plugin]
) -> Findings:
    """Compute every metric of every finished cell of the plan."""
    cells = [cell for cell in plan.cells if store.done(cell.run) and store.has_split(cell.split)]
    records = {cell.run: store.record(cell.run) for cell in cells}
    values = _metrics(cells, plan, store, records)
    rows = []
    for cell in cells:
        record = records[cell.run]
        *original, forget, run = cell.seeds
        rows.append(
            {
                "label": cell.label,
                "access": cell.access,
                "fraction": cell.fraction,
                "request": cell.request,
                "original_seed": original[0] if original else None,
                "forget_seed": forget,
                "run_seed": run,
                "run": cell.run,
                **values[cell],
                "seconds": record["seconds"]["total"],
                "gradients": record["gradients"],
                "memory": record["peak memory MB"],
            }
        )
    runs = pd.DataFrame(rows)
    if not runs.empty:
        runs["original_seed"] = runs["original_seed"].astype("Int64")  # a retrain has none
        runs = with_gaps(runs, benchmark.gap_terms)
        runs["time_ratio"] = runs["seconds"] / yardstick(runs, ["seconds"])["seconds"]
    return Findings(benchmark, plan, runs, records, _notes(plan, store, records, plugins))


def _metrics(
    cells: list[Cell], plan: Plan, store: Store, records: dict[str, dict[str, Any]]
) -> dict[Cell, dict[str, float]]:
    """Compute metrics, or take them from a cache that anything they depend on invalidates."""
    path = store.folder / "metrics.json"
    # Half a bank is not balanced, and an unbalanced one biases every AUC: better none yet.
    complete = all(store.done(run) for run in plan.references)
    stamps = [store.stamp(run) for run in plan.references] if complete else None
    version = digest([_source(), stamps])
    stored = json.loads(path.read_text()) if path.exists() else {}
    same = stored.get("version") == version
    known: dict[str, dict[str, float]] = stored["cells"] if same else {}
    entries = {cell: f"{cell.run} {cell.split} {store.stamp(cell.run)}" for cell in cells}
    if missing := {entry: cell for cell, entry in entries.items() if entry not in known}:
        references = bank([store.signals(run) for run in plan.references]) if complete else None

        def measure(cell: Cell) -> dict[str, float]:
            split = store.split(cell.split)
            forget, earlier = split["forget"], split["earlier"]
            train = records[cell.run]["train"]
            return compute(store.signals(cell.run), forget, earlier, train, references)

        # Threads help: nearly all the time goes into fitting SVCs, which lets go of Python's lock.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            known.update(zip(missing, pool.map(measure, missing.values()), strict=True))
        write_text(path, json.dumps({"version": version, "cells": known}, indent=1, sort_keys=True))
    return {cell: known[entry] for cell, entry in entries.items()}


def _source() -> str:
    folder = Path(metrics.__file__).parent
    return "".join(path.read_text() for path in sorted(folder.glob("*.py")))


def _notes(
    plan: Plan,
    store: Store,
    records: dict[str, dict[str, Any]],
    plugins: dict[str, registry.Plugin],
) -> list[str]:
    """Say what is missing, skipped, failed or stale."""
    notes = []
    for (label, access), reason in plan.skipped.items():
        notes.append(f"{label} is skipped under {access} access: {reason}.")
    errors = {run: store.error(run) for run in plan.nodes}
    for run, error in errors.items():
        if error is not None:
            node = plan.nodes[run]
            last = error.strip().splitlines()[-1]
            folder = store.run_folder(node.spec).name
            notes.append(f"{node.label} failed ({folder}): {last}")
    todo = [run for run in plan.nodes if not store.done(run) and errors[run] is None]
    if todo:
        count, of = len(todo), len(plan.nodes)
        notes.append(f"Not complete: {count} of {of} models are still to be made.")
    absent = sum(not store.done(run) for run in plan.references)
    if absent:
        notes.append(f"No membership AUC yet: {absent} of {len(plan.references)} references lack.")
    stale = stale_runs(plan, store, plugins, records)
    for label in dict.fromkeys(plan.nodes[run].label for run in stale):
        count = sum(plan.nodes[run].label == label for run in stale)
        notes.append(
            f"{label} is stale: its source has changed since {count} of its runs were made"
            " (--retry-stale makes them anew)."
        )
    return notes


def stale_runs(
    plan: Plan,
    store: Store,
    plugins: dict[str, registry.Plugin],
    records: dict[str, dict[str, Any]] | None = None,
) -> list[str]:
    """List the finished runs whose method's source is not what it was."""
    known = records or {}
    methods = {node.spec.method for node in plan.nodes.values() if node.spec.method}
    current = {method: plugins[method].source_hash() for method in methods}
    stale = []
    for run, node in plan.nodes.items():
        if node.spec.method is not None and store.done(run):
            record = known[run] if run in known else store.record(run)
            if record["source"] != current[node.spec.method]:
                stale.append(run)
    return stale
