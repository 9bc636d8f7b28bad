"""A paper's numbers beside ours."""

from __future__ import annotations

from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.settings import Group, compared, heading, select, suffix
from unlearnbench.metrics.compute import METRICS
from unlearnbench.planning.plan import RETRAIN
from unlearnbench.report.tables.table import ABSENT, BAND, Table, band_cell, spread

Printed = dict[str, dict[str, list[float]]]
"""By label and metric: mean and, where it is known, spread."""


def published_table(findings: Findings, group: Group) -> Table | None:
    """Put a paper's numbers in columns of their own beside ours; None if it printed none.

    Where tables of a paper differ, the first one named counts. Its average gaps are worked out from
    its columns, as ours are from ours; what lacks a column keeps the gap that was printed.
    """
    theirs, sources = _of_group(findings, group)
    if not theirs:
        return None
    found = {name for values in theirs.values() for name in values}
    names = [name for name in METRICS if name in found]
    runs = compared(select(findings.runs, group))
    labels = list(dict.fromkeys([*runs["label"], *theirs]))
    rows = []
    for label in labels:
        row = [label]
        for name in names:
            row.append(spread(runs[runs["label"] == label], name))
            row.append(_cell(theirs, label, name, findings.benchmark.gap_terms))
        rows.append(row)
        if label == RETRAIN:
            bands = [[band_cell(findings, group, name), ABSENT] for name in names]
            rows.append([BAND, *(cell for pair in bands for cell in pair)])
    columns = ["Method"]
    for name in names:
        columns += [METRICS[name].heading, f"{METRICS[name].heading} (published)"]
    caption = f"{heading(group, findings.benchmark)}. Published: {', '.join(sources)}."
    if "avg_gap" in names:
        caption += (
            " Published average gaps are worked out anew from the published columns, since some"
            " that were printed contradict them; (printed) stands where columns were not published."
        )
    return Table(f"published{suffix(group)}", caption, columns, rows)


def _of_group(findings: Findings, group: Group) -> tuple[Printed, list[str]]:
    """Return what was printed of one setting, and where."""
    access, fraction, _ = group
    theirs: Printed = {}
    entries = [
        entry
        for entry in findings.benchmark.published
        if entry.access == access and entry.fraction == fraction
    ]
    for entry in entries:
        known = theirs.setdefault(entry.method, {})
        theirs[entry.method] = entry.values | known
    return theirs, list(dict.fromkeys(entry.source for entry in entries))


def _cell(theirs: Printed, label: str, name: str, terms: list[str]) -> str:
    values, ideal = theirs.get(label, {}), theirs.get(RETRAIN, {})
    value = values.get(name)
    if not value:
        return ABSENT
    if name != "avg_gap":
        return shown(value)
    if set(terms) <= set(values) & set(ideal):
        return f"{gap_of_columns(values, ideal, terms):.2f}"
    return f"{value[0]:.2f} (printed)"


def shown(value: list[float]) -> str:
    """Write a printed mean with its spread, if there is one."""
    return " ±".join(f"{number:.2f}" for number in value)


def gap_of_columns(
    values: dict[str, list[float]], ideal: dict[str, list[float]], terms: list[str]
) -> float:
    """Return the mean distance of a row's printed means to those of retrain's row."""
    gaps = [abs(values[term][0] - ideal[term][0]) for term in terms]
    return sum(gaps) / len(gaps)
