"""What is gained against what is lost, a point a method; None where there is nothing to draw."""

from __future__ import annotations

import numpy as np
import pandas as pd

from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.settings import Group, sound
from unlearnbench.metrics.gaps import noise_band
from unlearnbench.planning.plan import HELD_OUT, ORIGINAL, RETRAIN
from unlearnbench.report.figures import series
from unlearnbench.report.figures.marks import (
    DASHED,
    Spec,
    axis,
    band,
    beyond,
    chart,
    choice,
    decades,
    points,
    rule,
    values,
)
from unlearnbench.report.figures.style import SINGLE

MARGIN = 0.06
"""Share of what is seen that is left free around it."""


def forgetting_utility(findings: Findings, group: Group) -> Spec | None:
    """Draw test accuracy against FT AUC, where methods that are ranked lie."""
    runs, labels = series.shown(findings, group)
    if RETRAIN not in labels or "ft_auc" not in runs:
        return None
    data = series.dots(runs, "ft_auc", "test_accuracy")
    seen = _seen(data, findings, group)
    layers, window = [], {}
    for along, name in (("x", "ft_auc"), ("y", "test_accuracy")):
        middle, reach = runs.loc[runs["label"] == RETRAIN, name].mean(), noise_band(runs, name)
        layers += [*band(middle - reach, middle + reach, along), rule(middle, along)]
        window[along] = _window(seen, along, middle - reach, middle + reach)
    x, y = (
        axis(along, title, scale={"domain": list(window[along]), "zero": False, "nice": False})
        for along, title in (("x", "FT AUC (%)"), ("y", "Test accuracy (%)"))
    )
    layers += points(data, labels, x, y, "xy", clip=True)
    layers += beyond(series.beyond(data, window), labels, x, y)
    return choice(chart(layers, SINGLE, 150), labels)


def time_gap(findings: Findings, group: Group) -> Spec | None:
    """Draw the average gap against the time, a share of retraining's, and the best trade-offs.

    Where methods that are ranked lie; those with a larger gap are at the edge.
    """
    runs, labels = series.shown(findings, group)
    if RETRAIN not in labels or not runs["avg_gap"].notna().any():
        return None
    labels = [label for label in labels if label != ORIGINAL]
    data = series.dots(runs[runs["label"] != ORIGINAL], "time_ratio", "avg_gap")
    data["x_low"] = data["x_low"].clip(lower=data["x"] / 10)  # the axis is logarithmic
    front = pd.DataFrame(series.pareto(data["x"].tolist(), data["y"].tolist()), columns=["x", "y"])
    marks = decades(data["x_low"].min(), data["x_high"].max(), 1, 2, 5)
    style = {"format": "~g", "values": marks}
    x = axis("x", "Time (share of retraining)", scale={"type": "log"}, axis=style)
    reach = noise_band(runs, "avg_gap")
    high = _window(_seen(data, findings, group), "y", 0.0, reach)[1]
    y = axis("y", "Average gap to retrain (points)", scale={"domain": [0, high], "nice": False})
    dotted = {"type": "line", **DASHED, "strokeDash": [1, 2], "clip": True}
    line = {"data": values(front), "mark": dotted, "encoding": {"x": x, "y": y}}
    layers = [*band(0, reach, "y"), line, *points(data, labels, x, y, "xy", clip=True)]
    window = {"x": (data["x"].min(), data["x"].max()), "y": (0.0, high)}
    layers += beyond(series.beyond(data, window), labels, x, y)
    return choice(chart(layers, SINGLE, 150), labels)


def _seen(data: pd.DataFrame, findings: Findings, group: Group) -> pd.DataFrame:
    """Return the points that axes must reach: of ranked methods and what they are held to."""
    return data[data["method"].isin([ORIGINAL, RETRAIN, HELD_OUT, *sound(findings, group)])]


def _window(seen: pd.DataFrame, along: str, *more: float) -> tuple[float, float]:
    """Return the ends of an axis on which these points, their spreads and some values lie."""
    ends = [seen[f"{along}_low"].min(), seen[f"{along}_high"].max(), *more]
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
    return low - MARGIN * (high - low), high + MARGIN * (high - low)
