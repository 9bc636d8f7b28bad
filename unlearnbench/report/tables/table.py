"""What all tables are made of: a grid of text, rows of one setting, cells, emphasis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.settings import Group, by_attack, compared, select, sound
from unlearnbench.metrics.compute import METRICS
from unlearnbench.planning.plan import RETRAIN
from unlearnbench.report.tables.emphasis import CAPTION, Mark, emphasise

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


def marked(findings: Findings, group: Group, table: Table) -> Table:
    """Mark in each column what is best, and what cannot be told from it."""
    labels = [row[0] for row in table.rows]
    # A metric is marked where its values are, and not in the columns that follow from them.
    first = [key if table.keys.index(key) == place else "" for place, key in enumerate(table.keys)]
    runs, judged = select(findings.runs, group), by_attack(findings, group)
    ranked = {label: (row["rank"], abs(row["gap"])) for label, row in judged.items() if row["rank"]}
    marks = emphasise(runs, sound(findings, group), labels, first, {"ft_auc": ranked})
    return replace(table, caption=f"{table.caption} {CAPTION}", marks=marks) if marks else table


def is_number(cell: str) -> bool:
    """Say whether a cell is about a number."""
    return cell.lstrip("+-±≤≥< ")[:1].isdigit()


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
