"""Tables of verdicts: audit by audit, in full, and against the best method."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from unlearnbench.audits.attacks import ATTACKS, ULIRA, attack_title
from unlearnbench.audits.parts import TAIL, TPR, audit_title
from unlearnbench.evaluation.findings import Condition
from unlearnbench.planning.plan import HELD_OUT, ORIGINAL
from unlearnbench.reporting.tables import register, table
from unlearnbench.reporting.tables.audit import P_VALUE, SIGNS, p_text
from unlearnbench.reporting.tables.best import contest
from unlearnbench.reporting.tables.rows import (
    LABEL,
    in_percent,
    kind,
    voided,
)
from unlearnbench.verdicts.audit import ALL, Finding, columns_of

MARGIN, NEEDED, POWER = "margin", "needed", "power"
"""Rows that say how large a gap may be, what an audit can show, and whether that is enough."""


@register("audits", "Audit by audit: attacks", place=25)
def audits_table(condition: Condition) -> table.Table | None:
    """Show the gap in AUC of every attack; None where there are no verdicts over all audits."""
    audits = [name for name in condition.audits if name in ATTACKS or name == ULIRA]
    return _by_audit(condition, {audit: audit_title(audit) for audit in audits})


@register("others", "Audit by audit: confidence, memorised samples, relearning", place=26)
def others_table(condition: Condition) -> table.Table | None:
    """Show the gaps that audits find which are neither an attack's AUC nor its TPR."""
    known = {ALL, ULIRA, *ATTACKS}
    audits = [name for name in condition.audits if name not in known and not name.startswith(TPR)]
    return _by_audit(condition, {audit: audit_title(audit) for audit in audits})


@register("tails", f"Audit by audit: TPR at {100 * TAIL:g} % FPR", place=27)
def tails_table(condition: Condition) -> table.Table | None:
    """Show the gaps in true-positive rates; None where there are too few non-members for any."""
    audits = [name for name in condition.audits if name.startswith(TPR)]
    return _by_audit(condition, {name: attack_title(name.removeprefix(TPR)) for name in audits})


def _by_audit(condition: Condition, audits: Mapping[str, str]) -> table.Table | None:
    """Show gaps, a column an audit; audits: their headings by name."""
    if not audits:
        return None
    judged = {label for audit in audits for label in condition.audits[audit]}
    first = [label for label in (ORIGINAL, HELD_OUT) if label in judged]
    known = [*first, *(label for label in condition.by_verdict if label in judged)]
    labels = [
        *known,
        *(label for label in condition.every_run["label"].unique() if label in judged - {*known}),
    ]
    rows: list[dict[str, Any]] = [
        {"label": label, "kind": kind(condition, label)} for label in labels
    ]
    margins: list[dict[str, Any]] = [
        {"label": name, "kind": "power"} for name in (MARGIN, NEEDED, POWER)
    ]
    for audit in audits:
        found = condition.audits[audit]
        for row in rows:
            if finding := found.get(row["label"]):
                row |= {audit: finding.gap.value, f"{audit}_verdict": finding.word}
        power = float(audit not in condition.powerless)
        for row, value in zip(margins, (*condition.margins(audit), power), strict=True):
            row[audit] = value
    columns = [
        table.Column(title, partial(_found, audit), order="near 0")
        for audit, title in audits.items()
    ]
    caption = (
        f"{condition.heading}. {voided(condition)}Gap to retrain that each audit finds, in points."
        " = small enough; ≠ different (5 %, corrected for all audits and methods by Holm; reference"
        " rows and controls are not corrected); ? neither. Margin: gaps within it are small enough."
        " Needed: the smallest margin that a perfect retrain would pass 4 times in 5. Power:"
        " whether the audit has enough data, that is, the margin needed is allowed, and the audit"
        " distinguishes the original from retrain; without power it cannot show that a gap is"
        " small. The same signs in 'Attack by attack' are of each attack alone."
    )
    return table.Table(caption, pd.DataFrame([*margins, *rows]), [LABEL, *columns])


def _found(audit: str, row: table.Entry) -> str:
    value = row.get(audit)
    if value is None:
        return table.ABSENT
    if row["label"] == POWER:
        return "yes" if value else "no"
    if row["kind"] == "power":
        return f"±{value:.1f}"
    return f"{np.round(value) + 0.0:+.0f} {SIGNS.get(row[f'{audit}_verdict'], '')}".rstrip()


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
        replace(table.interval("Leak left % [95 %]", "share", digits=0), order="near 0"),
        table.number("Margin", "margin", ".1f"),
        table.number("Smallest margin", "attainable", ".1f"),
        P_VALUE,
        table.Column("p over all", lambda row: p_text(row["p_all"])),
        table.Column("Power", lambda row: "yes" if row["power"] else "no", side="l"),
        table.text("Verdict", "verdict"),
    ]
    caption = (
        f"{condition.heading}. {voided(condition)}What each audit finds; all: the verdict over all"
        " of them, with what the surest finds. Leak left: of the original's own gap under the same"
        " audit. Smallest margin: with this margin, a method identical to retraining would pass 4"
        " times in 5. p over all: corrected for all audits and methods (Holm)."
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


@register("versus", "Ranks, and against one method", place=28)
def versus_table(condition: Condition, label: str | None = None) -> table.Table | None:
    """Rank methods, and show how much farther from retrain each is than `label`.

    label: by default the row that the benchmark names, or else the nearest. None where nothing is
    compared, and in a void condition.
    """
    label = label or condition.named
    found = condition.versus(label)
    if found.empty or condition.voided:
        return None
    base = str(label or condition.nearest)
    found = found.rename(columns={"low": "difference_low", "high": "difference_high"})
    frame = pd.concat([pd.DataFrame([{"label": base}]), found], ignore_index=True)
    verdicts = [condition.verdict(name) for name in frame["label"]]
    frame = frame.join(pd.DataFrame([columns_of("gap", one.gap) for one in verdicts]))
    places = pd.DataFrame([one.rank or (None, None) for one in verdicts], dtype="Int64")
    frame[["rank", "rank_last"]] = places
    frame = frame.sort_values("gap", key=abs, kind="stable", ignore_index=True)
    rank = table.Column("Rank", _places, order="low")
    columns = [
        LABEL,
        table.interval("Gap in FT AUC [95 %]", "gap", "+"),
        rank,
        table.interval(f"Farther than {base} by [95 %]", "difference", "+"),
        P_VALUE,
    ]
    chosen = (
        "p: corrected for these comparisons alone (Holm)."
        if label
        else "p: corrected for all pairs (Holm), since the data chose with which to compare."
    )
    smallest = "" if label else "the smallest mean gap, "
    caption = (
        f"{condition.heading}. Against {smallest}{condition.title(base)}: how much farther every"
        " other method's FT AUC is from retrain's, in points, whichever side it is on; paired over"
        " samples and seeds."
        f" Intervals are of each comparison alone. {chosen} Rank: the places a method may have; all"
        " hold together 95 times in 100. Methods that are not ranked are left out."
    )
    compared = contest(condition, "ft_auc")
    ranks = {columns.index(rank): compared} if compared else {}
    return table.Table(caption, frame, columns, ranks=ranks)


def _places(row: table.Entry) -> str:
    first, last = row["rank"], row["rank_last"]
    return table.ABSENT if first is None else f"{first}" if first == last else f"{first}–{last}"
