"""How each figure is drawn. A function returns None where there is nothing to draw."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from unlearnbench.metrics.compute import METRICS
from unlearnbench.metrics.gaps import noise_band
from unlearnbench.plan import ORIGINAL, RETRAIN
from unlearnbench.report import series
from unlearnbench.report.findings import Findings
from unlearnbench.report.marks import (
    CHOSEN,
    GREY,
    HOVER,
    Chart,
    band,
    choice,
    colour,
    lines,
    points,
    rule,
)
from unlearnbench.report.style import COLUMN, PAGE
from unlearnbench.report.tables import Group, compared, select

PROBABILITIES = (0.000001, 0.001, 0.5, 0.999, 0.999999)
SIZE = {"width": COLUMN - 46, "height": 150}
AFTER_REQUESTS = ("ft_auc", "fr_auc", "test_accuracy", "avg_gap")
FREE = alt.Scale(zero=False)


def gaps(findings: Findings, group: Group) -> Chart | None:
    """Draw the signed gap of every metric to retrain, a dot a method."""
    runs, labels = _rows(findings, group)
    found = series.gaps(runs)
    charts = []
    for place, (name, data) in enumerate(found.items()):
        first = place % 3 == 0
        axis = alt.Axis(labels=first, ticks=False, domain=False, grid=True)
        y = alt.Y("method:N", sort=labels, title=None, axis=axis)
        x = alt.X("x:Q", title=None, axis=alt.Axis(tickCount=5))
        reach = noise_band(runs, name)
        layers = [
            *band(-reach, reach, "x"),
            rule(0, "x"),
            *points(data, labels, x, y, "x", key=False),
        ]
        unit = "points" if METRICS[name].unit else "probability"
        size = {"width": (PAGE - 120) / 3, "height": 11 * len(labels)}
        charts.append(
            alt.layer(*layers).properties(title=f"{METRICS[name].title} ({unit})", **size)
        )
    return choice(alt.concat(*charts, columns=3), labels) if charts else None


def forgetting_utility(findings: Findings, group: Group) -> Chart | None:
    """Draw test accuracy against FT AUC."""
    runs, labels = _rows(findings, group)
    if RETRAIN not in labels or "ft_auc" not in runs:
        return None
    data = series.dots(runs, "ft_auc", "test_accuracy")
    x = alt.X("x:Q", title="FT AUC (%)", scale=FREE)
    y = alt.Y("y:Q", title="Test accuracy (%)", scale=FREE)
    layers = []
    for axis, name in (("x", "ft_auc"), ("y", "test_accuracy")):
        middle, reach = runs.loc[runs["label"] == RETRAIN, name].mean(), noise_band(runs, name)
        layers += [*band(middle - reach, middle + reach, axis), rule(middle, axis)]
    layers += points(data, labels, x, y, "xy")
    return choice(alt.layer(*layers).properties(**SIZE), labels)


def time_gap(findings: Findings, group: Group) -> Chart | None:
    """Draw the average gap against the time, a share of retraining's, and the best trade-offs."""
    runs, labels = _rows(findings, group)
    if RETRAIN not in labels or not runs["avg_gap"].notna().any():
        return None
    labels = [label for label in labels if label != ORIGINAL]
    data = series.dots(runs[runs["label"] != ORIGINAL], "time_ratio", "avg_gap")
    data["x_low"] = data["x_low"].clip(lower=data["x"] / 10)  # the axis is logarithmic
    front = pd.DataFrame(series.pareto(data["x"].tolist(), data["y"].tolist()), columns=["x", "y"])
    x = alt.X(
        "x:Q",
        title="Time (share of retraining)",
        scale=alt.Scale(type="log"),
        axis=alt.Axis(
            format="~g", values=_decades(data["x_low"].min(), data["x_high"].max(), 1, 2, 5)
        ),
    )
    y = alt.Y("y:Q", title="Average gap to retrain (points)")
    line = alt.Chart(front).mark_line(color=GREY, strokeDash=[1, 2], strokeWidth=1)
    layers = [*band(0, noise_band(runs, "avg_gap"), "y"), line.encode(x=x, y=y)]
    layers += points(data, labels, x, y, "xy")
    return choice(alt.layer(*layers).properties(**SIZE), labels)


def confidences(findings: Findings, group: Group) -> Chart | None:
    """Draw densities of the true label's log-odds on all three sets, before and after."""
    methods = [label for label in _rows(findings, group)[1] if label != ORIGINAL]
    if not methods:
        return None
    data = series.densities(findings, group)
    low, high = data["x"].min(), data["x2"].max()
    ticks = [float(np.log(p / (1 - p))) for p in PROBABILITIES]
    axis = alt.Axis(
        values=[tick for tick in ticks if low < tick < high],
        labelExpr="format(1 / (1 + exp(-datum.value)), '.6~f')",
        labelOverlap=True,
        labelSeparation=6,
        grid=False,
    )
    scale = alt.Scale(domain=[low, high])
    x = alt.X("x:Q", title="Confidence in the true label", axis=axis, scale=scale)
    y = alt.Axis(tickCount=2, grid=False, title=None)
    base = alt.Chart().transform_filter(CHOSEN)
    step: Any = {"interpolate": "step-after", "strokeWidth": 1}
    layers: list[alt.Chart] = []
    if "retrain_low" in data:
        area = base.mark_area(interpolate="step-after", color="#888888", opacity=0.35)
        layers.append(area.encode(x=x, y=alt.Y("retrain_low:Q", axis=y), y2="retrain_high:Q"))
    if "before" in data:
        before = base.mark_line(color="#000000", **step | {"strokeWidth": 0.6})
        layers.append(before.encode(x=x, y=alt.Y("before:Q", axis=y)))
    coloured = colour(methods).legend(None)
    after = base.mark_line(**step).encode(x=x, y=alt.Y("after:Q", axis=y), color=coloured)
    tips = ["method", "part", alt.Tooltip("x", title="log-odds from", format=".1f")]
    tips += [alt.Tooltip(name, format=".1f") for name in ("before", "after") if name in data]
    pointed = base.properties(name=HOVER).mark_bar(opacity=0)
    hover = pointed.encode(x=x, x2="x2", y=alt.Y("after:Q", axis=y), tooltip=tips)
    layered = alt.layer(*layers, after, hover, data=data)
    header = alt.Header(labelAngle=0, labelAlign="left", title=None)
    faceted = layered.properties(width=(PAGE - 130) / 3, height=34).facet(
        row=alt.Row("method:N", sort=methods, header=header),
        column=alt.Column("part:N", sort=list(series.PARTS.values()), title=None),
    )
    return choice(faceted, methods)


def roc(findings: Findings, group: Group) -> Chart | None:
    """Draw RMIA's ROC curves, both axes logarithmic."""
    labels = _rows(findings, group)[1]
    data = series.roc(findings, group)
    if data.empty:
        return None
    lowest = float(min(data["x"].min(), data["y"].min()))
    log = alt.Scale(type="log", domain=[lowest, 100])
    ticks = alt.Axis(format="~g", values=_decades(lowest, 100, 1))
    x = alt.X("x:Q", title="False-positive rate (%)", scale=log, axis=ticks)
    y = alt.Y("y:Q", title="True-positive rate (%)", scale=log, axis=ticks)
    ends = pd.DataFrame({"x": [lowest, 100], "y": [lowest, 100]})
    guess = alt.Chart(ends).mark_line(color=GREY, strokeDash=[3, 2], strokeWidth=0.8)
    data["std"] = data["std"].clip(upper=data["y"] * 0.99)  # what is drawn must be above zero
    layers = [guess.encode(x=x, y=y), *lines(data, labels, x, y, dots=False)]
    return choice(alt.layer(*layers).properties(**SIZE | {"height": 170}), labels)


def auc_references(findings: Findings, group: Group) -> Chart | None:
    """Draw FT AUC against the number of reference models."""
    labels = _rows(findings, group)[1]
    data = series.references(findings, group)
    counts = sorted(data["x"].unique().tolist())
    if len(counts) < 2:
        return None
    scale, axis = alt.Scale(type="log", base=2), alt.Axis(values=counts, format="d")
    x = alt.X("x:Q", title="Reference models", scale=scale, axis=axis)
    y = alt.Y("y:Q", title="FT AUC (%)", scale=FREE)
    return choice(alt.layer(*lines(data, labels, x, y)).properties(**SIZE), labels)


def classes(findings: Findings, group: Group) -> Chart | None:
    """Draw how far accuracy is from retrain's, class by class."""
    labels = _rows(findings, group)[1]
    data = series.classes(findings, group)
    if data.empty:
        return None
    most = max(float(data["gap"].abs().quantile(0.98)), 1.0)
    shades = alt.Color(
        "gap:Q",
        scale=alt.Scale(scheme="blueorange", domain=[-most, most], domainMid=0, clamp=True),
        legend=alt.Legend(title="points", orient="right", gradientLength=60, titleFontSize=7),
    )
    x = alt.X("class:O", title="Class", axis=alt.Axis(labelAngle=0, labelOverlap=True))
    cells = alt.Chart().transform_filter(CHOSEN).mark_rect()
    tips = ["method", "part", "class:O", alt.Tooltip("gap:Q", format="+.1f")]
    y = alt.Y("method:N", sort=labels, title=None)
    layered = alt.layer(cells.encode(x=x, y=y, color=shades, tooltip=tips), data=data)
    size = {"width": (PAGE - 150) / 2, "height": 11 * len(labels)}
    faceted = layered.properties(**size).facet(column=alt.Column("part:N", title=None))
    return choice(faceted, labels)


def memorisation(findings: Findings, group: Group) -> Chart | None:
    """Draw forget accuracy and FT AUC by how much samples are memorised."""
    labels = _rows(findings, group)[1]
    charts = []
    for curve, name in (("decile_accuracy", "Forget accuracy (%)"), ("decile_auc", "FT AUC (%)")):
        data = series.curves(findings, group, curve)
        if data["x"].nunique() < 2:
            return None
        axis = alt.Axis(labelAngle=0)
        x = alt.X("x:O", title="Forget samples, least to most memorised", axis=axis)
        y = alt.Y("y:Q", title=name, scale=FREE)
        size = {"width": (PAGE - 80) / 2, "height": 140}
        charts.append(alt.layer(*lines(data, labels, x, y)).properties(**size))
    return choice(alt.concat(*charts, columns=2), labels)


def adversarial_distances(findings: Findings, group: Group) -> Chart | None:
    """Draw which share of the forget samples flips within which distance."""
    data = series.distances(findings, group)
    if data.empty:
        return None
    labels = list(dict.fromkeys(data["method"]))
    x = alt.X("x:Q", title="l2 distance of the adversarial example")
    y = alt.Y("y:Q", title="Forget samples that flip (%)")
    drawn = alt.layer(*lines(data, labels, x, y, dots=False))
    return choice(drawn.properties(**SIZE | {"height": 130}), labels)


def after_requests(findings: Findings, group: Group) -> Chart | None:
    """Draw metrics after each request of a sequence, once, with the last one's tables."""
    last = findings.benchmark.forget.requests
    if last == 1 or group[2] != last:
        return None
    labels = _rows(findings, group)[1]
    charts = []
    for name, data in series.requests(findings, group, AFTER_REQUESTS).items():
        x = alt.X("x:O", title="Request", axis=alt.Axis(labelAngle=0))
        y = alt.Y("y:Q", title=series.title(name), scale=FREE)
        size = {"width": (PAGE - 80) / 2, "height": 120}
        charts.append(alt.layer(*lines(data, labels, x, y)).properties(**size))
    return choice(alt.concat(*charts, columns=2), labels) if charts else None


def _decades(low: float, high: float, *steps: int) -> list[float]:
    """Return what a logarithmic axis is labelled with: steps times powers of ten."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    return [float(f"{step}e{power}") for power in powers for step in steps]


def _rows(findings: Findings, group: Group) -> tuple[pd.DataFrame, list[str]]:
    """Return the runs that figures show, and the order of their rows."""
    runs = compared(select(findings.runs, group))
    return runs, list(dict.fromkeys(runs["label"]))
