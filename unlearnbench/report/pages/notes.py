"""Lines that a reader must see beside the tables."""

from __future__ import annotations

from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.settings import Group, by_attack, groups, heading
from unlearnbench.metrics.inference import FEWEST
from unlearnbench.planning.plan import CONTROLS, ORIGINAL
from unlearnbench.report.tables import audit


def notes(findings: Findings) -> list[str]:
    """Say what is missing, skipped, failed, stale or broken, and what is not to be used."""
    said = [*findings.broken, *_of_runs(findings)]
    if not findings.attacks.empty:
        settings = groups(findings)
        for group in settings:
            where = f"{heading(group, findings.benchmark)}: " if len(settings) > 1 else ""
            said += [f"{where}{note}" for note in of_setting(findings, group)]
    return said


def of_setting(findings: Findings, group: Group) -> list[str]:
    """Say what takes from the worth of one table's verdicts."""
    judged = by_attack(findings, group)
    notes = []
    if ORIGINAL in judged and not judged[ORIGINAL]["power"]:
        notes.append(
            "RMIA cannot tell the original's members, so FT AUC says nothing of forgetting: take"
            " more references, larger forget sets, or more of them."
        )
    for label, _, bad in audit.outcomes(findings, group):
        if bad and label != ORIGINAL:
            notes.append(f"the control '{label}' failed: {'; '.join(bad)}.")
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


def _of_runs(findings: Findings) -> list[str]:
    notes = []
    for row in findings.skipped:
        notes.append(f"{row['label']} is skipped under {row['access']} access: {row['reason']}.")
    for row in findings.failures:
        notes.append(f"{row['label']} failed ({row['run']}): {row['error']}")
    if findings.failures:
        notes.append(
            "error.txt in a failed run's folder has all of it; --retry-failed tries again."
        )
    if findings.open:
        count, of = findings.open, findings.models
        notes.append(f"Not complete: {count} of {of} models are still to be made.")
    if findings.lacking:
        notes.append(
            f"No membership AUC yet: {findings.lacking} of {findings.references} references lack."
        )
    for label, count in findings.stale.items():
        notes.append(
            f"{label} is stale: its source has changed since {count} of its runs were made"
            " (--retry-stale makes them anew)."
        )
    return notes
