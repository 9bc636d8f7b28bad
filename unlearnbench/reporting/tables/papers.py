"""Papers: their printed numbers beside ours, and whether our runs confirm their claims."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from unlearnbench.audits.attacks import PAPER, attack_title
from unlearnbench.evaluation.findings import Condition, Findings
from unlearnbench.metrics.gaps import with_gaps
from unlearnbench.metrics.metric import METRICS
from unlearnbench.papers import Claim, spread_known
from unlearnbench.planning.plan import RETRAIN
from unlearnbench.registry import discover
from unlearnbench.reporting.tables import register, table
from unlearnbench.reporting.tables.rows import LABEL, by_label

ATTACKED = ("ft_auc", "avg_gap")
"""What is read off the attack that a paper used, where we have made it too."""
CLAIMS = (
    "{count} claims. Confirmed: the 95 % interval of the mean over forget sets shows it, against"
    " each rival. Contradicted: the contrary is shown, at 5 % divided by the number of rivals. Each"
    " claim is tested by itself, and claims that share models are not independent: of twenty, one"
    " may end wrongly by chance. Intervals of gaps and accuracies are about these test samples;"
    " those of FT AUC minus retrain's allow for others as well. The rival shown is the one that"
    " decides. With fewer than three forget sets all is inconclusive. Detectable: the smallest true"
    " difference, in points, that would be found 4 times in 5: what it takes to confirm / to"
    " contradict. It is estimated from the scatter of the same sets: with three, the true one may"
    " be {three}, with five {five}."
)


def _factors(sets: int) -> str:
    low, high = spread_known(sets)
    return f"{low:.1f} to {high:.1f} times as large"


@register("published", "Beside published numbers", place=20)
def published_table(condition: Condition) -> table.Table | None:
    """Put a paper's numbers in columns of their own beside ours; None if it printed none.

    Where tables of a paper differ, the first one named counts. Its average gaps are worked out from
    its columns, as ours are from ours; what lacks a column keeps the gap that was printed. FT AUC
    is by the paper's own attack, if that was made.
    """
    entries = [
        entry
        for entry in condition.benchmark.published
        if (entry.access, entry.fraction) == condition.key[:2]
    ]
    if not entries:
        return None
    theirs: dict[str, dict[str, list[float]]] = {}
    for entry in entries:
        theirs[entry.method] = entry.values | theirs.get(entry.method, {})
    names = [name for name in METRICS if any(name in values for values in theirs.values())]
    attacked = _by_its_attack(condition)
    frame = by_label(attacked or condition, names).drop(columns="n").set_index("label")
    frame = frame.reindex(list(dict.fromkeys([*frame.index, *theirs]))).fillna({"kind": "method"})
    frame = frame.join(_numbers(theirs, condition.benchmark.gap_terms)).rename_axis("label")
    columns = [LABEL]
    changed = ATTACKED if attacked else ()
    for name in names:
        heading = METRICS[name].heading
        ours = f"{heading} ({attack_title(PAPER)})" if name in changed else heading
        columns += [table.averaged(name, ours)]
        columns += [table.Column(f"{heading} (published)", partial(_cell, name))]
    named = (f"{one.source} ({one.on})" if one.on else one.source for one in entries)
    sources = "; ".join(dict.fromkeys(named))
    caption = f"{condition.heading}. Published: {sources}.{_attacks(condition, names, changed)}"
    if "avg_gap" in names:
        caption += (
            " Published average gaps are recomputed from the published columns, since some"
            " that were printed contradict them; (printed) stands where columns were not published."
        )
    return table.Table(caption, frame.reset_index(), columns)


def _by_its_attack(condition: Condition) -> Condition | None:
    """Return the condition with FT AUC, and gaps that follow, by the paper's attack, if made."""
    runs, column = condition.every_run, f"auc: {PAPER}"
    if column not in runs or runs[column].isna().all():
        return None
    plain = runs.drop(columns=list(runs.filter(regex="_gap$"))).assign(ft_auc=runs[column])
    changed = replace(condition.findings, runs=with_gaps(plain, condition.benchmark.gap_terms))
    return replace(condition, findings=changed)


def _attacks(condition: Condition, names: Sequence[str], changed: Sequence[str]) -> str:
    """Say which attack our AUCs are by; changed: what is by the paper's own."""
    headline, paper = condition.benchmark.headline, attack_title(PAPER)
    ours = [name for name in names if name.endswith("_auc") or name in ATTACKED]
    alike, others = (
        ", ".join(METRICS[name].title for name in ours if (name in changed) == same)
        for same in (True, False)
    )
    said = f" Ours by the AMUN paper's attack ({paper}): {alike}." if alike else ""
    if others and headline != PAPER:
        said += (
            f" Ours by {attack_title(headline)}, the AMUN paper's by {paper}, so that they differ"
            f" for that alone: {others}."
        )
    return said


def _numbers(theirs: Mapping[str, dict[str, list[float]]], terms: list[str]) -> pd.DataFrame:
    """Return published means and spreads by label, and which gaps are the printed ones."""
    rows: dict[str, dict[str, Any]] = {}
    for label, values in theirs.items():
        row = rows[label] = {}
        for name, (mean, *std) in values.items():
            row |= {f"{name}_published": mean, f"{name}_published_std": std[0] if std else None}
        if "avg_gap" in values:
            row["avg_gap_published_std"] = None
            row["printed"] = not set(terms) <= values.keys() & theirs.get(RETRAIN, {}).keys()
            if not row["printed"]:
                row["avg_gap_published"] = gap_of_columns(values, theirs[RETRAIN], terms)
    return pd.DataFrame.from_dict(rows, orient="index")


def _cell(name: str, row: table.Entry) -> str:
    mean, std = row[f"{name}_published"], row[f"{name}_published_std"]
    if mean is None:
        return table.ABSENT
    printed = " (printed)" if name == "avg_gap" and row["printed"] else ""
    return f"{shown([mean] if std is None else [mean, std])}{printed}"


def shown(value: Sequence[float]) -> str:
    """Write a printed mean with its spread, if there is one."""
    return " ±".join(f"{number:.2f}" for number in value)


def gap_of_columns(
    values: Mapping[str, list[float]], ideal: Mapping[str, list[float]], terms: list[str]
) -> float:
    """Return the mean distance of a row's printed means to those of retrain's row."""
    gaps = [abs(values[term][0] - ideal[term][0]) for term in terms]
    return sum(gaps) / len(gaps)


def claims_tables(benchmarks: Mapping[str, Findings]) -> list[table.Table]:
    """Show, for each paper, its claims that benchmarks say something about; benchmarks: by name.

    Where a control failed nothing is claimed; such conditions are named, if claims were about them.
    """
    columns = [
        table.text("The paper's claim", "claim"),
        table.text("Where", "where"),
        table.text("Measured", "measure"),
        table.Column("Rival", _rival, side="l"),
        table.interval("Points [95 %]", "value", "+"),
        table.Column("Detectable", _detectable),
        table.text("Verdict", "ending"),
    ]
    tables = []
    for name, paper in discover("unlearnbench.papers").items():
        rows: list[dict[str, Any]] = [
            asdict(claim) | {"where": f"{benchmark}: {claim.where}"}
            for benchmark, findings in benchmarks.items()
            for claim in paper.claims(findings.sound())
        ]
        if rows:
            frame = pd.DataFrame(rows).sort_values("claim", kind="stable", ignore_index=True)
            frame = frame.rename(columns={"low": "value_low", "high": "value_high"})
            caption = " ".join(
                filter(None, [_claimed(len(rows)), paper.NOTE, left_out(benchmarks, paper.claims)])
            )
            name = f"claims-{name}"
            titles = {
                label: title for one in benchmarks.values() for label, title in one.titles.items()
            }
            of = "+".join(benchmarks)
            made = table.Table(caption, frame, columns, name, paper.TITLE, benchmark=of)
            tables.append(replace(made, titles=titles, setting=_of(benchmarks)))
    return tables


def _of(benchmarks: Mapping[str, Findings]) -> str:
    """Say which benchmarks claims are tested on."""
    said = [
        f"{name} ({one.benchmark.title}, {one.benchmark.model})" for name, one in benchmarks.items()
    ]
    return f"{'; '.join(said)}."


def left_out(
    benchmarks: Mapping[str, Findings],
    claims: Callable[[Findings], Iterable[Claim]] | None = None,
) -> str:
    """Name the conditions of which nothing is concluded, since controls failed; "" for none.

    claims: of a paper: then only conditions that one of its claims is about.
    """
    void = [
        f"{name}, {condition.heading} ({', '.join(condition.voided)})"
        for name, findings in benchmarks.items()
        for condition in findings.conditions
        if condition.voided
        if not claims or any(claims(replace(findings, runs=condition.every_run)))
    ]
    return f"Left out, since controls failed: {'; '.join(void)}." if void else ""


def _claimed(count: int) -> str:
    return CLAIMS.format(count=count, three=_factors(3), five=_factors(5))


def _detectable(row: table.Entry) -> str:
    needed = (row["to_confirm"], row["to_contradict"])
    return " / ".join(f"{one:.1f}" if np.isfinite(one) else table.ABSENT for one in needed)


def _rival(row: table.Entry) -> str:
    return row["rival"] if row["rivals"] == 1 else f"{row['rival']}, of {row['rivals']}"
