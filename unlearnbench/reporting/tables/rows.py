"""Rows of a condition as a frame, and what stands beside them: marks, signs, footnotes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from unlearnbench.entries import is_absent
from unlearnbench.evaluation.findings import Condition, Findings
from unlearnbench.metrics.metric import METRICS, known
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.plan import RETRAIN
from unlearnbench.reporting.tables.best import Contest, contest
from unlearnbench.reporting.tables.table import Entry, Table, text
from unlearnbench.units import count

BAND = "noise band"
LABEL = text("Method", "label")
STALE = "‡"
"""What stands behind the labels of rows that were made before something behind them changed."""
CAPTION = (
    "Bold: best of the methods that are not 'different'. Underlined: no significant difference from"
    " it (paired t-test over forget sets, Holm, 5 %{as_ranked}). A column has no marks if no method"
    " in it is significantly worse than the best."
)
OLD = (
    "Verdicts of 0.1.0: on FT AUC alone, within a margin that is not tied to the original's leak,"
    " and without ranks, which need another test; run the benchmark again for verdicts over all"
    " audits."
)
"""What stands beside verdicts that were made by the rule of 0.1.0."""


def kind(condition: Condition, label: str) -> str:
    """Say what a row of a table is by its label: method, reference, control or band."""
    if label in condition.methods:
        return "method"
    return "band" if label == BAND else "reference" if label in condition.labels else "control"


def by_label(
    condition: Condition, names: Iterable[str], *, of: str = "", band: bool = True
) -> pd.DataFrame:
    """Return label, kind, mean and standard deviation over runs of each metric or cost, and n.

    of: what follows a metric's name in the runs: "_gap" for its gaps; band: with a row below
    retrain's for the noise.
    """
    columns = {f"{name}{of}": name for name in names}
    rows: list[dict[str, Any]] = []
    for label, own in condition.runs.groupby("label", sort=False):
        row: dict[str, Any] = {"label": str(label), "kind": kind(condition, str(label))}
        rows.append(row | mean_and_std(own, columns) | {"n": len(own)})
        if band and label == RETRAIN:
            bands = {
                column: condition.band(name) for column, name in columns.items() if name in METRICS
            }
            rows.append({"label": BAND, "kind": "band"} | bands)
    return pd.DataFrame(rows).astype({"n": "Int64"})


def noise_said(condition: Condition, names: Iterable[str] = ()) -> str:
    """Say what the noise band of a table is of, and of some metrics how wide it is for one run."""
    single = [
        f"{known(name).heading.removesuffix(' %')} ±{width:.{known(name).digits}f}"
        for name in names
        if known(name).kind == "level" and np.isfinite(width := condition.band(name, 1))
    ]
    said = "Noise band: how far from retrain a retrain is by chance (95 %)"
    if condition.usual == 1:
        return f"{said}."
    alone = f"; in a single run {', '.join(single)}" if single else ""
    return f"{said}, as a mean over {condition.usual} runs{alone}."


def voided(condition: Condition) -> str:
    """Say that a table decides nothing, since controls failed; "" where it may."""
    failed = ", ".join(condition.voided)
    return f"VOID: no verdicts, ranks or marks, since controls failed ({failed}). " * bool(failed)


def audits_said(benchmark: Benchmark) -> str:
    """Say with which settings, and on how many forget sets at most, models are audited."""
    audits = []
    for name, row in benchmark.model_audits.items():
        settings = [f"{key} {value:g}" for key, value in row.settings.items()]
        audits.append(", ".join([name, *settings, f"on the first {count(row.sets, 'forget set')}"]))
    return "; ".join(audits)


def mean_and_std(runs: pd.DataFrame, columns: Iterable[str]) -> dict[str, float]:
    """Return mean and standard deviation of columns over runs; NaN where there is none."""
    numbers: dict[str, float] = {}
    for column in columns:
        values = runs[column].dropna() if column in runs else pd.Series(dtype=float)
        numbers |= {column: values.mean(), f"{column}_std": values.std(ddof=1)}
    return numbers


def in_percent(shares: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return shares in percent."""
    return {name: None if share is None else 100 * share for name, share in shares.items()}


def measured(condition: Condition, names: Iterable[str], begin: str = "all_") -> list[str]:
    """Leave out metrics without any value whose names begin so, or whose file is not here.

    By default they begin as those of earlier requests do.
    """
    values = condition.every_run.dropna(axis=1, how="all")
    return [
        name
        for name in names
        if name in values or not (name.startswith(begin) or is_absent("metric", name))
    ]


def marked(condition: Condition, table: Table) -> Table:
    """Mark in each column what is best, and what is not shown to be worse; none of a void table.

    A metric is marked where its values are, and not in the columns that follow from them.
    """
    contests: dict[int, Contest] = {}
    keys: set[str] = set()
    for place, column in enumerate(table.columns):
        if column.key and column.key not in keys and not condition.voided:
            keys.add(column.key)
            if found := contest(condition, column.key):
                contests[place] = found
    table = replace(table, contests=contests)
    by_rank = "; FT AUC: by distance" if any(one.ranked for one in contests.values()) else ""
    told = [table.caption, CAPTION.format(as_ranked=by_rank) if table.marks else ""]
    told += [
        f"{condition.title(label)}: the same runs as {condition.title(one)}."
        for label, one in condition.same.items()
        if label in set(table.frame["label"])
    ]
    return replace(table, caption=" ".join(filter(None, told)))


def footnoted(table: Table, findings: Findings) -> Table:
    """Mark the rows whose settings were not tuned here; say in the caption where they are from.

    That is another condition, or nothing but their methods' defaults. The rows of the first origin
    that the table has any of are marked †, those of the second ††.
    """
    borrowed = findings.benchmark.tuning.borrowed
    origins = {f"those chosen for {condition}": rows for condition, rows in borrowed.items()}
    origins["the defaults of their methods"] = findings.untuned
    shown = zip(table.labels, table.kinds, strict=True)
    there = {label for label, kind in shown if kind != "skipped"}
    signs: dict[str, str] = {}
    notes: list[str] = []
    for origin, labels in origins.items():
        if here := there.intersection(labels):
            sign = "†" * (len(notes) + 1)
            signs |= dict.fromkeys(here, sign)
            notes.append(f"{sign} Settings not tuned here: {origin}.")
    return _signed(table, signs, notes)


def stale_marked(table: Table, *findings: Findings) -> Table:
    """Mark with ‡ the rows that were made before something behind them changed; say what it is.

    In a table of pairs, whose rows are no labels, those that are stale are named. findings: all
    that the table is of.
    """
    labels = {*table.labels, *table.frame.get("farther", ())}
    stale = [item for one in findings for item in one.stale.items() if item[0] in labels]
    if not stale:
        return table
    here = dict.fromkeys(label for label, _ in stale)
    changed = ", ".join(dict.fromkeys(what for _, counts in stale for what in counts))
    of = f" ({', '.join(here)})" if "farther" in table.frame else ""
    note = f"{STALE} Stale{of}: made, all or some of its runs, before this changed: {changed}."
    return _signed(table, {} if of else dict.fromkeys(here, STALE), [note])


def _signed(table: Table, signs: Mapping[str, str], notes: Sequence[str]) -> Table:
    """Put signs behind the labels of rows, and what they mean into the caption."""
    if not notes:
        return table
    first, *others = table.columns
    key = table.frame.columns[0]

    def write(row: Entry) -> str:
        return f"{first.write(row)} {signs.get(row[key], '')}".rstrip()

    caption = " ".join([table.caption, *notes])
    return replace(table, caption=caption, columns=[replace(first, write=write), *others])
