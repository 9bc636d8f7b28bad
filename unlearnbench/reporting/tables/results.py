"""What every report shows of a condition: results, gaps, distances, costs; and of a benchmark."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from unlearnbench.audits.attacks import ULIRA, attack_title
from unlearnbench.audits.parts import audit_title
from unlearnbench.evaluation.findings import Condition, Findings
from unlearnbench.metrics.distances import MANY_MODELS
from unlearnbench.metrics.metric import COSTS, METRICS, of_kind
from unlearnbench.planning.plan import ORIGINAL
from unlearnbench.reporting import escape
from unlearnbench.reporting.tables import register
from unlearnbench.reporting.tables.audit import p_text
from unlearnbench.reporting.tables.captions import data_title
from unlearnbench.reporting.tables.rows import (
    LABEL,
    OLD,
    by_label,
    footnoted,
    in_percent,
    marked,
    measured,
    noise_said,
    voided,
)
from unlearnbench.reporting.tables.table import (
    ABSENT,
    Column,
    Entry,
    Table,
    averaged,
    interval,
    number,
    text,
)
from unlearnbench.verdicts.audit import columns_of

RUNS = number("n", "n")
SHOWN = ("forget_accuracy", "test_accuracy", "ft_auc")
CONFIDENCES = ("forget_confidence", "test_confidence")
BRIEF = ("Verdict", "FT AUC %", "Test %", "Avg gap ↓", "Time ↓")
"""Columns of the main table for which a column of an article has room."""
LAST = ("tow", "privleak", "swap_auc")
"""Distances that follow from what other tables show, or from runs of their own."""
BEFORE = ("reading data", "data", "forward and backward", "update")
AFTER = ("evaluation", "store")
"""Parts of a profile in the order of the work; what methods time of their own comes between."""
SURE = (
    "Verdict: against retrain, over all audits. Surest audit: the one with the smallest p, and the"
    " gap to retrain that it finds, in points. The interval is of this audit alone; p is corrected"
    " for all audits and methods (Holm), and decides. Leak left: share of the original's own gap in"
    " FT AUC that is left [95 %]."
)
TIME = " Time: as a multiple of retraining's."


@register("main", "Results", place=10, short=BRIEF)
def main_table(condition: Condition) -> Table:
    """Show who is how near to retrain, then FT AUC, accuracies, confidences, gap and cost."""
    benchmark = condition.benchmark
    frame = by_label(condition, [*SHOWN, "avg_gap", "time_ratio"])
    gaps = by_label(condition, CONFIDENCES, of="_gap")[[f"{name}_gap" for name in CONFIDENCES]]
    frame = frame.join(gaps)
    # The original is what methods begin with, not an alternative to retraining.
    frame.loc[frame["label"] == ORIGINAL, ["time_ratio", "time_ratio_std"]] = np.nan
    skipped = [
        {"label": row["label"], "kind": "skipped", "n": 0}
        for row in condition.findings.skipped
        if row["access"] == condition.access
    ]
    frame = pd.DataFrame([*frame.to_dict("records"), *skipped], columns=frame.columns)
    judged = pd.DataFrame([_judged(condition, label) for label in frame["label"]], dtype=object)
    numbers = judged.columns.difference(["verdict", "missing", "surest"])
    frame = frame.join(judged.astype(dict.fromkeys(numbers, float)))
    frame = frame.astype({"n": "Int64"})
    places = {label: place for place, label in enumerate(condition.by_verdict)}
    order = frame["label"].map(places).fillna(-1.0).mask(frame["kind"] == "skipped", len(places))
    frame = frame.loc[order.sort_values(kind="stable").index].reset_index(drop=True)
    columns = [LABEL, Column("Verdict", _word, side="l")]
    if not condition.old:
        surest = interval("Its gap [95 %]", "surest_gap", "+", digits=0)
        columns += [Column("Surest audit", _surest, side="l", spare=2)]
        columns += [replace(surest, spare=2)]
        columns += [Column("p (all audits)", _p, order="low", spare=2)]
        left = interval("Leak left %", "share", digits=0)
        columns += [replace(left, order="near 0")]
    columns += [averaged("ft_auc"), averaged("forget_accuracy", "Forget %")]
    columns += [averaged("test_accuracy", "Test %")]
    confidences = zip(CONFIDENCES, ("Conf F", "Conf T"), strict=True)
    columns += [replace(_points(name, heading), spare=1) for name, heading in confidences]
    columns += [averaged("avg_gap")]
    timed = bool(frame["time_ratio"].notna().any())  # none of models that were made elsewhere
    columns += [averaged("time_ratio", "Time ↓")] * timed
    terms = ", ".join(METRICS[term].heading.removesuffix(" %") for term in benchmark.gap_terms)
    caption = (
        f"{condition.heading}. {voided(condition)}{OLD if condition.old else SURE} FT AUC: how well"
        f" the attack {attack_title(benchmark.headline)} separates forget from test samples (50:"
        f" not at all). Forget, Test: accuracies. All are mean ± std over {_runs_said(frame)}; the"
        " value closest to retrain's is best. Conf F, T: mean confidence on forget and test samples"
        f" minus retrain's, in points. Avg gap: mean distance to retrain of {terms}; retrain's own"
        " row compares each retrain with the others, so it is not zero."
        f"{TIME if timed else ''} {noise_said(condition)}"
    )
    table = marked(condition, Table(caption, frame, columns))
    return footnoted(table, condition.findings)


def _runs_said(frame: pd.DataFrame) -> str:
    """Say over how many runs means are: of most rows, and of those that have another number."""
    made = frame[frame["n"] > 0].set_index("label")["n"]
    usual = int(made.mode().max())
    others = [f"{label} {n}" for label, n in made.items() if n != usual]
    runs = f"{usual} run{'s' if usual > 1 else ''}"
    return f"{runs} ({', '.join(others)})" if others else runs


def _judged(condition: Condition, label: str) -> dict[str, Any]:
    """Return what a row's columns of verdicts show."""
    overall = condition.overall(label)
    leak = condition.audits.get(condition.benchmark.headline, {}).get(label)
    row: dict[str, Any] = {"verdict": condition.word(label)}
    row["missing"] = _missing(condition, label)
    row["surest"] = overall.strongest if overall else None
    row |= columns_of("surest_gap", overall.gap if overall else None)
    row["p_all"] = overall.p_all if overall else None
    return row | in_percent(columns_of("share", leak.share if leak else None))


def _missing(condition: Condition, label: str) -> str:
    """Say which audits the verdict on a row does without, and which forget sets; "" for none."""
    of_method = label in condition.methods
    audits = condition.lacking(label) if of_method else []
    not_run = not condition.old and ULIRA not in condition.audits
    if not_run and condition.word(label) == "equivalent":
        audits = [*audits, ULIRA]
    titles = list(dict.fromkeys(audit_title(name).partition(":")[0] for name in audits))
    said = [f"{', '.join(titles)} not run"] if titles else []
    sets = condition.every_run.groupby("label")["forget_seed"].nunique()
    if of_method and sets[label] < sets.max():
        said.append(f"{sets[label]} of {sets.max()} sets")
    return "; ".join(said)


def _word(row: Entry) -> str:
    """Write a verdict, and beside it what it does without."""
    word = row["verdict"] or ABSENT
    return f"{word} ({row['missing']})" if row["missing"] and row["verdict"] else word


def _surest(row: Entry) -> str:
    return ABSENT if row["surest"] is None else audit_title(row["surest"])


def _p(row: Entry) -> str:
    return p_text(row["p_all"])


def _points(key: str, heading: str) -> Column:
    """Show the mean gap of a share, and its noise band, in points."""
    name = f"{key}_gap"

    def write(row: Entry) -> str:
        if row[name] is None:
            return ABSENT
        if row["kind"] == "band":
            return f"±{100 * row[name]:.1f}"
        return f"{np.round(100 * row[name], 1) + 0.0:+.1f}"  # + 0.0: never "-0.0"

    return Column(heading, write, key)


@register("gaps", "Gaps to retrain, metric by metric", place=60)
def gap_table(condition: Condition) -> Table:
    """Show the signed distance to retrain for every metric."""
    names = measured(condition, of_kind("level"))
    columns = [LABEL, *(averaged(name, name=f"{name}_gap", sign="+") for name in names)]
    caption = (
        f"{condition.heading}. Signed distance to the mean of the retrains on"
        " the same forget set, mean ± std over runs; the value nearest to zero is best. Retrain's"
        f" own row: each against the others. {noise_said(condition, names)}"
    )
    return marked(condition, Table(caption, by_label(condition, names, of="_gap"), columns))


@register("more", "More metrics", place=70)
def more_table(condition: Condition) -> Table:
    """Show the remaining metrics."""
    names = measured(condition, [name for name in of_kind("level") if name not in SHOWN])
    caption = f"{condition.heading}. The value closest to retrain's is best. Mean ± std over runs."
    columns = [LABEL, *map(averaged, names)]
    return marked(condition, Table(caption, by_label(condition, names), columns))


@register("distances", "Distances to retrain, beyond accuracy", place=50)
def distance_table(condition: Condition) -> Table | None:
    """Show how far outputs are from retrain's, beyond accuracy; None where there is no retrain."""
    names = [name for name in of_kind("distance") if name not in ("avg_gap", *LAST)]
    names = measured(condition, [*names, *LAST], begin="")
    if not names:
        return None
    caption = (
        f"{condition.heading}. Mean ± std over runs of the mean distance to the"
        " retrains on the same forget set, on forget (F) and test samples (T): Wasserstein-1 and"
        " Kolmogorov-Smirnov of the margin, agreement of predictions, Jensen-Shannon divergence in"
        " bits; ToW, PrivLeak. Retrain's own row: each against the others."
    )
    if "klom" not in names:
        caption += (
            f" KLoM and forgetting quality: n/a, they need {MANY_MODELS} runs and retrains on a"
            " forget set."
        )
    columns = [LABEL, *map(averaged, names)]
    return marked(condition, Table(caption, by_label(condition, names), columns))


@register("cost", "Cost", place=80)
def cost_table(condition: Condition) -> Table | None:
    """Show time, its largest part, gradients and memory of every row, if any was made here."""
    if condition.runs[["seconds", "gradients"]].isna().all(axis=None):
        return None
    frame = by_label(condition, ["seconds", "time_ratio", "gradients"], band=False)
    frame["memory"] = frame["label"].map(condition.runs.groupby("label")["memory"].max())
    parts = [_largest_part(condition.details(label)) for label in frame["label"]]
    frame[["part", "part_share"]] = parts
    frame["audits"] = [_of_audits(condition.details(label)) for label in frame["label"]]
    columns = [
        LABEL,
        averaged("seconds"),
        averaged("time_ratio", "Time, x retraining ↓"),
        Column("Of which", _part, side="l"),
        number("Gradients ↓", "gradients", ",.0f", key="gradients"),
        number("Memory MB ↓", "memory", ",.0f"),  # the peak is of no one run
        number("Audits s", "audits", ",.1f"),
        RUNS,
    ]
    caption = (
        f"{condition.heading}. Mean ± std over n runs, without evaluation;"
        " gradients: of one sample each; memory: the largest peak, on a CPU of the whole worker;"
        " audits: what those of its models took beside, relearning for one, mean over audited runs."
    )
    made = condition.runs.loc[condition.runs["gradients"].notna(), "seconds"]
    if made.isna().any():
        caption += (
            f" Times are of the {made.notna().sum()} of {len(made)} runs that had their GPU to"
            " themselves."
        )
    return marked(condition, Table(caption, frame, columns))


def _largest_part(details: list[dict[str, Any]]) -> tuple[str | None, float | None]:
    """Return what takes most of the time beside training (a search, a mask), and its share."""
    seconds = pd.DataFrame([detail["seconds"] for detail in details]).sum()
    total = seconds.pop("total") if "total" in seconds else 0.0
    if seconds.empty or not total:
        return None, None
    return str(seconds.idxmax()), 100 * float(seconds.max()) / total


def _of_audits(details: list[dict[str, Any]]) -> float:
    """Return the mean seconds that audits of a row's models took; NaN where there were none."""
    made = [detail["audits"].values() for detail in details if "audits" in detail]
    took = [sum(one["seconds"] for one in audits) for audits in made]
    return float(np.mean(took)) if took else np.nan


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
    names, papers = findings.titles, findings.papers
    listed = [
        (label, names.get(label, label), row.method, row.settings, papers.get(label) or ABSENT)
        for label, row in rows
    ]
    columns = [
        text("Row", "label"),
        text("Name", "name"),
        text("Method", "method"),
        Column("Hyperparameters", _settings, side="l"),
        text("Paper", "paper"),
    ]
    frame = pd.DataFrame(listed, columns=["label", "name", "method", "settings", "paper"])
    caption = f"The rows of {findings.benchmark.title}: names in figures, settings and papers."
    table = Table(caption, frame, columns, "settings", "Settings")
    return footnoted(table, findings)


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
    summary = summary.assign(benchmark=of.name, dataset=data_title(of.data), model=of.model)
    values = ["n", "sets", "mean", "std", "low", "high", "gap", "band", "band_single"]
    frames = {
        "summary": summary[["benchmark", "dataset", "model", *keys, *values]],
        "attacks": findings.attacks.rename(columns={"label": "method"}),
        "pairs": findings.pairs,
        "verdicts": findings.verdicts,
        "runs": findings.runs.drop(columns=list(COSTS), errors="ignore"),
        "cost": findings.cost,
    }
    return {name: escape.csv_text(frame) for name, frame in frames.items()}
