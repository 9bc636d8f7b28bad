"""The figures of a report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from unlearnbench.metrics.compute import LEVELS, METRICS
from unlearnbench.metrics.gaps import noise_band
from unlearnbench.report.findings import Findings
from unlearnbench.report.style import looks
from unlearnbench.report.tables import Group, compared, heading, select
from unlearnbench.store import Store

BAND: Any = {"color": "#dddddd", "lw": 0, "zorder": 0}
PROBABILITIES = (0.001, 0.1, 0.5, 0.9, 0.999, 0.99999)


def gaps(findings: Findings, group: Group) -> Figure:
    """Draw the signed gap of every metric to retrain, a dot a method, with its spread over runs."""
    runs = compared(select(findings.runs, group))
    names = [name for name in LEVELS if f"{name}_gap" in runs]
    labels = list(dict.fromkeys(runs["label"]))
    chosen = looks(labels)
    rows = -(-len(names) // 3)
    figure = Figure(figsize=(7.2, 0.5 + rows * (0.7 + 0.17 * len(labels))), layout="constrained")
    axes = figure.subplots(rows, 3, sharey=True, squeeze=False)
    for axis, name in zip(axes.flat, names, strict=False):
        band = noise_band(runs, name)
        if np.isfinite(band):
            axis.axvspan(-band, band, **BAND)
        axis.axvline(0, color="#777777", lw=0.8, zorder=1)
        for y, label in enumerate(labels):
            values = runs.loc[runs["label"] == label, f"{name}_gap"]
            colour, marker = chosen[label]
            spread = values.std(ddof=1) if len(values) > 1 else 0.0
            axis.errorbar(
                values.mean(), y, xerr=spread, color=colour, marker=marker, ms=5, capsize=2
            )
        unit = "points" if METRICS[name].unit else "probability"
        axis.set_title(f"{METRICS[name].title} ({unit})")
        axis.set_yticks(range(len(labels)), labels)
        axis.margins(x=0.1)
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    axes[0, 0].invert_yaxis()
    figure.suptitle(
        f"Distance to retrain: {heading(group, findings.benchmark)}\n"
        "mean and standard deviation over runs; grey: retrain against retrain, 95 % by chance",
        fontsize=9,
    )
    return figure


def forgetting_against_utility(findings: Findings, group: Group) -> Figure:
    """Draw test accuracy against FT AUC, with a cross where retraining is."""
    runs = compared(select(findings.runs, group))
    figure, axis = _single(findings, group, "Forgetting against utility")
    _dots(axis, runs, "ft_auc", "test_accuracy")
    figure.legend(loc="outside right center")
    retrain = runs[runs["label"] == "retrain"]
    spans = (("ft_auc", axis.axvline, axis.axvspan), ("test_accuracy", axis.axhline, axis.axhspan))
    for name, line, span in spans:
        middle, band = retrain[name].mean(), noise_band(runs, name)
        line(middle, color="#777777", lw=0.8, ls="--", zorder=1)
        if np.isfinite(band):
            span(middle - band, middle + band, **BAND)
    axis.set_xlabel("FT AUC (%): how well an attack tells forgotten from test samples")
    axis.set_ylabel("Test accuracy (%)")
    low, high = axis.get_ylim()
    axis.set_ylim(low, min(high, 100.5))
    return figure


def time_against_gap(findings: Findings, group: Group) -> Figure:
    """Draw the average gap against the time, a share of retraining's, and the best trade-offs."""
    runs = compared(select(findings.runs, group))
    band = noise_band(runs, "avg_gap")
    runs = runs[runs["label"] != "original"]
    figure, axis = _single(
        findings, group, "Cost against distance to retrain (dotted: the best trade-offs)"
    )
    _dots(axis, runs, "time_ratio", "avg_gap")
    figure.legend(loc="outside right center")
    means = runs.groupby("label")[["time_ratio", "avg_gap"]].mean().dropna()
    line = pareto(means["time_ratio"].tolist(), means["avg_gap"].tolist())
    axis.plot(*zip(*line, strict=True), color="#999999", lw=0.8, ls=":", zorder=1)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.axhline(0, color="#777777", lw=0.8, ls="--", zorder=0)
    if np.isfinite(band):
        axis.axhspan(0, band, **BAND)
    axis.set_ylim(bottom=-0.04 * axis.get_ylim()[1])  # a gap is never negative, its bar may be
    axis.set_xlabel("Time (share of retraining, searches and masks included)")
    axis.set_ylabel("Average gap to retrain (points)")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    return figure


def pareto(costs: list[float], gaps: list[float]) -> list[tuple[float, float]]:
    """Return the points that no other one beats in both, cheapest first; less is better."""
    front: list[tuple[float, float]] = []
    for cost, gap in sorted(zip(costs, gaps, strict=True)):
        if not front or gap < front[-1][1]:
            front.append((cost, gap))
    return front


def confidences(findings: Findings, group: Group, store: Store) -> Figure:
    """Draw the confidence in the true label on forget and test samples, before and after."""
    runs = compared(select(findings.runs, group))
    labels = [label for label in dict.fromkeys(runs["label"]) if label != "original"]
    parts = {label: _margins(runs[runs["label"] == label], findings, store) for label in labels}
    before = _margins(runs[runs["label"] == "original"], findings, store)
    everything = [m for groups in (before, *parts.values()) for group in groups for m in group]
    low, high = np.quantile(np.concatenate(everything), [0.005, 0.995])
    bins = np.linspace(low, high, 41)
    ticks = [p for p in PROBABILITIES if low < np.log(p / (1 - p)) < high]

    def shares(margins: list[np.ndarray]) -> np.ndarray:
        """Return the share of samples in each bin, in percent, one row a run."""
        return np.stack([100 * np.histogram(m.clip(low, high), bins)[0] / len(m) for m in margins])

    originals = [shares(margins) for margins in before]
    retrains = [shares(margins) for margins in parts.get("retrain", ()) if len(margins) > 1]
    rows = len(labels)
    figure = Figure(figsize=(7.2, 0.9 + 0.95 * rows), layout="constrained")
    axes = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
    chosen = looks(labels)
    for row, label in zip(axes, labels, strict=True):
        for side, axis in enumerate(row):
            new = shares(parts[label][side])
            if retrains:
                retrain = retrains[side]
                half = 1.96 * retrain.std(axis=0, ddof=1) / np.sqrt(len(new))
                middle = retrain.mean(0)
                band = {"color": "#bbbbbb", "fill": True, "label": "retrain, 95 % by chance"}
                axis.stairs(middle + half, bins, baseline=np.maximum(middle - half, 0), **band)
            axis.stairs(originals[side].mean(0), bins, color="black", lw=0.8, label="before")
            axis.stairs(new.mean(0), bins, color=chosen[label][0], lw=1.4, label="after")
            axis.set_xticks([np.log(p / (1 - p)) for p in ticks], [f"{p:g}" for p in ticks])
        row[0].set_ylabel(label, rotation=0, ha="right", va="center", labelpad=14)
    axes[0, 0].set_title("Forget samples")
    axes[0, 1].set_title("Test samples")
    axes[0, 1].legend(loc="upper left", fontsize=7)
    figure.supxlabel("Confidence in the true label (log-odds scale)", fontsize=9)
    figure.suptitle(
        f"Confidence before and after: {heading(group, findings.benchmark)}\n"
        "share of samples in %, mean over runs",
        fontsize=9,
    )
    return figure


def _margins(
    runs: pd.DataFrame, findings: Findings, store: Store
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return each run's log-odds of the true label, on forget and on test samples."""
    splits = {(cell.run, *cell.forget_set): cell.split for cell in findings.plan.cells}
    forget, test = [], []
    for row in runs.to_dict("records"):
        margin, record = store.signals(row["run"])["margin"], findings.records[row["run"]]
        split = splits[row["run"], row["fraction"], row["request"], row["forget_seed"]]
        forget.append(margin[store.split(split)["forget"]])
        test.append(margin[record["train"] : record["train"] + record["test"]])
    return forget, test


def _single(findings: Findings, group: Group, title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axis = figure.subplots()
    axis.set_title(
        f"{title}\n{heading(group, findings.benchmark)}; mean and std over runs; grey: noise band"
    )
    return figure, axis


def _dots(axis: Axes, runs: pd.DataFrame, x: str, y: str) -> None:
    labels = list(dict.fromkeys(runs["label"]))
    for label, (colour, marker) in looks(labels).items():
        own = runs[runs["label"] == label]
        spread = own[[x, y]].std(ddof=1).fillna(0.0)
        axis.errorbar(
            own[x].mean(),
            own[y].mean(),
            xerr=spread[x],
            yerr=spread[y],
            fmt=marker,
            color=colour,
            ms=11 if marker == "*" else 6,
            elinewidth=0.8,
            alpha=0.9,
            label=label,
        )
