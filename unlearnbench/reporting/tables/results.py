"""What every report shows of a condition: results, gaps, distances, costs; and of a benchmark."""

from typing import Any

import numpy as np
import pandas as pd

from unlearnbench.evaluation.findings import Condition, Findings
from unlearnbench.metrics.distances import KLOM_MODELS
from unlearnbench.metrics.metric import COSTS, METRICS, of_kind
from unlearnbench.planning.benchmark import TERMS
from unlearnbench.planning.plan import ORIGINAL
from unlearnbench.reporting import escape
from unlearnbench.reporting.tables import register
from unlearnbench.reporting.tables.rows import LABEL, by_label, footnoted, marked, measured
from unlearnbench.reporting.tables.table import ABSENT, Column, Entry, Table, averaged, number, text
from unlearnbench.verdicts.verdict import Verdict

RUNS = number("n", "n")
LAST = ("tow", "privleak", "swap_auc")
"""Distances that follow from what other tables show, or from runs of their own."""
BEFORE = ("reading data", "data", "forward and backward", "update")
AFTER = ("evaluation", "store")
"""Parts of a profile in the order of the work; what methods time of their own comes between."""


@register("main", "Results", place=10)
def main_table(condition: Condition) -> Table:
    """Show what decides: accuracies, FT AUC and what it amounts to, average gap and cost."""
    benchmark = condition.benchmark
    frame = by_label(condition, [*TERMS, "avg_gap", "time_ratio"])
    # The original is what methods begin with, not an alternative to retraining.
    frame.loc[frame["label"] == ORIGINAL, ["time_ratio", "time_ratio_std"]] = np.nan
    skipped = [
        {"label": row["label"], "kind": "skipped", "n": 0}
        for row in condition.findings.skipped
        if row["access"] == condition.access
    ]
    frame = pd.DataFrame([*frame.to_dict("records"), *skipped], columns=frame.columns)
    judged = [_judged(condition.verdicts().get(label)) for label in frame["label"]]
    frame[["verdict", "rank", "rank_last"]] = judged
    frame = frame.astype(dict.fromkeys(["n", "rank", "rank_last"], "Int64"))
    columns = [LABEL, *map(averaged, TERMS), text("To retrain", "verdict", "ft_auc")]
    columns += [averaged("avg_gap"), Column("Rank", _places, "ft_auc")]
    columns += [averaged("time_ratio", "Time ↓"), RUNS]
    terms = ", ".join(METRICS[term].heading.removesuffix(" %") for term in benchmark.gap_terms)
    caption = (
        f"{condition.heading}. Mean ± std over n runs. Accuracies and AUCs: closest to"
        " retrain is best. Noise band: how far a retrain is from retrain by chance (95 %). To"
        f" retrain: whether FT AUC is equivalent to retrain's within"
        f" {benchmark.limits.equivalence:g} points. Avg gap: lower is better; mean distance to"
        f" retrain over {terms}. Rank: places it may have by FT AUC (95 %). Time: a share of"
        " retraining's, lower is better."
    )
    table = marked(condition, Table(caption, frame, columns))
    return footnoted(table, benchmark.tuning.borrowed)


def _judged(verdict: Verdict | None) -> tuple[str | None, int | None, int | None]:
    if verdict is None:
        return None, None, None
    first, last = verdict.rank or (None, None)
    return verdict.flags or verdict.word, first, last


def _places(row: Entry) -> str:
    first, last = row["rank"], row["rank_last"]
    return ABSENT if first is None else f"{first}" if first == last else f"{first}–{last}"


@register("gaps", "Gaps to retrain, metric by metric", place=60)
def gap_table(condition: Condition) -> Table:
    """Show the signed distance to retrain for every metric."""
    names = measured(condition, of_kind("level"))
    columns = [LABEL, *(averaged(name, name=f"{name}_gap", sign="+") for name in names)]
    caption = (
        f"{condition.heading}. Signed distance to the mean of the retrains on"
        " the same forget set, mean ± std over runs; nearest to zero is best. Retrain's own row:"
        " each against the others. Noise band: what lies within is no further from retrain than a"
        " retrain is by chance (95 %)."
    )
    return marked(condition, Table(caption, by_label(condition, names, of="_gap"), columns))


@register("more", "More metrics", place=70)
def more_table(condition: Condition) -> Table:
    """Show the remaining metrics."""
    names = measured(condition, [name for name in of_kind("level") if name not in TERMS])
    caption = f"{condition.heading}. Closest to retrain is best. Mean ± std over runs."
    columns = [LABEL, *map(averaged, names)]
    return marked(condition, Table(caption, by_label(condition, names), columns))


@register("distances", "Distances to retrain, beyond accuracy", place=50)
def distance_table(condition: Condition) -> Table:
    """Show how far outputs are from retrain's, beyond accuracy."""
    names = [name for name in of_kind("distance") if name not in ("avg_gap", *LAST)]
    names = measured(condition, [*names, *LAST], begin="")
    caption = (
        f"{condition.heading}. Mean ± std over runs of the mean distance to the"
        " retrains on the same forget set, on forget (F) and test samples (T): Wasserstein-1 and"
        " Kolmogorov-Smirnov of the margin, agreement of predictions, Jensen-Shannon divergence in"
        " bits; ToW, PrivLeak. Retrain's own row: each against the others."
    )
    if "klom" not in names:
        caption += f" KLoM: n/a, it needs {KLOM_MODELS} runs and retrains on a forget set."
    columns = [LABEL, *map(averaged, names)]
    return marked(condition, Table(caption, by_label(condition, names), columns))


@register("cost", "Cost", place=80)
def cost_table(condition: Condition) -> Table:
    """Show time, its largest part, gradients and memory of every row."""
    frame = by_label(condition, ["seconds", "time_ratio", "gradients"], band=False)
    frame["memory"] = frame["label"].map(condition.runs.groupby("label")["memory"].max())
    parts = [_largest_part(condition.details(label)) for label in frame["label"]]
    frame[["part", "part_share"]] = parts
    columns = [
        LABEL,
        averaged("seconds"),
        averaged("time_ratio", "Share of retraining ↓"),
        Column("Of which", _part, side="l"),
        number("Gradients ↓", "gradients", ",.0f", key="gradients"),
        number("Memory MB ↓", "memory", ",.0f"),  # the peak is of no one run
        RUNS,
    ]
    caption = (
        f"{condition.heading}. Mean ± std over n runs, without evaluation;"
        " gradients: of one sample each; memory: the largest peak, on a CPU of the whole worker."
    )
    return marked(condition, Table(caption, frame, columns))


def _largest_part(details: list[dict[str, Any]]) -> tuple[str | None, float | None]:
    """Return what takes most of the time beside training (a search, a mask), and its share."""
    seconds = pd.DataFrame([detail["seconds"] for detail in details]).sum()
    total = seconds.pop("total")
    if seconds.empty or not total:
        return None, None
    return str(seconds.idxmax()), 100 * float(seconds.max()) / total


def _part(row: Entry) -> str:
    return ABSENT if row["part"] is None else f"{row['part']} {row['part_share']:.0f} %"


@register("profile", "Where the time went", place=90)
def profile_table(condition: Condition) -> Table | None:
    """Show where the time of each row's runs went; None where none was made with --profile."""
    labels = map(str, dict.fromkeys(condition.every_run["label"]))
    details = [(label, detail) for label in labels for detail in condition.details(label)]
    rows = [{"label": n} | detail["profile"] for n, detail in details if "profile" in detail]
    if not rows:
        return None
    by_row = pd.DataFrame(rows).fillna(0.0).groupby("label", sort=False)
    frame = by_row.mean()
    between = sorted(set(map(str, frame)) - {*BEFORE, *AFTER})
    parts = [part for part in (*BEFORE, *between, *AFTER) if part in frame]
    frame = frame.assign(sum=frame.sum(axis=1), n=by_row.size()).reset_index()
    columns = [LABEL, *map(_share, parts), number("Sum s", "sum", ".2f"), RUNS]
    caption = (
        f"{condition.heading}. Where the time went, mean over n runs made with"
        " --profile, which makes a GPU wait after each step; reading data: once a worker."
    )
    return Table(caption, frame, columns)


def _share(part: str) -> Column:
    def write(row: Entry) -> str:
        return f"{row[part]:.2f} ({100 * row[part] / row['sum']:.0f} %)"

    return Column(f"{part[0].upper()}{part[1:]} s", write)


def settings_table(findings: Findings) -> Table:
    """Show the hyperparameters of every row."""
    rows = findings.benchmark.methods.items()
    listed = [(label, row.method, row.settings) for label, row in rows]
    settings = Column("Hyperparameters", _settings, side="l")
    columns = [text("Row", "label"), text("Method", "method"), settings]
    frame = pd.DataFrame(listed, columns=["label", "method", "settings"])
    caption = f"Settings of the rows of {findings.benchmark.title}."
    table = Table(caption, frame, columns, "settings", "Settings")
    return footnoted(table, findings.benchmark.tuning.borrowed)


def _settings(row: Entry) -> str:
    return ", ".join(f"{key} = {value}" for key, value in row["settings"].items()) or ABSENT


def failures_table(findings: Findings) -> Table | None:
    """Show which runs failed and which rows were skipped, and why; None if there are none."""
    rows = [(row["label"], row["run"], row["error"]) for row in findings.failures]
    rows += [
        (row["label"], "skipped", f"{row['access']} access: {row['reason']}")
        for row in findings.skipped
    ]
    frame = pd.DataFrame(rows, columns=["label", "run", "why"])
    columns = [text("Row", "label"), text("Run", "run"), text("Why", "why")]
    caption = "Runs that failed, and rows that were skipped."
    return Table(caption, frame, columns, "failures", "Failed or skipped") if rows else None


def tidy(findings: Findings) -> dict[str, str]:
    """Return the tidy CSV files of a report by name: numbers in full, times in `cost` alone."""
    of, keys = findings.benchmark, ["access", "fraction", "request", "method", "metric"]
    summary = findings.summary.rename(columns={"label": "method"})
    summary = summary.assign(benchmark=of.name, dataset=of.data.name, model=of.model)
    values = ["n", "mean", "std", "low", "high", "gap", "band"]
    frames = {
        "summary": summary[["benchmark", "dataset", "model", *keys, *values]],
        "attacks": findings.attacks.rename(columns={"label": "method"}),
        "pairs": findings.pairs,
        "runs": findings.runs.drop(columns=list(COSTS)),
        "cost": findings.cost,
    }
    return {name: escape.csv_text(frame) for name, frame in frames.items()}
