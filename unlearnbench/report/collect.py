"""Gather what the store holds of a benchmark into data frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from unlearnbench import metrics, registry, report
from unlearnbench.benchmark import Benchmark
from unlearnbench.files import write_text
from unlearnbench.metrics.gaps import with_gaps, yardstick
from unlearnbench.plan import Plan
from unlearnbench.report.findings import Findings
from unlearnbench.report.judge import judge_all
from unlearnbench.report.measure import Measured, Measurement
from unlearnbench.report.notes import all_notes
from unlearnbench.spec import digest
from unlearnbench.store import Store


def collect(
    benchmark: Benchmark, plan: Plan, store: Store, plugins: dict[str, registry.Plugin]
) -> Findings:
    """Compute every metric of every finished cell of the plan, and judge every row.

    Kept in a file until anything it depends on changes: a run, a setting, or the code.
    """
    measurement = Measurement(plan, store, benchmark.attacks)
    cells = measurement.finished()
    records = {cell.run: store.record(cell.run) for cell in cells}
    path = store.folder / "metrics.json"
    version = _version(benchmark, plan, store)
    stored = _cached(path)
    if stored.get("version") != version:
        measured = measurement.run()
        runs = _runs(benchmark, measured, records)
        attacks, pairs = judge_all(benchmark, measured, runs)
        broken = [
            f"{cell.label} ({cell.run}) is left out: {why}."
            for cell, why in measured.broken.items()
        ]
        stored = {
            "version": version,
            "offline_a": measured.offline_a,
            "broken": broken,
            "frames": {
                "runs": runs.to_dict("list"),
                "attacks": attacks.to_dict("list"),
                "pairs": pairs.to_dict("list"),
            },
        }
        # Written and read back even when just computed: what is shown is always what is stored.
        text = json.dumps(stored, default=_plain)
        write_text(path, text)
        stored = json.loads(text)
    runs, attacks, pairs = map(pd.DataFrame, stored["frames"].values())
    if not runs.empty:
        runs["original_seed"] = runs["original_seed"].astype("Int64")  # a retrain has none
    findings = Findings(
        benchmark,
        plan,
        runs,
        attacks,
        pairs,
        records,
        broken=stored["broken"],
        offline_a=stored["offline_a"],
    )
    findings.notes = all_notes(findings, store, plugins)
    return findings


def _runs(
    benchmark: Benchmark, measured: Measured, records: dict[str, dict[str, Any]]
) -> pd.DataFrame:
    rows = []
    for cell, evaluation in measured.cells.items():
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
                "no_op": cell in measured.no_op,
                **evaluation.values,
                **{f"auc: {name}": found.part.value for name, found in evaluation.attacks.items()},
                "seconds": record["seconds"]["total"],
                "gradients": record["gradients"],
                "memory": record["peak memory MB"],
            }
        )
    runs = pd.DataFrame(rows)
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


def _plain(value: Any) -> Any:
    return value.item()  # a number of numpy's


def _version(benchmark: Benchmark, plan: Plan, store: Store) -> str:
    """Return a digest of all that the numbers depend on."""
    folders = [Path(package.__file__ or "").parent for package in (metrics, report)]
    source = [path.read_text() for folder in folders for path in sorted(folder.glob("*.py"))]
    stamps = {run: store.stamp(run) for run in plan.nodes if store.done(run)}
    asked = benchmark.model_dump(mode="json", exclude={"title", "tuning", "published"})
    return digest([source, stamps, asked])
