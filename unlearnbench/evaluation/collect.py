"""Gather what the store holds of a benchmark into data frames."""

import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unlearnbench import audits, evaluation, metrics, verdicts
from unlearnbench.audits.attacks import ATTACKS, attack_title
from unlearnbench.entries import is_absent, version
from unlearnbench.evaluation.findings import FRAMES, Findings
from unlearnbench.evaluation.frames import flat, frame, listed, run_columns
from unlearnbench.evaluation.judge import judge_all
from unlearnbench.evaluation.kept import kept
from unlearnbench.evaluation.measure import Measured, Measurement
from unlearnbench.evaluation.stale import Records, stale_rows, stale_runs
from unlearnbench.files import expendable
from unlearnbench.guarding.guard import guarded
from unlearnbench.metrics.curves import SCATTERED
from unlearnbench.metrics.gaps import with_gaps
from unlearnbench.metrics.metric import COSTS, GROUP, METRICS, OfRecord, of_type
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.expansion import Planned
from unlearnbench.planning.known import PluginFacts
from unlearnbench.planning.plan import Plan, digest
from unlearnbench.planning.rows import controls, entrants, titles, untuned
from unlearnbench.storage import inside, sealed
from unlearnbench.storage.plugins import enter_kept
from unlearnbench.storage.samples import folder_classes
from unlearnbench.storage.store import Store

FEW = 5
"""How many samples a warning names."""
AGAIN = {"forget_accuracy": "accuracy", "forget_confidence": "confidence", "ft_auc": "auc"}
"""Metrics of the models that audits make, which stand beside those of the run audited.

And what of them is compared with retrain's, if the audit asks for it.
"""


def collect(planned: Planned, store: Store) -> Findings:
    """Compute every metric of every finished cell of the plan, and judge every row.

    Kept in a file until anything it depends on changes: a run, a setting, or the code. Not kept
    where a metric or an attack of a user is not here, or failed for want of memory or of a file.
    """
    benchmark, plan, plugins = planned.benchmark, planned.plan, planned.plugins
    measurement = Measurement(plan, store, benchmark.attacks, benchmark.headline, planned.audits)
    records = {cell.run: store.record(cell.run) for cell in measurement.finished()}
    known = enter_kept(store)
    made_of = _version(benchmark, measurement, known)
    stored = kept(store, made_of)
    if stored is None:
        with guarded():  # metrics and attacks may be the user's
            measured = measurement.run()
            made = _measured(benchmark, measured, records)
        text = json.dumps({"version": made_of} | made)
        # Read back even when just computed: what is shown is always what is stored.
        stored = json.loads(text)
        if absent := list(_absent(known)):
            stored["broken"] += absent
        elif not measured.passing:
            with expendable():
                path = store.folder / sealed.METRICS
                inside.put_text(path, store.folder, sealed.with_checksum(text))
    looked = _audited(plan, store)
    errors = {run: why.strip() for run in plan.nodes if (why := store.error(run)) is not None}
    unmade, blocked = _unmade(plan, store, errors)
    runs, attacks, pairs, verdicts, intervals = (frame(stored[name]) for name in FRAMES)
    return Findings(
        benchmark.model_copy(update={"plugins": []}),  # where they were is nobody's concern
        runs,
        attacks,
        pairs,
        verdicts,
        intervals,
        curves=stored["curves"],
        details={run: _details(record) | looked.get(run, {}) for run, record in records.items()},
        skipped=[
            {"label": label, "access": access, "reason": reason}
            for (label, access), reason in plan.skipped.items()
        ],
        failures=[_failure(plan, store, run, why) for run, why in errors.items()],
        papers={row.label: row.method.paper for row in entrants(benchmark, plugins)},
        titles=titles(benchmark, plugins),
        untuned=untuned(benchmark, plugins),
        references=len(plan.references),
        models=len(plan.nodes),
        open=sum(unmade.values()),
        unmade=dict(unmade),
        lacking=sum(not store.done(run) for run in plan.references),
        stale=stale_rows(plan, stale_runs(planned, store, records)),
        broken=[*stored["broken"], *blocked],
        offline_a=stored["offline_a"],
        classes=folder_classes(store.folder),
        entered=known.model_dump(include={"metrics", "attacks"}),
    )


def _failure(plan: Plan, store: Store, run: str, why: str) -> dict[str, str]:
    """Return what tables say of a run without a record; why: its error, with the traceback."""
    node = plan.nodes[run]
    return {
        "label": node.label,
        "access": node.spec.access,
        "run": store.run_folder(node.spec).name,
        "error": (why.splitlines() or ["(no message)"])[-1],
    }


def _unmade(plan: Plan, store: Store, errors: Collection[str]) -> tuple[Counter[str], list[str]]:
    """Count by row what is still to be made; name what is not, since what it needs failed."""
    unmade, blocked = Counter[str](), Counter[str]()
    lost: set[str] = set()
    for run, node in plan.nodes.items():  # needs come before what waits for them
        if store.done(run):
            continue
        if run in errors or lost.intersection(node.needs):
            lost.add(run)
        if run not in errors:
            (blocked if run in lost else unmade)[node.label] += 1
    rows = ", ".join(f"{label} ({count})" for label, count in blocked.items())
    return unmade, [f"What these need has failed, so they are not made: {rows}."] if rows else []


def _measured(benchmark: Benchmark, measured: Measured, records: Records) -> dict[str, Any]:
    """Put what was measured, and what it amounts to, in plain values."""
    runs = _runs(benchmark, measured, records)
    judged = judge_all(benchmark, measured, runs, controls())
    names = [*GROUP, "label", "metric", "low", "high"]
    rows = [(*key, *ends) for key, ends in measured.intervals.items()]
    frames = runs, *judged, pd.DataFrame(rows, columns=names)
    return {
        "offline_a": measured.offline_a,
        "broken": [
            f"{cell.label} ({cell.run}) is left out: {why}."
            for cell, why in measured.broken.items()
        ]
        + ["The reference models are left out: their signals cannot be theirs."] * measured.unfit
        + [
            f"{attack_title(attack)} is left out of {count} of {len(measured.cells)} runs: they, or"
            " the references, were stored before what it reads was. In a new results folder all"
            " are made with it."
            for attack, count in measured.lacking.items()
        ]
        + [
            f"{title} cannot be computed for {label}, and is left out of {count} of its runs: {why}"
            for title, label, why, count in measured.lost()
        ]
        + [
            f"Forget seeds {', '.join(map(str, seeds))} draw the same samples: they count as one."
            for seeds in measured.same
        ]
        + _left_out(measured.left_out),
        "curves": [found.curves for found in measured.cells.values()],
        **{name: listed(table) for name, table in zip(FRAMES, frames, strict=True)},
    }


def _left_out(positions: list[int]) -> list[str]:
    """Say which samples attacks with references cannot tell, in a line if there are any."""
    if not positions:
        return []
    few = ", ".join(map(str, positions[:FEW])) + (", ..." if positions[FEW:] else "")
    said = "1 sample is" if len(positions) == 1 else f"{len(positions):,} samples are"
    return [
        f"{said} in all reference models, and left out of attacks that compare with these: position"
        f" {few} in samples.csv. References in pairs of complementary halves leave out none."
    ]


def _details(record: dict[str, Any]) -> dict[str, Any]:
    """Keep of a record what reports show beside numbers."""
    names = ("seconds", "source", "environment", "profile", "copies")
    kept, noted = {name: record[name] for name in names if name in record}, record["trace"]
    if "warnings" in record["notes"]:
        kept["warnings"] = record["notes"]["warnings"]
    kept["curve"] = {
        name: [entry[name] for entry in noted]
        for name in ("forget_accuracy", "test_accuracy")
        if noted and all(name in entry for entry in noted)
    }
    if (search := record["notes"].get("adversarial search")) is not None:
        distances = [distance for distance in search["distances"] if distance is not None]
        radii = Counter(search["radii"])
        if record["spec"]["settings"].get("search") == "closest":
            radii.clear()  # only a search that doubles its radius ends at one of a few
        percentiles = np.percentile(distances, range(101)) if distances else np.empty(0)
        kept["search"] = {
            "samples": search["samples"],
            "not flipped": search["not flipped"],
            "flipped": len(distances),
            "mean": float(np.mean(distances)) if distances else None,
            "distances": search["distances"][:SCATTERED],
            "percentiles": percentiles.round(4).tolist(),
            "radii": {f"{radius:g}": radii[radius] for radius in sorted(radii)},
        }
    return kept


def _audited(plan: Plan, store: Store) -> dict[str, dict[str, Any]]:
    """Return by run, under "audits", what each audit of its model took and noted, in numbers."""
    looked: dict[str, dict[str, Any]] = {}
    for audit, cells in plan.audited.items():
        for run in dict.fromkeys(cell.run for cell in cells if store.done(cell.run)):
            record = store.record(run)
            found = {"seconds": record["seconds"]["total"]} | {
                name: float(value)
                for name, value in flat(record["notes"])
                if isinstance(value, (int, float))
            }
            of_run = looked.setdefault(str(plan.nodes[run].spec.start), {"audits": {}})
            of_run["audits"][audit] = found
    return looked


def _runs(benchmark: Benchmark, measured: Measured, records: Records) -> pd.DataFrame:
    cells = []
    for cell, evaluated in measured.cells.items():
        row = run_columns(cell) | {"forget_seed": evaluated.forget_seed}
        row |= {"no_op": evaluated.no_op} | evaluated.values
        row |= {f"auc: {name}": found.part.value for name, found in evaluated.attacks.items()}
        costs = {cost.name: cost.function(records[cell.run]) for cost in of_type(OfRecord)}
        row |= {name: np.nan if value is None else value for name, value in costs.items()}
        for audit, again in measured.audited.items():
            if found := again.get(replace(cell, run="")):
                row |= {f"{audit}: {name}": found.values.get(name) for name in AGAIN}
        cells.append(row)
    runs = pd.DataFrame(cells)
    return runs if runs.empty else with_gaps(runs, benchmark.gap_terms)


def _absent(known: PluginFacts) -> Iterator[str]:
    """Say what cannot be computed, as it is in a file that is not here, a line each."""
    for kind, name, told in known.entries():
        if is_absent(kind, name):
            yield (
                f"The {kind} {told.title} is left out: {told.file} computes it, which is not here,"
                f" and no numbers of just these runs are kept. Give it: --plugin {told.file}."
            )


def _version(benchmark: Benchmark, measurement: Measurement, known: PluginFacts) -> str:
    """Return a digest of all that the numbers depend on."""
    plan, store = measurement.plan, measurement.store
    folders = [Path(*room.__path__) for room in (audits, verdicts, metrics, evaluation)]
    source = [
        path.read_text(encoding="utf-8")
        for folder in folders
        for path in sorted(folder.glob("*.py"))
    ]
    seals = {run: store.seal(run) for run in plan.nodes if store.done(run)}
    asked = benchmark.model_dump(mode="json", exclude={"title", "tuning", "published", "plugins"})
    entries: dict[tuple[str, str], Any] = {
        ("attack", name): one.score for name, one in ATTACKS.items()
    }
    metrics_there = (METRICS | COSTS).items()
    entries |= {("metric", name): getattr(one, "function", None) for name, one in metrics_there}
    entered = [[*e, version(function)] for e, function in entries.items() if not is_absent(*e)]
    # Of one that is not here, what it was when its numbers were computed.
    entered += [
        [kind, name, told.version] for kind, name, told in known.entries() if is_absent(kind, name)
    ]
    own = sorted(entry for entry in entered if entry[2] is not None)
    return digest([source, own, seals, sorted(measurement.sound.splits), asked])
