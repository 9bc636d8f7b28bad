"""What figures are drawn from: tidy frames with a row a point."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.settings import Group, compared, select
from unlearnbench.metrics.bank import reference_counts
from unlearnbench.metrics.compute import LEVELS, METRICS
from unlearnbench.metrics.curves import EDGES, FPRS
from unlearnbench.planning.plan import ORIGINAL, RETRAIN

Floats = NDArray[np.float64]
PARTS = {"density_forget": "Forget set", "density_test": "Test set", "density_retain": "Retain set"}
LINE = ["method", "x", "y", "std", "tip"]
ARROWS = dict(zip(product((-1, 0, 1), repeat=2), "↙←↖↓ ↑↘→↗", strict=True))
"""By the signs of what is left to go along x and y."""
INWARD = 0.045
"""Share of an axis between an arrow at its end and the mark beside it."""
TRIMMED = 0.25
"""Percent of samples below which an outer bin is not drawn."""


def shown(findings: Findings, group: Group) -> tuple[pd.DataFrame, list[str]]:
    """Return the runs that figures show, and the order of their rows."""
    runs = compared(select(findings.runs, group))
    return runs, list(dict.fromkeys(runs["label"]))


def dots(runs: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Return mean and spread over runs of two columns, a row a method."""
    rows = []
    for label, own in runs.groupby("label", sort=False):
        mean, std = own[[x, y]].mean(), own[[x, y]].std(ddof=1).fillna(0.0)
        rows.append((label, mean[x], std[x], mean[y], std[y], len(own)))
    frame = pd.DataFrame(rows, columns=["method", "x", "x_std", "y", "y_std", "runs"])
    for axis in "xy":
        frame[f"{axis}_low"] = frame[axis] - frame[f"{axis}_std"]
        frame[f"{axis}_high"] = frame[axis] + frame[f"{axis}_std"]
    pairs = zip(*(frame[name] for name in ("x", "x_std", "y", "y_std", "runs")), strict=True)
    frame["tip"] = [
        f"{_mean(x, x_std)}; {_mean(y, y_std)} (n = {n})" for x, x_std, y, y_std, n in pairs
    ]
    return frame.dropna(subset=["x", "y"])


def beyond(frame: pd.DataFrame, window: dict[str, tuple[float, float]]) -> pd.DataFrame:
    """Return what lies outside a window: an arrow at its edge, and just inside a place for a mark.

    frame: as `dots` returns it; columns method, tip, x and y of the arrow, mark_x and mark_y.
    """
    rows = []
    for _, row in frame.iterrows():
        found: dict[str, float] = {}
        signs = []
        for along, (low, high) in window.items():
            found[along] = float(np.clip(row[along], low, high))
            signs.append(int(np.sign(row[along] - found[along])))
            found[f"mark_{along}"] = found[along] - signs[-1] * INWARD * (high - low)
        if any(signs):
            arrow = ARROWS[signs[0], signs[1]]
            rows.append({"method": row["method"], "tip": row["tip"], "arrow": arrow} | found)
    return pd.DataFrame(rows)


def _mean(mean: float, std: float, sign: str = "") -> str:
    return f"{mean:{sign}.2f} ±{std:.2f}"


def gaps(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return, by metric, each method's mean signed gap to retrain and its spread."""
    found = {}
    for name in LEVELS:
        column = f"{name}_gap"
        if column not in runs or not runs[column].notna().any():
            continue
        grouped = runs.groupby("label", sort=False)[column]
        frame = pd.DataFrame({"x": grouped.mean(), "std": grouped.std(ddof=1).fillna(0.0)})
        frame = frame.rename_axis("method").reset_index().dropna(subset="x")
        frame["x_low"], frame["x_high"] = frame["x"] - frame["std"], frame["x"] + frame["std"]
        frame["tip"] = [_mean(x, std, "+") for x, std in zip(frame["x"], frame["std"], strict=True)]
        found[name] = frame
    return found


def pareto(costs: Sequence[float], gaps: Sequence[float]) -> list[tuple[float, float]]:
    """Return the points that no other one beats in both, cheapest first; less is better."""
    front: list[tuple[float, float]] = []
    for cost, gap in sorted(zip(costs, gaps, strict=True)):
        if not front or gap < front[-1][1]:
            front.append((cost, gap))
    return front


def stacked(findings: Findings, group: Group, curve: str) -> dict[str, Floats]:
    """Return by method one curve a run, [runs, points]; NaN where a curve has no value."""
    runs = compared(select(findings.runs, group))
    found: dict[str, list[list[float | None]]] = {}
    for place, label in runs["label"].items():
        points = findings.curves[int(str(place))].get(curve)
        if points:
            found.setdefault(str(label), []).append(points)
    return {label: np.array(rows, dtype=np.float64) for label, rows in found.items()}


def densities(findings: Findings, group: Group) -> pd.DataFrame:
    """Return shares of samples by log-odds of the true label, before and after each method.

    retrain_low, retrain_high: where a mean over as many retrains lies 95 times in 100. Empty if
    there are no curves.
    """
    made = []
    for curve, part in PARTS.items():
        found = stacked(findings, group, curve)
        before, retrains = found.pop(ORIGINAL, None), found.get(RETRAIN)
        for label, own in found.items():
            columns = {"method": label, "part": part, "x": EDGES[:-1], "x2": EDGES[1:]}
            frame = pd.DataFrame(columns | {"after": own.mean(0)})
            if before is not None:
                frame["before"] = before.mean(0)
            if retrains is not None and len(retrains) > 1:
                half = 1.96 * retrains.std(axis=0, ddof=1) / np.sqrt(len(own))
                frame["retrain_low"] = np.maximum(retrains.mean(0) - half, 0)
                frame["retrain_high"] = retrains.mean(0) + half
            made.append(frame)
    if not made:
        return pd.DataFrame()
    frame = pd.concat(made, ignore_index=True)
    shares = frame[[name for name in ("before", "after") if name in frame]].max(axis=1)
    used = frame.loc[shares > TRIMMED, "x"]
    return frame[frame["x"].between(used.min(), used.max())].round(3)


def curves(
    findings: Findings, group: Group, curve: str, x: Iterable[float] | None = None
) -> pd.DataFrame:
    """Return a curve's mean and spread over runs, a row a method and point; x counts from 1."""
    rows = []
    for label, own in stacked(findings, group, curve).items():
        known = np.isfinite(own).all(axis=0)
        at = np.arange(1, own.shape[1] + 1) if x is None else np.array(list(x))
        std = own.std(axis=0, ddof=1) if len(own) > 1 else np.zeros(own.shape[1])
        for place in np.flatnonzero(known):
            mean = own[:, place].mean()
            tip = f"{at[place]:g}: {_mean(mean, std[place])}"
            rows.append((label, at[place], mean, std[place], tip))
    return pd.DataFrame(rows, columns=LINE).round(5)


def roc(findings: Findings, group: Group) -> pd.DataFrame:
    """Return ROC curves of RMIA in percent, averaged over runs at fixed false-positive rates."""
    frame = curves(findings, group, "roc", 100 * FPRS)
    return frame[frame["y"] > 0]


def references(findings: Findings, group: Group) -> pd.DataFrame:
    """Return FT AUC against the number of references."""
    return curves(findings, group, "references", reference_counts(findings.references))


def classes(findings: Findings, group: Group) -> pd.DataFrame:
    """Return how far accuracy is from retrain's on the same forget set, by class, in points."""
    runs = compared(select(findings.runs, group))
    made = []
    for curve, part in (("class_forget", "Forget set"), ("class_test", "Test set")):
        values = pd.DataFrame(
            [findings.curves[int(str(place))].get(curve, []) for place in runs.index],
            index=runs.index,
            dtype=float,
        )
        ideal = values[runs["label"] == RETRAIN].groupby(runs["forget_seed"]).mean()
        gap = values - ideal.reindex(runs["forget_seed"]).set_axis(runs.index)
        mean = gap.groupby(runs["label"], sort=False).mean().rename_axis("method")
        long = mean.reset_index().melt("method", var_name="class", value_name="gap")
        made.append(long.assign(part=part).dropna())
    return pd.concat(made, ignore_index=True).round(2)


def distances(findings: Findings, group: Group) -> pd.DataFrame:
    """Return what share of the forget samples flips within a distance, a row a method and percent.

    Runs are averaged at each percentile. A sample that never flips counts as not flipped.
    """
    runs = select(findings.runs, group)
    rows = []
    for label, own in runs.groupby("label", sort=False):
        found = [findings.details[run].get("search") for run in own["run"]]
        known = [one for one in found if one and one["percentiles"]]
        if known:
            at = np.mean([one["percentiles"] for one in known], axis=0)
            flipped = np.mean([one["flipped"] / one["samples"] for one in known])
            for percent in range(101):
                share = percent * flipped
                rows.append((label, at[percent], share, 0.0, f"{share:.0f} % at {at[percent]:.3g}"))
    return pd.DataFrame(rows, columns=LINE).round(4)


def radii(findings: Findings, group: Group) -> pd.DataFrame:
    """Return what share of the forget samples was searched up to each radius, in percent.

    A row a method whose search doubles a radius, and radius; a sample that was misclassified before
    any step has none, and stands at no radius.
    """
    runs = select(findings.runs, group)
    rows = []
    for label, own in runs.groupby("label", sort=False):
        found = [findings.details[run].get("search") or {} for run in own["run"]]
        known = [one for one in found if one.get("radii")]
        tried = sorted({float(radius) for one in known for radius in one["radii"]} - {0.0})
        for radius in tried:
            shares = [100 * one["radii"].get(f"{radius:g}", 0) / one["samples"] for one in known]
            mean = float(np.mean(shares))
            std = float(np.std(shares, ddof=1)) if len(shares) > 1 else 0.0
            rows.append((label, radius, mean, std, f"{radius:g}: {_mean(mean, std)}"))
    return pd.DataFrame(rows, columns=LINE).round(5)


def epochs(findings: Findings, group: Group, name: str) -> pd.DataFrame:
    """Return the mean and spread over runs of what was noted after each epoch of unlearning."""
    runs = compared(select(findings.runs, group))
    rows = []
    for label, own in runs.groupby("label", sort=False):
        traces = [findings.details[run].get("curve", {}).get(name) for run in own["run"]]
        known = [trace for trace in traces if trace]
        if label == RETRAIN or len(known) < len(traces):
            continue
        for epoch, values in enumerate(zip(*known, strict=True), start=1):
            std = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
            tip = f"{epoch}: {_mean(float(np.mean(values)), std)}"
            rows.append((label, epoch, float(np.mean(values)), std, tip))
    return pd.DataFrame(rows, columns=LINE).round(3)


def requests(findings: Findings, group: Group, names: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return by metric its mean and spread over runs after each request of a sequence."""
    access, fraction, _ = group
    runs = compared(findings.runs)
    runs = runs[(runs["access"] == access) & (runs["fraction"] == fraction)]
    found = {}
    for name in names:
        if name in runs and runs[name].notna().any():
            # what one request and all before it asked to forget is what the first one did
            shown = runs.assign(**{name: runs[name].fillna(runs[name.removeprefix("all_")])})
            grouped = shown.groupby(["label", "request"], sort=False)[name]
            frame = pd.DataFrame({"y": grouped.mean(), "std": grouped.std(ddof=1).fillna(0.0)})
            frame = frame.rename_axis(["method", "x"]).reset_index().dropna()
            rows = zip(frame["x"], frame["y"], frame["std"], strict=True)
            found[name] = frame.assign(tip=[f"{x}: {_mean(y, std)}" for x, y, std in rows])
    return found


def title(name: str) -> str:
    """Name a metric with its unit, for an axis."""
    metric = METRICS[name]
    unit = "%" if metric.kind == "level" else "points"
    return f"{metric.title} ({unit if metric.unit else 'probability'})"
