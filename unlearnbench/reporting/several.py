"""Several results: side by side, paired where seeds agree; or ranked together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from unlearnbench.evaluation.findings import Condition, Findings
from unlearnbench.planning.benchmark import TERMS
from unlearnbench.planning.plan import ORIGINAL
from unlearnbench.reporting.figures.drawing import Gathered
from unlearnbench.reporting.figures.figure import Drawing
from unlearnbench.reporting.figures.ranking import CriticalDifference, Differences, RankMap
from unlearnbench.reporting.page import Section
from unlearnbench.reporting.tables.papers import claims_tables
from unlearnbench.reporting.tables.rows import mean_and_std
from unlearnbench.reporting.tables.table import (
    ABSENT,
    Column,
    Entry,
    Table,
    known,
    mean_std,
    number,
    text,
    with_interval,
)
from unlearnbench.verdicts.inference import LEVEL, half_width

METRICS = (*TERMS, "avg_gap", "time_ratio")
"""What is compared."""
SEEDS = ["label", "original_seed", "forget_seed", "run_seed"]
READING = {"title", "name", "published", "tuning", "plugins", "methods"}
"""Parts of a benchmark that are words about it, or have a table of their own."""


def comparison(folders: Mapping[str, Findings]) -> tuple[str, list[str], list[Section]]:
    """Return title, introduction and sections; the first folder is what others are compared to."""
    first, *others = folders
    title = f"{' against '.join(folders)}"
    said = [
        f"Each of {', '.join(others)} minus {first}, run by run where original, forget set and run"
        " have the same seeds; brackets are 95 % intervals over forget sets (of fewer than two"
        " there are none). A difference of which the interval holds zero is none that was shown."
    ]
    sections = [Section("What changed", "", [_changes(folders)], [], [])]
    by_key = {
        name: {condition.key: condition for condition in findings.conditions}
        for name, findings in folders.items()
    }
    shared = [key for key in by_key[first] if all(key in by_key[name] for name in others)]
    if not shared:
        said.append("They share no setting of access, fraction and request: nothing to compare.")
    for key in shared:
        here = {name: of_folder[key] for name, of_folder in by_key.items()}
        table, figures = _differences(here, _shared(folders))
        condition = here[first]
        sections.append(Section(condition.heading, condition.suffix, [table], [], figures))
    return title, said, sections


def _changes(folders: Mapping[str, Findings]) -> Table:
    """Show what differs: settings, hyperparameters, source of methods, environment."""
    shared = _shared(folders)
    aspects = {name: dict(_aspects(findings, shared)) for name, findings in folders.items()}
    rows = []
    for key in dict.fromkeys(key for of_folder in aspects.values() for key in of_folder):
        values = [of_folder.get(key, ABSENT) for of_folder in aspects.values()]
        if len(set(values)) > 1:
            rows.append([key, *values])
    caption = "What differs between the folders; what is not listed is the same."
    if not rows:
        caption = "Nothing differs: benchmark, hyperparameters, source, environment are the same."
    frame = pd.DataFrame(rows, columns=["What", *folders])
    columns = [text(name, name) for name in ("What", *folders)]
    return Table(caption, frame, columns, "changes", "What changed")


def _shared(folders: Mapping[str, Findings]) -> list[str]:
    """List the rows that all folders have."""
    first, *others = (list(dict.fromkeys(of.runs["label"])) for of in folders.values())
    return [label for label in first if all(label in other for other in others)]


def _aspects(findings: Findings, shared: list[str]) -> Iterator[tuple[str, str]]:
    """Yield everything that a result depends on, by name; of rows, what the shared ones do."""
    runs = findings.runs
    yield from _flat("", findings.benchmark.model_dump(mode="json", exclude=READING))
    alone = [str(label) for label in dict.fromkeys(runs["label"]) if label not in shared]
    yield "rows only here", ", ".join(alone) or ABSENT
    for label, row in findings.benchmark.methods.items():
        if label in shared:
            yield from _flat(label, {"method": row.method} | row.settings)
    for name, own in runs[runs["label"].isin(shared)].groupby("label", sort=False):
        sources = {str(findings.details[run].get("source") or ABSENT) for run in own["run"]}
        yield f"source of {name}", ", ".join(sorted(sources))
    machines: dict[str, set[str]] = {}
    for detail in findings.details.values():
        for name, value in detail["environment"].items():
            machines.setdefault(name, set()).add(str(value))
    for part, values in machines.items():
        yield f"environment: {part}", ", ".join(sorted(values))


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{prefix}.{key}" if prefix else key
        if isinstance(value, Mapping):
            yield from _flat(name, value)
        else:
            yield name, str(value)


def _differences(
    folders: Mapping[str, Condition], shared: list[str]
) -> tuple[Table, list[Drawing]]:
    """Show each method's means in every folder, and the paired differences to the first."""
    first, *others = folders
    base = folders[first]
    labels = [label for label in shared if label in base.labels]
    rows, points = [], []
    for label in labels:
        for metric in METRICS:
            if (label, metric) == (ORIGINAL, "time_ratio"):
                continue  # it is what methods begin with, not an alternative to retraining
            row: dict[str, Any] = {"label": label, "metric": metric}
            own = {name: of.runs[of.runs["label"] == label] for name, of in folders.items()}
            for name, runs in own.items():
                numbers = mean_and_std(runs, [metric])
                row |= {
                    f"{name}_mean": numbers[metric],
                    f"{name}_mean_std": numbers[f"{metric}_std"],
                }
            for other in others:
                difference = paired(own[first], own[other], metric)
                row |= _numbers(other, difference)
                if difference is not None and np.isfinite(difference.half):
                    panel = f"{_heading(metric)}: {other}"
                    points.append((panel, label, difference.mean, difference.half))
            rows.append(row)
    columns = [text("Method", "label"), Column("Metric", lambda r: _heading(r["metric"]), side="l")]
    columns += [Column(name, partial(_mean, name)) for name in folders]
    for other in others:
        columns.append(Column(f"{other} - {first} [95 %]", partial(_difference, other)))
        columns.append(number("Pairs", f"{other}_pairs"))
    caption = f"{base.heading}. Mean ± std over runs; differences paired."
    name = f"differences{base.suffix}"
    table = Table(caption, pd.DataFrame(rows), columns, name, "Differences")
    frame = pd.DataFrame(points, columns=["panel", "method", "difference", "half"])
    titles = {label: base.title(label) for label in labels}
    drawing = Drawing(Differences(first), Gathered(frame, labels, titles), base.suffix)
    return table, [] if frame.empty else [drawing]


@dataclass(frozen=True)
class Difference:
    """Hold a mean difference, half of its 95 % interval, of how many pairs; same: of one run."""

    mean: float
    half: float
    pairs: int
    same: bool


def paired(one: pd.DataFrame, other: pd.DataFrame, metric: str) -> Difference | None:
    """Return other minus one over runs with the same seeds, averaged by forget set.

    The interval of a single forget set is NaN; None where no seeds agree.
    """
    if metric not in one or metric not in other:
        return None
    columns = [*SEEDS, metric, "run"]
    keyed = [frame[columns].fillna({"original_seed": -1}) for frame in (one, other)]
    both = keyed[0].merge(keyed[1], on=SEEDS, suffixes=("", "_other")).dropna()
    if both.empty:
        return None
    by_set = (both[f"{metric}_other"] - both[metric]).groupby(both["forget_seed"]).mean()
    n = len(by_set)
    half = half_width(by_set.std(ddof=1) / np.sqrt(n), n - 1) if n > 1 else np.nan
    same = bool((both["run"] == both["run_other"]).all() and not by_set.any())
    return Difference(float(by_set.mean()), half, len(both), same)


def _numbers(other: str, difference: Difference | None) -> dict[str, Any]:
    values = tuple(vars(difference).values()) if difference else (None, None, 0, False)
    names = ("difference", "half", "pairs", "same")
    return {f"{other}_{name}": value for name, value in zip(names, values, strict=True)}


def _difference(other: str, row: Entry) -> str:
    mean, half, same = (row[f"{other}_{name}"] for name in ("difference", "half", "same"))
    if mean is None or same:
        return "the same runs" if same else "no seeds in common"
    digits = known(row["metric"]).digits
    if half is None:
        return f"{mean:+.{digits}f}"
    return with_interval(mean, mean - half, mean + half, "+", digits)


def _mean(name: str, row: Entry) -> str:
    return mean_std(row, f"{name}_mean", known(row["metric"]).digits)


def _heading(metric: str) -> str:
    return "Time, share of retraining ↓" if metric == "time_ratio" else known(metric).heading


def overview(benchmarks: Mapping[str, Findings]) -> tuple[str, list[str], list[Section]]:
    """Return title, introduction and sections for several benchmarks, given by name."""
    ranks = rank_map(benchmarks)
    last = [Section(table.title, "", [table], [], []) for table in claims_tables(benchmarks)]
    title = f"{len(benchmarks)} benchmarks: {', '.join(benchmarks)}"
    said = [
        "Methods are ranked in each setting by the distance of their FT AUC to retrain's; methods"
        " that are not ranked there (no-op, over-forgets, utility lost) share the last rank. Only"
        " methods of every setting are compared. Each benchmark has a report of its own beside"
        " this one.",
    ]
    if ranks.shape[0] < 2 or ranks.shape[1] < 2:
        return title, [*said, "Fewer than two settings or methods in common: no ranks."], last
    k, n = ranks.shape[1], ranks.shape[0]
    apart = critical_difference(k, n)
    p = friedmanchisquare(*ranks.to_numpy().T).pvalue if k > 2 else float("nan")
    said.append(
        f"Two mean ranks differ if they are {apart:.2f} apart or more (Nemenyi's test at 5 %, {k}"
        f" methods, {n} settings; Friedman's test of no difference at all: p = {p:.3f})."
    )
    if n < 5:
        said.append(f"{n} settings are few: this can show only large differences.")
    means = ranks.mean().sort_values(kind="stable")
    titles = {label: title for one in benchmarks.values() for label, title in one.titles.items()}
    labels = [str(label) for label in means.index]
    line = means.rename_axis("method").reset_index(name="rank")
    figures = [
        Drawing(RankMap(n), Gathered(ranks, labels, titles)),
        Drawing(CriticalDifference(cliques(means, apart), apart), Gathered(line, labels, titles)),
    ]
    return title, said, [Section("Ranks", "", [_table(ranks)], [], figures), *last]


def rank_map(benchmarks: Mapping[str, Findings]) -> pd.DataFrame:
    """Return ranks, a row a setting and a column a method; equals share their mean rank."""
    distances: dict[str, dict[str, float]] = {}
    for name, findings in benchmarks.items():
        for condition in findings.conditions:
            verdicts = condition.verdicts()
            distances[f"{name}: {condition.heading}"] = {
                label: np.inf if verdict.flags else abs(verdict.gap.value)
                for label, verdict in verdicts.items()
                if label in condition.methods and verdict.gap is not None
            }
    frame = pd.DataFrame(distances).T.dropna(axis=1)
    order = rankdata(frame.to_numpy(dtype=float), axis=1) if frame.size else frame.to_numpy()
    return pd.DataFrame(order, index=frame.index, columns=frame.columns)


def critical_difference(methods: int, settings: int) -> float:
    """Return by how much two mean ranks must differ (Nemenyi; Demsar, JMLR 7, 2006, section 3.2.2).

    q / sqrt(2) * sqrt(k (k + 1) / (6 N)), q being the studentised range at infinite freedom.
    """
    q = studentized_range.ppf(1 - LEVEL, methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * settings)))


def cliques(means: pd.Series[float], apart: float) -> list[tuple[float, float]]:
    """Return the longest ranges of mean ranks within which no two methods differ."""
    ordered = sorted(float(mean) for mean in means)
    ranges: list[tuple[float, float]] = []
    for start in ordered:
        end = max(mean for mean in ordered if mean - start < apart)
        if end > start and not (ranges and end <= ranges[-1][1]):
            ranges.append((start, end))
    return ranges


def _table(ranks: pd.DataFrame) -> Table:
    frame = ranks.T.assign(mean=ranks.mean()).sort_values("mean", kind="stable")
    frame = frame.rename_axis("label").reset_index()
    settings = [number(str(setting), str(setting), "g") for setting in ranks.index]
    columns = [text("Method", "label"), *settings, number("Mean rank ↓", "mean", ".2f")]
    caption = (
        "Rank in each setting by the distance of FT AUC to retrain's, and mean rank; 1 is best."
    )
    return Table(caption, frame, columns, "ranks", "Ranks")
