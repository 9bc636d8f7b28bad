"""How far AMUN is from retraining with and without the forget set, condition by condition."""

from __future__ import annotations

import unlearnbench as ub
from docs.builder import markdown
from docs.builder.published import published
from unlearnbench.evaluation.frames import as_rows
from unlearnbench.metrics.metric import known
from unlearnbench.planning.plan import ORIGINAL, RETRAIN
from unlearnbench.reporting.tables.rows import by_label
from unlearnbench.reporting.tables.table import ABSENT, mean_std

AMUN, NO_FORGET, RELABEL = "amun", "amun-no-forget", "amun-relabel"
GAP = "avg_gap"


def table() -> str:
    """Tabulate the average gaps of published conditions that have AMUN without the forget set."""
    rows = [
        _row(results, condition)
        for results in published()
        for condition in results.conditions
        if NO_FORGET in results.findings.benchmark.methods and _others(results)
    ]
    numbers = ["Original", "AMUN", "without D_F", "D_F relabelled", "Closest other", "Retrain"]
    return markdown.table(["Forgotten", *numbers], rows, numbers)


def _others(results: ub.Results) -> list[str]:
    """List the rows that neither are AMUN nor build on it."""
    listed = results.findings.benchmark.methods
    return [
        label
        for label, row in listed.items()
        if label != RETRAIN and not row.method.startswith(AMUN)
    ]


def _row(results: ub.Results, condition: ub.Condition) -> list[str]:
    """Write one condition: mean ± standard deviation over runs, in points."""
    gaps = {str(row["label"]): row for row in as_rows(by_label(condition, [GAP], band=False))}

    def shown(label: str) -> str:
        return mean_std(gaps[label], GAP, known(GAP).digits) if label in gaps else ABSENT

    closest = min(gaps.keys() & {*_others(results)}, key=lambda label: gaps[label][GAP])
    link = f"[{results.findings.benchmark.name}](../../reports/{results.name}/report.md)"
    return [
        f"{link}: {condition.heading}",
        *map(shown, (ORIGINAL, AMUN, NO_FORGET, RELABEL)),
        f"{shown(closest)} ({closest})",
        shown(RETRAIN),
    ]
