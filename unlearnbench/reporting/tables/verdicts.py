"""Tables of verdicts: audit by audit, against the best method, before and after relearning."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from unlearnbench.audits.parts import audit_title
from unlearnbench.evaluation.collect import AGAIN
from unlearnbench.evaluation.findings import Condition
from unlearnbench.metrics.metric import METRICS
from unlearnbench.planning.plan import ORIGINAL
from unlearnbench.reporting.tables import register, table
from unlearnbench.reporting.tables.audit import ERRORS, P_VALUE, SIGNS, p_text
from unlearnbench.reporting.tables.rows import LABEL, in_percent, kind, mean_and_std
from unlearnbench.verdicts.audit import ALL, Finding, columns_of

MARGIN = "margin"


@register("audits", "Audit by audit", place=25)
def audits_table(condition: Condition) -> table.Table | None:
    """Show the gap that every audit finds in every row; None where there are no such verdicts."""
    audits = [audit for audit in condition.audits if audit != ALL]
    if not audits:
        return None
    labels = list(dict.fromkeys(n for audit in audits for n in condition.audits[audit]))
    margins: dict[str, Any] = {"label": MARGIN, "kind": "band"}
    power: dict[str, Any] = {"label": "power", "kind": "power"}
    rows: list[dict[str, Any]] = [
        {"label": label, "kind": kind(condition, label), "verdict": condition.word(label)}
        for label in labels
    ]
    for audit in audits:
        found = condition.audits[audit]
        for row in rows:
            if finding := found.get(row["label"]):
                row |= {audit: finding.gap.value, f"{audit}_verdict": finding.word}
        leak = found.get(ORIGINAL)
        margins[audit] = leak.margin if leak else None
        power[audit] = float(audit not in condition.powerless)
    columns = [LABEL, table.text("Verdict", "verdict")]
    columns += [table.Column(audit_title(audit), partial(_found, audit)) for audit in audits]
    caption = (
        f"{condition.heading}. Gap to retrain that each audit finds, in points: = small enough, ≠"
        " different (5 %, Holm over all audits and methods; of rows that are no methods"
        " unadjusted), ? neither. Margin: how large a gap may be and be small enough. Power: an"
        " audit without it neither grants nor blocks 'equivalent'."
    )
    return table.Table(caption, pd.DataFrame([*rows, margins, power]), columns)


def _found(audit: str, row: table.Entry) -> str:
    value = row.get(audit)
    if row["kind"] == "power":
        return "yes" if value else "none"
    if value is None:
        return table.ABSENT
    if row["kind"] == "band":
        return f"±{value:.1f}"
    return f"{np.round(value, 1) + 0.0:+.1f} {SIGNS.get(row[f'{audit}_verdict'], '')}".rstrip()


@register("verdicts", "Every verdict in full", place=150, detail=True)
def verdicts_table(condition: Condition) -> table.Table | None:
    """Show all that each audit says of each row, and the verdict over all of them."""
    rows = [
        _full(label, one) for found in condition.audits.values() for label, one in found.items()
    ]
    if not rows:
        return None
    columns = [
        LABEL,
        table.text("Audit", "audit"),
        table.interval("Gap to retrain [95 %]", "gap", "+"),
        table.interval("Leak left % [95 %]", "share", digits=0),
        table.number("Margin", "margin", ".1f"),
        table.number("Smallest margin", "attainable", ".1f"),
        P_VALUE,
        table.Column("p over all", lambda row: p_text(row["p_all"])),
        table.Column("Power", lambda row: "yes" if row["power"] else "none", side="l"),
        table.text("Verdict", "verdict"),
    ]
    caption = (
        f"{condition.heading}. What each audit finds; all: the verdict over all of them, with what"
        " the strongest finds. Leak left: of the original's own gap under the same audit. Smallest"
        " margin: the one at which no difference at all would be found small enough in 4 of 5"
        " cases. p over all: adjusted for all audits and methods (Holm)."
    )
    frame = pd.DataFrame(rows)
    order = {label: place for place, label in enumerate(dict.fromkeys(frame["label"]))}
    by_row = frame.sort_values("label", key=lambda s: s.map(order), kind="stable")
    return table.Table(caption, by_row.reset_index(drop=True), columns)


def _full(label: str, finding: Finding) -> dict[str, Any]:
    """Return a row of the table of verdicts."""
    name = audit_title(finding.audit) if finding.audit != ALL else ALL
    if finding.strongest:
        name = f"{ALL}: {audit_title(finding.strongest)}"
    row: dict[str, Any] = {"label": label, "audit": name} | columns_of("gap", finding.gap)
    row |= in_percent(columns_of("share", finding.share))
    row |= {"margin": finding.margin, "attainable": finding.attainable, "p": finding.p}
    return row | {"p_all": finding.p_all, "power": finding.power, "verdict": finding.word}


@register("versus", "Against the best", place=27)
def versus_table(condition: Condition, label: str | None = None) -> table.Table | None:
    """Show how much farther from retrain every other method is than the best, or than `label`."""
    found = condition.versus(label)
    if found.empty:
        return None
    with_ends = {"low": "difference_low", "high": "difference_high"}
    columns = [
        LABEL,
        table.interval("Farther by [95 %]", "difference", "+"),
        *ERRORS,
        P_VALUE,
    ]
    best = "the nearest to retrain in FT AUC, " if label is None else ""
    caption = (
        f"{condition.heading}. Against {best}{label or condition.nearest}: how much farther every"
        " other method's FT AUC is from retrain's, in points, whichever side it is on; paired over"
        " samples and seeds. p: of the intersection-union test on distances, as in the pairs,"
        " adjusted for these comparisons alone (Holm)."
    )
    return table.Table(caption, found.rename(columns=with_ends), columns)


@register("relearning", "Relearning, before and after", place=35)
def relearning_table(condition: Condition) -> table.Table | None:
    """Show what audits that train on, such as relearning, change; None where none was made."""
    ends = tuple(f": {name}" for name in AGAIN)
    runs = condition.every_run.dropna(axis=1, how="all")
    columns = [str(name) for name in runs if str(name).endswith(ends)]
    rows = []
    for audit in dict.fromkeys(name.partition(": ")[0] for name in columns):
        after = [name for name in columns if name.startswith(f"{audit}: ")]
        audited = runs.dropna(subset=after, how="all")
        for label, own in audited.groupby("label", sort=False):
            row = {"label": str(label), "kind": kind(condition, str(label)), "audit": audit}
            paired = own.rename(columns={f"{audit}: {name}": f"{name}_after" for name in AGAIN})
            numbers = mean_and_std(paired, [*AGAIN, *(f"{name}_after" for name in AGAIN)])
            rows.append(row | numbers | {"n": len(own)})
    if not rows:
        return None
    several = len({row["audit"] for row in rows}) > 1
    shown = [LABEL, *([table.text("Audit", "audit")] if several else [])]
    shown += [table.Column(METRICS[name].heading, partial(_changed, name)) for name in AGAIN]
    caption = (
        f"{condition.heading}. Before → after training on the retain set alone, the same for all"
        " rows; mean ± std over the n runs that were audited. What comes back although it was"
        " never shown had not been forgotten; retrain shows what comes back by itself."
    )
    return table.Table(caption, pd.DataFrame(rows), [*shown, table.number("n", "n")])


def _changed(name: str, row: table.Entry) -> str:
    digits = METRICS[name].digits
    before, after = (table.mean_std(row, one, digits) for one in (name, f"{name}_after"))
    return f"{before} → {after}"
