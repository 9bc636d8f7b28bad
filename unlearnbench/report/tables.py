"""Tables of a benchmark, as text in cells: what the terminal, Markdown and LaTeX all show."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from unlearnbench.benchmark import Benchmark
from unlearnbench.metrics.compute import METRICS
from unlearnbench.report.collect import Findings

Group = tuple[str, float, int]

MAIN = ("forget_accuracy", "retain_accuracy", "test_accuracy", "ft_auc", "fr_auc", "avg_gap")
MORE = ("rt_auc", "mis", "forget_confidence", "test_confidence")
ABSENT = "–"


@dataclass(frozen=True)
class Table:
    """Hold a table's name (of its file), caption, header and cells."""

    name: str
    caption: str
    columns: list[str]
    rows: list[list[str]]


def groups(findings: Findings) -> list[Group]:
    """List the settings that have a table of their own: access, fraction, request."""
    keys = findings.runs[["access", "fraction", "request"]].drop_duplicates()
    return [tuple(row) for row in keys.itertuples(index=False)]


def select(frame: pd.DataFrame, group: Group) -> pd.DataFrame:
    """Return the rows of one group."""
    access, fraction, request = group
    keep = (
        (frame["access"] == access)
        & (frame["fraction"] == fraction)
        & (frame["request"] == request)
    )
    return frame[keep]


def heading(group: Group, benchmark: Benchmark) -> str:
    """Name a group for people."""
    access, fraction, request = group
    what = "of a class " if benchmark.forget.kind == "class" else ""
    text = f"{100 * fraction:g} % {what}forgotten, {access} access"
    return text if benchmark.forget.requests == 1 else f"{text}, request {request}"


def main_table(findings: Findings, group: Group) -> Table:
    """Show what decides: accuracies, membership AUCs, average gap and cost."""
    terms = ", ".join(
        METRICS[term].heading.removesuffix(" %") for term in findings.benchmark.gap_terms
    )
    caption = (
        f"{heading(group, findings.benchmark)}. Mean ± std over n runs. Accuracies and AUCs:"
        " closest to retrain is best. Avg gap: lower is better; mean distance to retrain over"
        f" {terms}. Time: a share of retraining's, lower is better."
    )
    return _metric_table(findings, group, "main", caption, MAIN, cost=True)


def more_table(findings: Findings, group: Group) -> Table:
    """Show the remaining metrics."""
    caption = f"{heading(group, findings.benchmark)}. Closest to retrain is best. Mean ± std."
    return _metric_table(findings, group, "more", caption, MORE, cost=False)


def gap_table(findings: Findings, group: Group) -> Table:
    """Show the signed distance to retrain for every metric."""
    names = [name for name in METRICS if name != "avg_gap"]
    runs = select(findings.runs, group)
    rows = []
    for label, own in runs.groupby("label", sort=False):
        cells = [_spread(own, f"{name}_gap", METRICS[name].unit, sign="+") for name in names]
        rows.append([str(label), *cells])
    caption = (
        f"{heading(group, findings.benchmark)}. Signed distance to the mean of the retrains on"
        " the same forget set, mean ± std over runs; nearest to zero is best. Retrain's own row is"
        " the noise between one retraining and the next."
    )
    return Table(
        f"gaps{suffix(group)}", caption, ["Method", *(METRICS[n].heading for n in names)], rows
    )


def published_table(findings: Findings, group: Group) -> Table | None:
    """Put a paper's numbers in columns of their own beside ours; None if it printed none."""
    access, fraction, _ = group
    theirs: dict[str, dict[str, list[float]]] = {}
    sources = []
    for entry in findings.benchmark.published:
        if entry.access == access and entry.fraction == fraction:
            theirs.setdefault(entry.method, {}).update(entry.values)
            sources.append(entry.source)
    if not theirs:
        return None
    printed = {name for values in theirs.values() for name in values}
    names = [name for name in METRICS if name in printed]
    runs = select(findings.runs, group)
    labels = list(dict.fromkeys([*runs["label"], *theirs]))
    rows = []
    for label in labels:
        row = [label]
        for name in names:
            row.append(_spread(runs[runs["label"] == label], name, METRICS[name].unit))
            row.append(_printed(theirs.get(label, {}).get(name)))
        rows.append(row)
    columns = ["Method"]
    for name in names:
        columns += [METRICS[name].heading, f"{METRICS[name].heading} (published)"]
    caption = (
        f"{heading(group, findings.benchmark)}. Published: {', '.join(dict.fromkeys(sources))}."
    )
    return Table(f"published{suffix(group)}", caption, columns, rows)


def _metric_table(
    findings: Findings,
    group: Group,
    name: str,
    caption: str,
    metrics: tuple[str, ...],
    *,
    cost: bool,
) -> Table:
    runs = select(findings.runs, group)
    rows = []
    for label, own in runs.groupby("label", sort=False):
        row = [str(label), *(_spread(own, metric, METRICS[metric].unit) for metric in metrics)]
        if cost:
            row.append(ABSENT if label == "original" else _spread(own, "time_ratio", ""))
        rows.append([*row, str(len(own))])
    for label, access in findings.plan.skipped:
        if access == group[0]:
            rows.append([label, "skipped", *[ABSENT] * (len(metrics) - 1 + cost), "0"])
    columns = ["Method", *(METRICS[metric].heading for metric in metrics), *["Time ↓"] * cost, "n"]
    return Table(f"{name}{suffix(group)}", caption, columns, rows)


def suffix(group: Group) -> str:
    """Return the part of a file name that says which group it shows."""
    access, fraction, request = group
    return f"-{access}-{100 * fraction:g}-r{request}"


def _spread(runs: pd.DataFrame, column: str, unit: str, sign: str = "") -> str:
    values = runs[column].dropna() if column in runs else pd.Series(dtype=float)
    if values.empty:
        return ABSENT
    digits = 1 if unit == "%" else 2
    mean = f"{round(values.mean(), digits) + 0.0:{sign}.{digits}f}"  # + 0.0: never "-0.0"
    # A spread needs two runs; of one, only the value is known.
    return f"{mean} ±{values.std(ddof=1):.{digits}f}" if len(values) > 1 else f"{mean} ±?"


def _printed(value: list[float] | None) -> str:
    if not value:
        return ABSENT
    return " ±".join(f"{number:.2f}" for number in value)
