"""Tables of what runs cost, what they were set to, and what went wrong."""

from __future__ import annotations

import pandas as pd

from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.settings import Group, compared, heading, select, suffix
from unlearnbench.report.tables.table import ABSENT, Table, marked, mean_std

FIRST = ("reading data", "data", "forward and backward", "update")
LAST = ("evaluation", "store")
"""Parts of a profile in the order of the work; what methods time of their own comes between."""


def cost_table(findings: Findings, group: Group) -> Table:
    """Show time, its largest part, gradients and memory of every row."""
    rows = []
    for label, own in compared(select(findings.runs, group)).groupby("label", sort=False):
        rows.append(
            [
                str(label),
                mean_std(own, "seconds", 2),
                mean_std(own, "time_ratio", 2),
                _largest_part(findings, own),
                f"{own['gradients'].mean():,.0f}",
                f"{own['memory'].max():,.0f}",
                str(len(own)),
            ]
        )
    columns = ["Method", "Time s ↓", "Share of retraining ↓", "Of which", "Gradients ↓"]
    columns += ["Memory MB ↓", "n"]
    caption = (
        f"{heading(group, findings.benchmark)}. Mean ± std over n runs, without evaluation;"
        " gradients: of one sample each; memory: the largest peak, on a CPU of the whole worker."
    )
    keys = ["", "seconds", "time_ratio", "", "gradients", "", ""]  # memory: a peak, of no one run
    return marked(findings, group, Table(f"cost{suffix(group)}", caption, columns, rows, keys))


def _largest_part(findings: Findings, own: pd.DataFrame) -> str:
    """Name what takes most of the time beside training: an adversarial search, a mask."""
    parts: dict[str, float] = {}
    for run in own["run"]:
        for name, seconds in findings.details[run]["seconds"].items():
            parts[name] = parts.get(name, 0.0) + seconds
    total = parts.pop("total")
    if not parts or not total:
        return ABSENT
    name = max(parts, key=lambda part: parts[part])
    return f"{name} {100 * parts[name] / total:.0f} %"


def profile_table(findings: Findings, group: Group) -> Table | None:
    """Show where the time of each row's runs went; None where none was made with --profile."""
    profiles: dict[str, list[dict[str, float]]] = {}
    for label, own in select(findings.runs, group).groupby("label", sort=False):
        details = [findings.details[run] for run in own["run"]]
        profiles[str(label)] = [one["profile"] for one in details if "profile" in one]
    named = {part for found in profiles.values() for one in found for part in one}
    parts = [*(p for p in FIRST if p in named), *sorted(named - {*FIRST, *LAST})]
    parts += [p for p in LAST if p in named]
    if not parts:
        return None
    rows: list[list[str]] = []
    for label, found in profiles.items():
        if found:
            means = [sum(one.get(part, 0.0) for one in found) / len(found) for part in parts]
            total = sum(means)
            shares = [f"{mean:.2f} ({100 * mean / total:.0f} %)" for mean in means]
            rows.append([label, *shares, f"{total:.2f}", str(len(found))])
    heads = [f"{part[0].upper()}{part[1:]} s" for part in parts]
    caption = (
        f"{heading(group, findings.benchmark)}. Where the time went, mean over n runs made with"
        " --profile, which makes a GPU wait after each step; reading data: once a worker."
    )
    name = f"profile{suffix(group)}"
    return Table(name, caption, ["Method", *heads, "Sum s", "n"], rows)


def settings_table(findings: Findings) -> Table:
    """Show the hyperparameters of every row."""
    rows = []
    for label, entry in findings.benchmark.methods.items():
        values = [f"{key} = {value}" for key, value in entry.items() if key != "method"]
        rows.append([label, str(entry["method"]), ", ".join(values) or ABSENT])
    caption = f"Settings of the rows of {findings.benchmark.title}."
    return Table("settings", caption, ["Row", "Method", "Hyperparameters"], rows)


def failures_table(findings: Findings) -> Table | None:
    """Show which runs failed and which rows were skipped, and why; None if there are none."""
    rows = [[row["label"], row["run"], row["error"]] for row in findings.failures]
    rows += [
        [row["label"], "skipped", f"{row['access']} access: {row['reason']}"]
        for row in findings.skipped
    ]
    if not rows:
        return None
    return Table(
        "failures", "Runs that failed, and rows that were skipped.", ["Row", "Run", "Why"], rows
    )
