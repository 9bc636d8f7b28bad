"""The main table, and those of all metrics and of their distances to retrain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.settings import Group, by_attack, compared, heading, select, suffix
from unlearnbench.metrics.compute import LEVELS, METRICS
from unlearnbench.planning.benchmark import TERMS
from unlearnbench.planning.plan import ORIGINAL, RETRAIN
from unlearnbench.report.tables.table import (
    ABSENT,
    BAND,
    Table,
    band_cell,
    digits,
    marked,
    mean_std,
    spread,
    with_band,
)

MORE = [name for name in LEVELS if name not in TERMS]


def main_table(findings: Findings, group: Group) -> Table:
    """Show what decides: accuracies, FT AUC and what it amounts to, average gap and cost."""
    benchmark = findings.benchmark
    runs = compared(select(findings.runs, group))
    judged = by_attack(findings, group)
    rows = []
    for label, own in runs.groupby("label", sort=False):
        cells = [str(label), *(spread(own, name) for name in TERMS)]
        found = judged.get(str(label))
        cells += [_verdict(found), spread(own, "avg_gap"), _rank(found)]
        cells.append(ABSENT if label == ORIGINAL else mean_std(own, "time_ratio", 2))
        rows.append([*cells, str(len(own))])
        if label == RETRAIN:
            band = [band_cell(findings, group, name) for name in (*TERMS, "avg_gap")]
            rows.append([BAND, *band[:-1], ABSENT, band[-1], ABSENT, ABSENT, ABSENT])
    for row in findings.skipped:
        if row["access"] == group[0]:
            rows.append([row["label"], "skipped", *[ABSENT] * 7, "0"])
    columns = ["Method", *(METRICS[name].heading for name in TERMS), "To retrain"]
    columns += [METRICS["avg_gap"].heading, "Rank", "Time ↓", "n"]
    terms = ", ".join(METRICS[term].heading.removesuffix(" %") for term in benchmark.gap_terms)
    margin = benchmark.limits.equivalence
    caption = (
        f"{heading(group, benchmark)}. Mean ± std over n runs. Accuracies and AUCs: closest to"
        " retrain is best. Noise band: how far a retrain is from retrain by chance (95 %). To"
        f" retrain: whether FT AUC is equivalent to retrain's within {margin:g} points. Avg gap:"
        f" lower is better; mean distance to retrain over {terms}. Rank: places it"
        " may have by FT AUC (95 %). Time: a share of retraining's, lower is better."
    )
    keys = ["", *TERMS, "ft_auc", "avg_gap", "ft_auc", "time_ratio", ""]
    return marked(findings, group, Table(f"main{suffix(group)}", caption, columns, rows, keys))


def _verdict(row: dict[str, Any] | None) -> str:
    return str(row["flags"] or row["verdict"] or ABSENT) if row else ABSENT


def _rank(row: dict[str, Any] | None) -> str:
    if not row or not row["rank"]:
        return ABSENT
    first, last = int(row["rank"]), int(row["rank_last"])
    return f"{first}" if first == last else f"{first}–{last}"


def more_table(findings: Findings, group: Group) -> Table:
    """Show the remaining metrics."""
    names = measured(findings, group, MORE)
    rows = with_band(findings, group, names)
    caption = (
        f"{heading(group, findings.benchmark)}. Closest to retrain is best. Mean ± std over runs."
    )
    columns = ["Method", *(METRICS[name].heading for name in names)]
    table = Table(f"more{suffix(group)}", caption, columns, rows, ["", *names])
    return marked(findings, group, table)


def measured(findings: Findings, group: Group, names: Sequence[str]) -> list[str]:
    """Leave out what is measured after earlier requests only, where there were none."""
    runs = select(findings.runs, group)
    known = [name for name in names if name in runs and runs[name].notna().any()]
    return [name for name in names if name in known or not name.startswith("all_")]


def gap_table(findings: Findings, group: Group) -> Table:
    """Show the signed distance to retrain for every metric."""
    names, rows = measured(findings, group, LEVELS), []
    for label, own in compared(select(findings.runs, group)).groupby("label", sort=False):
        cells = [mean_std(own, f"{name}_gap", digits(name), sign="+") for name in names]
        rows.append([str(label), *cells])
        if label == RETRAIN:
            rows.append([BAND, *(band_cell(findings, group, name) for name in names)])
    caption = (
        f"{heading(group, findings.benchmark)}. Signed distance to the mean of the retrains on"
        " the same forget set, mean ± std over runs; nearest to zero is best. Retrain's own row:"
        " each against the others. Noise band: what lies within is no further from retrain than a"
        " retrain is by chance (95 %)."
    )
    columns = ["Method", *(METRICS[name].heading for name in names)]
    table = Table(f"gaps{suffix(group)}", caption, columns, rows, ["", *names])
    return marked(findings, group, table)
