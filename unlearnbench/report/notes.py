"""Lines that a reader must see beside the tables."""

from __future__ import annotations

from typing import Any

from unlearnbench import registry
from unlearnbench.metrics.inference import FEWEST
from unlearnbench.plan import CONTROLS, ORIGINAL, Plan
from unlearnbench.report import audit, tables
from unlearnbench.report.findings import Findings
from unlearnbench.store import Store


def all_notes(findings: Findings, plan: Plan, store: Store, stale: list[str]) -> list[str]:
    """Say what is missing, skipped, failed, stale or broken, and what is not to be used."""
    notes = [*findings.broken, *_of_runs(findings, plan, store, stale)]
    if not findings.attacks.empty:
        for group in tables.groups(findings):
            notes += [
                f"{tables.heading(group, findings.benchmark)}: {n}"
                for n in _of_group(findings, group)
            ]
    return notes


def _of_group(findings: Findings, group: tables.Group) -> list[str]:
    """Say what takes from the worth of one table's verdicts."""
    judged = tables.by_attack(findings, group)
    notes = []
    if ORIGINAL in judged and not judged[ORIGINAL]["power"]:
        notes.append(
            "RMIA cannot tell the original's members, so FT AUC says nothing of forgetting."
        )
    for label, _, bad in audit.outcomes(findings, group):
        if bad and label != ORIGINAL:
            notes.append(f"the control '{label}' failed: {', '.join(bad)}.")
    methods = [row for label, row in judged.items() if label not in (ORIGINAL, *CONTROLS)]
    notes += [f"{row['label']} is not ranked: {row['flags']}." for row in methods if row["flags"]]
    tested = [row for row in methods if row["gap"] is not None]
    if tested and max(row["sets"] for row in tested) < FEWEST:
        return [*notes, "fewer than three forget sets, so every verdict is inconclusive."]
    margin = findings.benchmark.limits.equivalence
    wide = [
        f"{row['label']} {row['attainable']:.1f}"
        for row in tested
        if row["attainable"] > margin and row["verdict"] == "inconclusive"
    ]
    if wide:
        notes.append(
            f"equivalence within {margin:g} points is more than these samples and seeds can show;"
            f" the smallest margin they can: {', '.join(wide)}."
        )
    return notes


def _of_runs(findings: Findings, plan: Plan, store: Store, stale: list[str]) -> list[str]:
    notes = []
    for row in findings.skipped:
        notes.append(f"{row['label']} is skipped under {row['access']} access: {row['reason']}.")
    for row in findings.failures:
        notes.append(f"{row['label']} failed ({row['run']}): {row['error']}")
    if findings.open:
        count, of = findings.open, findings.models
        notes.append(f"Not complete: {count} of {of} models are still to be made.")
    absent = sum(not store.done(run) for run in plan.references)
    if absent:
        notes.append(f"No membership AUC yet: {absent} of {len(plan.references)} references lack.")
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
    everything = plugins | registry.find("controls")
    current = {method: everything[method].source_hash() for method in methods}
    stale = []
    for run, node in plan.nodes.items():
        if node.spec.method is not None and store.done(run):
            record = known[run] if run in known else store.record(run)
            if record["source"] != current[node.spec.method]:
                stale.append(run)
    return stale
