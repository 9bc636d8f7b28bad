"""Gather what the store holds of a benchmark into data frames."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unlearnbench import evaluation, metrics, registry
from unlearnbench.evaluation.findings import FRAMES, Findings, frame, listed
from unlearnbench.evaluation.judge import judge_all
from unlearnbench.evaluation.measure import Measured, Measurement
from unlearnbench.files import write_text
from unlearnbench.metrics.gaps import with_gaps, yardstick
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.expansion import Planned
from unlearnbench.planning.plan import Node, Plan
from unlearnbench.planning.rows import rows
from unlearnbench.planning.spec import digest
from unlearnbench.storage.store import Store


def collect(planned: Planned, store: Store) -> Findings:
    """Compute every metric of every finished cell of the plan, and judge every row.

    Kept in a file until anything it depends on changes: a run, a setting, or the code.
    """
    benchmark, plan, plugins = planned.benchmark, planned.plan, planned.plugins
    measurement = Measurement(plan, store, benchmark.attacks)
    records = {cell.run: store.record(cell.run) for cell in measurement.finished()}
    path = store.folder / "metrics.json"
    version = _version(benchmark, plan, store)
    stored = _cached(path)
    if stored.get("version") != version:
        text = json.dumps({"version": version} | _measured(benchmark, measurement.run(), records))
        write_text(path, text)
        # Read back even when just computed: what is shown is always what is stored.
        stored = json.loads(text)
    errors = {run: why for run in plan.nodes if (why := store.error(run)) is not None}
    runs, attacks, pairs = (frame(stored[name]) for name in FRAMES)
    stale = Counter(stale_runs(planned, store, records).values())
    return Findings(
        benchmark,
        runs,
        attacks,
        pairs,
        curves=stored["curves"],
        details={run: _details(record) for run, record in records.items()},
        skipped=[
            {"label": label, "access": access, "reason": reason}
            for (label, access), reason in plan.skipped.items()
        ],
        failures=[_failure(plan.nodes[run], store, why) for run, why in errors.items()],
        papers={row.label: row.method.paper for row in rows(benchmark, plugins)},
        references=len(plan.references),
        models=len(plan.nodes),
        open=sum(not store.done(run) and run not in errors for run in plan.nodes),
        lacking=sum(not store.done(run) for run in plan.references),
        stale=dict(stale),
        broken=stored["broken"],
        offline_a=stored["offline_a"],
    )


def stale_runs(
    planned: Planned, store: Store, records: dict[str, dict[str, Any]] | None = None
) -> dict[str, str]:
    """Name, of each finished run that would come out otherwise now, what has another source.

    That is its row, whose method has changed, or its data set.
    """
    known, plan = records or {}, planned.plan
    methods = {node.spec.method for node in plan.nodes.values() if node.spec.method}
    everything = planned.plugins | registry.find("controls")
    current = {method: everything[method].source_hash() for method in methods}
    data = planned.benchmark.data.name
    data_now = registry.get(registry.find("datasets"), "dataset", data).source_hash()
    stale = {}
    for run, node in plan.nodes.items():
        if store.done(run):
            record = known[run] if run in known else store.record(run)
            if record.get("data source", data_now) != data_now:
                stale[run] = f"data set {data}"
            elif node.spec.method is not None and record["source"] != current[node.spec.method]:
                stale[run] = node.label
    return stale


def _measured(
    benchmark: Benchmark, measured: Measured, records: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Put what was measured, and what it amounts to, in plain values."""
    runs = _runs(benchmark, measured, records)
    attacks, pairs = judge_all(benchmark, measured, runs)
    broken = [
        f"{cell.label} ({cell.run}) is left out: {why}." for cell, why in measured.broken.items()
    ]
    return {
        "offline_a": measured.offline_a,
        "broken": broken,
        "curves": [found.curves for found in measured.cells.values()],
        **{name: listed(table) for name, table in zip(FRAMES, (runs, attacks, pairs), strict=True)},
    }


def _details(record: dict[str, Any]) -> dict[str, Any]:
    """Keep of a record what reports show beside numbers."""
    kept = {name: record.get(name) for name in ("seconds", "source", "environment")}
    if "profile" in record:
        kept["profile"] = record["profile"]
    noted = record["trace"]
    kept["curve"] = {
        name: [entry[name] for entry in noted]
        for name in ("forget_accuracy", "test_accuracy")
        if noted and all(name in entry for entry in noted)
    }
    search = record["notes"].get("adversarial search")
    if search is None:
        return kept
    distances = search["distances"]
    return kept | {
        "search": {
            "samples": search["samples"],
            "not flipped": search["not flipped"],
            "flipped": len(distances),
            "mean": float(np.mean(distances)) if distances else None,
            "percentiles": np.percentile(distances, range(101)).round(4).tolist()
            if distances
            else [],
            "radii": _radii(record, search["radii"]),
        }
    }


def _radii(record: dict[str, Any], found: list[float]) -> dict[str, int]:
    """Count samples by the radius at which a search ended, where it doubles one."""
    if record["spec"]["settings"].get("search") == "closest":
        return {}
    counted = Counter(found)
    return {f"{radius:g}": counted[radius] for radius in sorted(counted)}


def _failure(node: Node, store: Store, error: str) -> dict[str, str]:
    return {
        "label": node.label,
        "access": node.spec.access,
        "run": store.run_folder(node.spec).name,
        "error": (error.strip().splitlines() or ["(no message)"])[-1],
    }


def _runs(
    benchmark: Benchmark, measured: Measured, records: dict[str, dict[str, Any]]
) -> pd.DataFrame:
    made = []
    for cell, found in measured.cells.items():
        record = records[cell.run]
        *original, forget, run = cell.seeds
        made.append(
            {
                "label": cell.label,
                "access": cell.access,
                "fraction": cell.fraction,
                "request": cell.request,
                "original_seed": original[0] if original else None,
                "forget_seed": forget,
                "run_seed": run,
                "run": cell.run,
                "no_op": cell in measured.no_op,
                **found.values,
                **{f"auc: {name}": one.part.value for name, one in found.attacks.items()},
                "seconds": record["seconds"]["total"],
                "gradients": record["gradients"],
                "memory": record["peak memory MB"],
            }
        )
    runs = pd.DataFrame(made)
    if not runs.empty:
        runs = with_gaps(runs, benchmark.gap_terms)
        ideal = yardstick(runs, ["seconds"], others=False)["seconds"]
        runs["time_ratio"] = runs["seconds"] / ideal
    return runs


def _cached(path: Path) -> dict[str, Any]:
    """Read the cache; what is torn or absent is computed again."""
    try:
        stored = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _version(benchmark: Benchmark, plan: Plan, store: Store) -> str:
    """Return a digest of all that the numbers depend on."""
    folders = [Path(package.__file__ or "").parent for package in (metrics, evaluation)]
    source = [path.read_text() for folder in folders for path in sorted(folder.glob("*.py"))]
    stamps = {run: store.stamp(run) for run in plan.nodes if store.done(run)}
    asked = benchmark.model_dump(mode="json", exclude={"title", "tuning", "published"})
    return digest([source, stamps, asked])
