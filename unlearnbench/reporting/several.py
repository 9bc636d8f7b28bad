"""Several results: side by side, paired where seeds agree; or ranked together."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, studentized_range

from unlearnbench.evaluation.findings import Condition, Findings
from unlearnbench.evaluation.frames import flat
from unlearnbench.metrics.metric import known
from unlearnbench.planning.benchmark import TERMS
from unlearnbench.planning.plan import ORIGINAL
from unlearnbench.reporting.figures import Drawing, ranking
from unlearnbench.reporting.figures.drawing import Gathered
from unlearnbench.reporting.tables import table
from unlearnbench.reporting.tables.papers import claims_tables, left_out
from unlearnbench.reporting.tables.rows import LABEL, mean_and_std, stale_marked
from unlearnbench.reporting.write import Section
from unlearnbench.verdicts.inference import LEVEL, half_width

COMPARED = (*TERMS, "avg_gap", "time_ratio")
SEEDS = ["label", "original_seed", "forget_seed", "run_seed"]
READING = {"title", "name", "published", "tuning", "plugins", "methods"}
"""Parts of a benchmark that are words about it, or have a table of their own."""


def comparison(folders: Mapping[str, Findings]) -> tuple[str, list[str], list[Section]]:
    """Return title, introduction and sections; the first folder is what others are compared to."""
    first, *others = folders
    said = [
        f"Each of {', '.join(others)} minus {first}, run by run where original, forget set and run"
        " have the same seeds; brackets are 95 % intervals over forget sets (of fewer than two"
        " there are none). A difference of which the interval holds zero is none that was shown."
    ]
    rows = [list(dict.fromkeys(findings.runs["label"])) for findings in folders.values()]
    shared = [label for label in rows[0] if all(label in other for other in rows)]
    by_key = [{one.key: one for one in findings.conditions} for findings in folders.values()]
    sections = [Section("What changed", [_changes(folders, shared)])]
    for key in by_key[0]:
        if all(key in of_folder for of_folder in by_key):
            here = [of_folder[key] for of_folder in by_key]
            sections.append(_differences(dict(zip(folders, here, strict=True)), shared))
    if len(sections) == 1:
        said.append("They share no setting of access, fraction and request: nothing to compare.")
    return " against ".join(folders), said, sections


def _changes(folders: Mapping[str, Findings], shared: Sequence[str]) -> table.Table:
    """Show what differs: settings, hyperparameters, source of methods, environment."""
    aspects = {
        name: {aspect: str(value) for aspect, value in _aspects(findings, shared)}
        for name, findings in folders.items()
    }
    frame = pd.DataFrame(aspects, dtype=object).fillna(table.ABSENT)
    frame = frame[frame.nunique(axis=1) > 1].rename_axis("What").reset_index()
    caption = "What differs between the folders; what is not listed is the same."
    if frame.empty:
        caption = "Nothing differs: benchmark, hyperparameters, source, environment are the same."
    columns = [table.text(name, name) for name in ("What", *folders)]
    return table.Table(caption, frame, columns, "changes", "What changed")


def _aspects(findings: Findings, shared: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield everything that a result depends on, by name; of rows, what the shared ones do."""
    runs = findings.runs
    yield from flat(findings.benchmark.model_dump(mode="json", exclude=READING))
    alone = [str(label) for label in dict.fromkeys(runs["label"]) if label not in shared]
    yield "rows only here", ", ".join(alone) or table.ABSENT
    for label, row in findings.benchmark.methods.items():
        if label in shared:
            yield from flat({"method": row.method} | row.settings, f"{label}.")
    for name, own in runs[runs["label"].isin(shared)].groupby("label", sort=False):
        sources = {str(findings.details[run].get("source") or table.ABSENT) for run in own["run"]}
        yield f"source of {name}", ", ".join(sorted(sources))
    machines: dict[str, set[str]] = {}
    for detail in findings.details.values():
        for name, value in detail["environment"].items():
            machines.setdefault(name, set()).add(str(value))
    for part, values in machines.items():
        yield f"environment: {part}", ", ".join(sorted(values))


def _differences(folders: Mapping[str, Condition], shared: Sequence[str]) -> Section:
    """Show each method's means in every folder, and the paired differences to the first."""
    first, *others = folders
    base = folders[first]
    labels = [label for label in shared if label in base.labels]
    rows, points = [], []
    for label in labels:
        own = {name: of.runs[of.runs["label"] == label] for name, of in folders.items()}
        for metric in COMPARED:
            if (label, metric) == (ORIGINAL, "time_ratio"):
                continue  # it is what methods begin with, not an alternative to retraining
            row: dict[str, Any] = {"label": label, "metric": metric}
            for name, runs in own.items():
                mean = f"{name}_mean"
                row |= mean_and_std(runs.rename(columns={metric: mean}), [mean])
            for other in others:
                found = paired(own[first], own[other], metric) or Difference()
                row |= {f"{other}_{part}": value for part, value in asdict(found).items()}
                if np.isfinite(found.half):
                    panel = f"{_heading(metric)}: {other}"
                    points.append((panel, label, found.difference, found.half))
            rows.append(row)
    what = table.Column("Metric", lambda row: _heading(row["metric"]), side="l")
    columns = [LABEL, what, *(table.Column(name, partial(_mean, name)) for name in folders)]
    for other in others:
        columns.append(table.Column(f"{other} - {first} [95 %]", partial(_difference, other)))
        columns.append(table.number("Pairs", f"{other}_pairs"))
    caption = f"{base.heading}. Mean ± std over runs; differences paired."
    name = f"differences{base.suffix}"
    shown = table.Table(caption, pd.DataFrame(rows), columns, name, "Differences")
    shown = stale_marked(shown, *(of.findings for of in folders.values()))
    shown = replace(shown, titles=base.findings.titles)
    frame = pd.DataFrame(points, columns=["panel", "method", "difference", "half"])
    gathered = Gathered(frame, labels, base.findings.titles)
    figures = [Drawing(ranking.Differences(first), gathered, base.suffix)] if points else []
    return Section(base.heading, [shown], figures, suffix=base.suffix)


@dataclass(frozen=True)
class Difference:
    """Hold a mean difference, half of its 95 % interval, of how many pairs; same: of one run."""

    difference: float = np.nan
    half: float = np.nan
    pairs: int = 0
    same: bool = False


def paired(one: pd.DataFrame, other: pd.DataFrame, metric: str) -> Difference | None:
    """Return other minus one over runs with the same seeds, averaged by forget set.

    Seeds that draw one forget set share its number; their runs are paired in turn. The interval of
    a single forget set is NaN; None where no seeds agree.
    """
    if metric not in one or metric not in other:
        return None
    keyed = []
    for frame in (one, other):
        own = frame[[*SEEDS, metric, "run"]].fillna({"original_seed": -1})
        keyed.append(own.assign(turn=own.groupby(SEEDS).cumcount()))
    both = keyed[0].merge(keyed[1], on=[*SEEDS, "turn"], suffixes=("", "_other")).dropna()
    if both.empty:
        return None
    by_set = (both[f"{metric}_other"] - both[metric]).groupby(both["forget_seed"]).mean()
    n = len(by_set)
    half = half_width(by_set.std(ddof=1) / np.sqrt(n), n - 1) if n > 1 else np.nan
    same = bool((both["run"] == both["run_other"]).all() and not by_set.any())
    return Difference(float(by_set.mean()), half, len(both), same)


def _difference(other: str, row: table.Entry) -> str:
    mean, half, same = (row[f"{other}_{name}"] for name in ("difference", "half", "same"))
    if mean is None or same:
        return "the same runs" if same else "no seeds in common"
    digits = known(row["metric"]).digits
    if half is None:
        return f"{mean:+.{digits}f}"
    return table.with_interval(mean, mean - half, mean + half, "+", digits)


def _mean(name: str, row: table.Entry) -> str:
    return table.mean_std(row, f"{name}_mean", known(row["metric"]).digits)


def _heading(metric: str) -> str:
    return "Time, x retraining ↓" if metric == "time_ratio" else known(metric).heading


def overview(benchmarks: Mapping[str, Findings]) -> tuple[str, list[str], list[Section]]:
    """Return title, introduction and sections for several benchmarks, given by name."""
    ranks = rank_map(benchmarks)
    last = [Section(claims.title, [claims]) for claims in claims_tables(benchmarks)]
    title = f"{len(benchmarks)} benchmarks: {', '.join(benchmarks)}"
    said = ["Each benchmark has a report of its own beside this one."]
    ranked = (
        "Methods are ranked in each setting by the distance of their FT AUC to retrain's; methods"
        " that are not ranked there (no-op, over-forgets, utility lost) share the last rank. Only"
        " methods of every setting are compared."
    )
    said += filter(None, [left_out(benchmarks)])
    n, k = ranks.shape
    if n < 2 or k < 2:
        return title, [*said, "Fewer than two settings or methods in common: no ranks."], last
    apart = critical_difference(k, n)
    if apart > k - 1:
        few = (
            f"No ranks: of {k} methods in {n} settings two mean ranks differ if they are"
            f" {apart:.1f} apart or more (Nemenyi's test at 5 %), but no two can be more than"
            f" {k - 1} apart. It takes more settings."
        )
        return title, [*said, few], last
    p = friedmanchisquare(*ranks.to_numpy().T).pvalue if k > 2 else float("nan")
    said.append(
        f"{ranked} Two mean ranks differ if they are {apart:.2f} apart or more (Nemenyi's test at"
        f" 5 %, {k} methods, {n} settings; Friedman's test of no difference at all: p = {p:.3f})."
    )
    if n < 5:
        said.append(f"{n} settings are few: this can show only large differences.")
    means = ranks.mean().sort_values(kind="stable")
    titles = {label: title for one in benchmarks.values() for label, title in one.titles.items()}
    labels = [str(label) for label in means.index]
    line = means.rename_axis("method").reset_index(name="rank")
    bars = ranking.CriticalDifference(cliques(means, apart), apart)
    figures = [
        Drawing(ranking.RankMap(n), Gathered(ranks, labels, titles)),
        Drawing(bars, Gathered(line, labels, titles)),
    ]
    marked = replace(stale_marked(_table(ranks), *benchmarks.values()), titles=titles)
    return title, said, [Section("Ranks", [marked], figures), *last]


def rank_map(benchmarks: Mapping[str, Findings]) -> pd.DataFrame:
    """Return ranks, a row a setting and a column a method; equals share their mean rank.

    Settings where a control failed are left out.
    """
    distances: dict[str, dict[str, float]] = {}
    for name, findings in benchmarks.items():
        for condition in findings.sound().conditions:
            distances[f"{name}: {condition.heading}"] = {
                label: np.inf if verdict.flags else abs(verdict.gap.value)
                for label, verdict in condition.verdicts().items()
                if label in condition.methods and verdict.gap is not None
            }
    return pd.DataFrame(distances).T.dropna(axis=1).rank(axis=1)


def critical_difference(methods: int, settings: int) -> float:
    """Return by how much two mean ranks must differ (Nemenyi; Demsar, JMLR 7, 2006, section 3.2.2).

    q / sqrt(2) * sqrt(k (k + 1) / (6 N)), q being the studentised range at infinite freedom.
    """
    q = studentized_range.ppf(1 - LEVEL, methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * settings)))


def cliques(means: Iterable[float], apart: float) -> list[tuple[float, float]]:
    """Return the longest ranges of mean ranks within which no two methods differ."""
    ordered = sorted(map(float, means))
    ranges: list[tuple[float, float]] = []
    for start in ordered:
        end = max(mean for mean in ordered if mean - start < apart)
        if end > start and not (ranges and end <= ranges[-1][1]):
            ranges.append((start, end))
    return ranges


def _table(ranks: pd.DataFrame) -> table.Table:
    frame = ranks.T.assign(mean=ranks.mean()).sort_values("mean", kind="stable")
    frame = frame.rename_axis("label").reset_index()
    settings = [table.number(str(setting), str(setting), "g") for setting in ranks.index]
    columns = [LABEL, *settings, table.number("Mean rank ↓", "mean", ".2f")]
    caption = (
        "Rank in each setting by the distance of FT AUC to retrain's, and mean rank; 1 is best."
    )
    return table.Table(caption, frame, columns, "ranks", "Ranks")
