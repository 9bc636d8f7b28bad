"""Tables of a benchmark, as text in cells: what the terminal, Markdown and LaTeX all show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from unlearnbench.benchmark import Benchmark
from unlearnbench.metrics.attacks import HEADLINE
from unlearnbench.metrics.compute import LEVELS, METRICS
from unlearnbench.plan import CONTROLS, HELD_OUT, ORIGINAL, RETRAIN
from unlearnbench.report.emphasis import CAPTION, Mark, emphasise
from unlearnbench.report.findings import Findings

Group = tuple[str, float, int]

MAIN = ("forget_accuracy", "retain_accuracy", "test_accuracy", "ft_auc")
CONFIDENCES = ("forget_confidence", "test_confidence")
ALL_REQUESTS = ("all_forget_accuracy", "all_ft_auc", "all_fr_auc")
MORE = ("fr_auc", "rt_auc", "mis", *CONFIDENCES, *ALL_REQUESTS)
TITLES = {
    "main": "Results",
    "published": "Beside published numbers",
    "attacks": "Attack by attack",
    "attack": "One attack in full",
    "controls": "Controls",
    "distances": "Distances to retrain, beyond accuracy",
    "gaps": "Gaps to retrain, metric by metric",
    "more": "More metrics",
    "cost": "Cost",
    "claims": "What the AMUN paper claims",
    "profile": "Where the time went",
    "pairs": "Methods in pairs",
    "settings": "Settings",
    "failures": "Failed or skipped",
    "changes": "What changed",
    "differences": "Differences",
    "ranks": "Ranks",
}
OF = {
    "random": "",
    "class": "of a class ",
    "subclass": "of a subclass ",
    "most-memorised": "(of the most memorised) ",
    "least-memorised": "(of the least memorised) ",
}
BAND = "noise band"
ABSENT = "–"


@dataclass(frozen=True)
class Table:
    """Hold a table's name (of its file), caption, header and cells.

    keys: for each column the metric or cost that its cells sum up over runs, "" for none; marks:
    by row and column, what is best and what cannot be told from it.
    """

    name: str
    caption: str
    columns: list[str]
    rows: list[list[str]]
    keys: Sequence[str] = ()
    marks: Mapping[tuple[int, int], Mark] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What the table is about, in a few words."""
        return TITLES[self.name.partition("-")[0]]


def groups(findings: Findings) -> list[Group]:
    """List the settings that have a table of their own: access, fraction, request."""
    keys = findings.runs[["access", "fraction", "request"]].drop_duplicates()
    return [tuple(row) for row in keys.itertuples(index=False)]


def select(frame: pd.DataFrame, group: Group) -> pd.DataFrame:
    """Return the rows of one group."""
    if frame.empty:
        return frame
    access, fraction, request = group
    keep = (
        (frame["access"] == access)
        & (frame["fraction"] == fraction)
        & (frame["request"] == request)
    )
    return frame[keep]


def compared(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave the controls out, which have a table of their own."""
    return frame[~frame["label"].isin(CONTROLS)]


def heading(group: Group, benchmark: Benchmark) -> str:
    """Name a group for people."""
    access, fraction, request = group
    text = f"{100 * fraction:g} % {OF[benchmark.forget.kind]}forgotten, {access} access"
    return text if benchmark.forget.requests == 1 else f"{text}, request {request}"


def main_table(findings: Findings, group: Group) -> Table:
    """Show what decides: accuracies, FT AUC and what it amounts to, average gap and cost."""
    benchmark = findings.benchmark
    runs = compared(select(findings.runs, group))
    judged = by_attack(findings, group)
    rows = []
    for label, own in runs.groupby("label", sort=False):
        cells = [str(label), *(spread(own, name) for name in MAIN)]
        found = judged.get(str(label))
        cells += [_verdict(found), spread(own, "avg_gap"), _rank(found)]
        cells.append(ABSENT if label == ORIGINAL else mean_std(own, "time_ratio", 2))
        rows.append([*cells, str(len(own))])
        if label == RETRAIN:
            band = [band_cell(findings, group, name) for name in (*MAIN, "avg_gap")]
            rows.append([BAND, *band[:-1], ABSENT, band[-1], ABSENT, ABSENT, ABSENT])
    for row in findings.skipped:
        if row["access"] == group[0]:
            rows.append([row["label"], "skipped", *[ABSENT] * 7, "0"])
    columns = ["Method", *(METRICS[name].heading for name in MAIN), "To retrain"]
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
    keys = ["", *MAIN, "ft_auc", "avg_gap", "ft_auc", "time_ratio", ""]
    return marked(findings, group, Table(f"main{suffix(group)}", caption, columns, rows, keys))


def marked(findings: Findings, group: Group, table: Table) -> Table:
    """Mark in each column what is best, and what cannot be told from it."""
    labels = [row[0] for row in table.rows]
    # A metric is marked where its values are, and not in the columns that follow from them.
    first = [key if table.keys.index(key) == place else "" for place, key in enumerate(table.keys)]
    runs, judged = select(findings.runs, group), by_attack(findings, group)
    ranked = {label: (row["rank"], abs(row["gap"])) for label, row in judged.items() if row["rank"]}
    marks = emphasise(runs, sound(findings, group), labels, first, {"ft_auc": ranked})
    return replace(table, caption=f"{table.caption} {CAPTION}", marks=marks)


def sound(findings: Findings, group: Group) -> list[str]:
    """List the rows that may be called best: methods without a flag."""
    labels = dict.fromkeys(compared(select(findings.runs, group))["label"])
    judged = by_attack(findings, group)
    outside = (ORIGINAL, RETRAIN, HELD_OUT)
    return [n for n in labels if n not in outside and not judged.get(n, {}).get("flags")]


def is_number(cell: str) -> bool:
    """Say whether a cell is about a number."""
    return cell.lstrip("+-±≤≥< ")[:1].isdigit()


def by_attack(findings: Findings, group: Group, attack: str = HEADLINE) -> dict[str, Any]:
    """Return what one attack, by default that of FT AUC, says of each row: a dictionary a label."""
    return findings.judged.get(group, {}).get(attack, {})


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


def with_band(findings: Findings, group: Group, names: Iterable[str]) -> list[list[str]]:
    """Return a row a method, the controls left out, with the noise band below retrain."""
    rows = []
    for label, own in compared(select(findings.runs, group)).groupby("label", sort=False):
        rows.append([str(label), *(spread(own, name) for name in names)])
        if label == RETRAIN:
            rows.append([BAND, *(band_cell(findings, group, name) for name in names)])
    return rows


def band_cell(findings: Findings, group: Group, name: str) -> str:
    """Write how far from retrain a retrain is by chance, or for a distance how large its own is."""
    summary = select(findings.summary, group)
    here = summary[summary["metric"] == name]["band"]
    if here.empty or pd.isna(here.iloc[0]):
        return ABSENT
    metric = METRICS[name]
    signs = {"↑": "≥ ", "↓": "≤ "}
    sign = signs.get(metric.heading[-1], "±")
    return f"{sign}{here.iloc[0]:.{digits(name)}f}"


def suffix(group: Group) -> str:
    """Return the part of a file name that says which group it shows."""
    access, fraction, request = group
    return f"-{access}-{100 * fraction:g}-r{request}"


def spread(runs: pd.DataFrame, name: str) -> str:
    """Write a metric's mean and standard deviation over runs."""
    return mean_std(runs, name, digits(name))


def mean_std(runs: pd.DataFrame, column: str, places: int, sign: str = "") -> str:
    """Write the mean and standard deviation of a column over runs."""
    values = runs[column].dropna() if column in runs else pd.Series(dtype=float)
    if values.empty:
        return ABSENT
    mean = f"{round(values.mean(), places) + 0.0:{sign}.{places}f}"  # + 0.0: never "-0.0"
    # A spread needs two runs; of one, only the value is known.
    return f"{mean} ±{values.std(ddof=1):.{places}f}" if len(values) > 1 else f"{mean} ±?"


def digits(name: str) -> int:
    """Return how many decimals a metric or cost is written with."""
    return 1 if name in METRICS and METRICS[name].unit == "%" else 2
