"""How each figure is drawn, in Vega-Lite; None where there is nothing to draw."""

from __future__ import annotations

import numpy as np
import pandas as pd

from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.settings import Group
from unlearnbench.metrics.compute import METRICS
from unlearnbench.metrics.gaps import noise_band
from unlearnbench.planning.plan import ORIGINAL, RETRAIN
from unlearnbench.report.figures import series
from unlearnbench.report.figures.marks import (
    CHOSEN,
    DASHED,
    HOVER,
    LINES,
    SHADE,
    Spec,
    axis,
    band,
    chart,
    choice,
    colour,
    decades,
    lines,
    points,
    rule,
    values,
)
from unlearnbench.report.figures.style import PAGE, SINGLE

PROBABILITIES = (0.000001, 0.001, 0.5, 0.999, 0.999999)
AFTER_REQUESTS = ("ft_auc", "fr_auc", "all_ft_auc", "all_fr_auc", "test_accuracy", "avg_gap")
CURVES = {"test": "Test accuracy (%)", "forget": "Forget accuracy (%)"}


def gaps(findings: Findings, group: Group) -> Spec | None:
    """Draw the signed gap of every metric to retrain, a dot a method."""
    runs, labels = series.shown(findings, group)
    drawn = []
    for place, (name, data) in enumerate(series.gaps(runs).items()):
        style = {"labels": place % 3 == 0, "ticks": False, "domain": False, "grid": True}
        y = axis("method", None, kind="nominal", scale=LINES, axis=style)
        x = axis("x", None, axis={"tickCount": 5})
        reach = noise_band(runs, name)
        dots = points(data, labels, x, y, "x", key=False)
        layers = [*band(-reach, reach, "x"), rule(0, "x"), *dots]
        unit = "points" if METRICS[name].unit else "probability"
        title = f"{METRICS[name].title} ({unit})"
        drawn.append(chart(layers, (PAGE - 120) / 3, 11 * len(labels), title=title))
    return choice({"concat": drawn, "columns": 3}, labels) if drawn else None


def confidences(findings: Findings, group: Group) -> Spec | None:
    """Draw densities of the true label's log-odds on all three sets, before and after."""
    methods = [label for label in series.shown(findings, group)[1] if label != ORIGINAL]
    data = series.densities(findings, group)
    if data.empty or not methods:
        return None
    low, high = float(data["x"].min()), float(data["x2"].max())
    ticks = [float(np.log(p / (1 - p))) for p in PROBABILITIES]
    style = {
        "values": [tick for tick in ticks if low < tick < high],
        "labelExpr": "format(1 / (1 + exp(-datum.value)), '.6~f')",
        "labelOverlap": True,
        "labelSeparation": 6,
        "grid": False,
    }
    x = axis("x", "Confidence in the true label", scale={"domain": [low, high]}, axis=style)

    def y(field: str) -> Spec:
        return axis(field, None, scale={}, axis={"tickCount": 2, "grid": False})

    step = {"interpolate": "step-after"}
    layers: list[Spec] = []
    if "retrain_low" in data:
        ends = {"x": x, "y": y("retrain_low"), "y2": {"field": "retrain_high"}}
        layers.append({"mark": {"type": "area", **SHADE, **step}, "encoding": ends})
    if "before" in data:
        mark = {"type": "line", "color": "#000000", "strokeWidth": 0.6, **step}
        layers.append({"mark": mark, "encoding": {"x": x, "y": y("before")}})
    tint = {"x": x, "y": y("after"), "color": colour(methods, key=False)}
    layers.append({"mark": {"type": "line", "strokeWidth": 1, **step}, "encoding": tint})
    tips: list[Spec] = [{"field": "method"}, {"field": "part", "title": "set"}]
    tips += [{"field": "x", "title": "log-odds from", "type": "quantitative"}]
    tips += [
        {"field": name, "format": ".1f", "type": "quantitative", "title": f"{name} (%)"}
        for name in ("before", "after")
        if name in data
    ]
    hover = {"x": x, "x2": {"field": "x2"}, "y": y("after"), "tooltip": tips}
    layers.append({"name": HOVER, "mark": {"type": "bar", "opacity": 0}, "encoding": hover})
    header = {"labelAngle": 0, "labelAlign": "left", "title": None}
    parts = list(series.PARTS.values())
    facet = {
        "row": {"field": "method", "type": "nominal", "sort": methods, "header": header},
        "column": {"field": "part", "type": "nominal", "sort": parts, "title": None},
    }
    inner = chart(layers, (PAGE - 130) / 3, 34)
    faceted = {"data": values(data), "transform": CHOSEN, "facet": facet, "spec": inner}
    return choice(faceted, methods)


def roc(findings: Findings, group: Group) -> Spec | None:
    """Draw RMIA's ROC curves, both axes logarithmic."""
    labels = series.shown(findings, group)[1]
    data = series.roc(findings, group)
    if data.empty:
        return None
    lowest = float(min(data["x"].min(), data["y"].min()))
    log = {"type": "log", "domain": [lowest, 100]}
    style = {"format": "~g", "values": decades(lowest, 100, 1)}
    x = axis("x", "False-positive rate (%)", scale=log, axis=style)
    y = axis("y", "True-positive rate (%)", scale=log, axis=style)
    ends = pd.DataFrame({"x": [lowest, 100], "y": [lowest, 100]})
    guess = {"data": values(ends), "mark": {"type": "line", **DASHED}, "encoding": {"x": x, "y": y}}
    data["std"] = data["std"].clip(upper=data["y"] * 0.99)  # what is drawn must be above zero
    layers = [guess, *lines(data, labels, x, y, dots=False)]
    return choice(chart(layers, SINGLE, 170), labels)


def auc_references(findings: Findings, group: Group) -> Spec | None:
    """Draw FT AUC against the number of reference models."""
    labels = series.shown(findings, group)[1]
    data = series.references(findings, group)
    counts = sorted(data["x"].unique().tolist())
    if len(counts) < 2:
        return None
    style = {"values": counts, "format": "d"}
    x = axis("x", "Reference models", scale={"type": "log", "base": 2}, axis=style)
    return choice(chart(lines(data, labels, x, axis("y", "FT AUC (%)")), SINGLE, 150), labels)


def classes(findings: Findings, group: Group) -> Spec | None:
    """Draw how far accuracy is from retrain's, class by class."""
    labels = series.shown(findings, group)[1]
    data = series.classes(findings, group)
    if data.empty:
        return None
    most = max(float(data["gap"].abs().quantile(0.98)), 1.0)
    scale = {"scheme": "blueorange", "domain": [-most, most], "domainMid": 0, "clamp": True}
    legend = {"title": "points", "orient": "right", "gradientLength": 60, "titleFontSize": 7}
    tips = [{"field": name} for name in ("method", "part", "class")]
    gap: Spec = {"field": "gap", "type": "quantitative"}
    style = {"labelAngle": 0, "labelOverlap": True}
    encoding = {
        "x": axis("class", "Class", kind="ordinal", axis=style),
        "y": axis("method", None, kind="nominal", sort=labels),
        "color": gap | {"scale": scale, "legend": legend},
        "tooltip": [*tips, gap | {"format": "+.1f"}],
    }
    cells = {"mark": {"type": "rect"}, "encoding": encoding}
    inner = chart([cells], (PAGE - 150) / 2, 11 * len(labels))
    facet = {"column": {"field": "part", "type": "nominal", "title": None}}
    faceted = {"data": values(data), "transform": CHOSEN, "facet": facet, "spec": inner}
    return choice(faceted, labels)


def memorisation(findings: Findings, group: Group) -> Spec | None:
    """Draw forget accuracy and FT AUC by how much samples are memorised."""
    labels = series.shown(findings, group)[1]
    drawn = []
    for curve, name in (("decile_accuracy", "Forget accuracy (%)"), ("decile_auc", "FT AUC (%)")):
        data = series.curves(findings, group, curve)
        if data["x"].nunique() < 2:
            return None
        title = "Forget samples, least to most memorised"
        x = axis("x", title, kind="ordinal", axis={"labelAngle": 0})
        drawn.append(chart(lines(data, labels, x, axis("y", name)), (PAGE - 80) / 2, 140))
    return choice({"concat": drawn, "columns": 2}, labels)


def adversarial_distances(findings: Findings, group: Group) -> Spec | None:
    """Draw which share of the forget samples flips within which distance."""
    data = series.distances(findings, group)
    if data.empty:
        return None
    labels = list(dict.fromkeys(data["method"]))
    x = axis("x", "l2 distance of the adversarial example")
    y = axis("y", "Forget samples that flip (%)")
    return choice(chart(lines(data, labels, x, y, dots=False), SINGLE, 130), labels)


def final_radii(findings: Findings, group: Group) -> Spec | None:
    """Draw up to which radius the search had to go for how many of the forget samples."""
    data = series.radii(findings, group)
    if data.empty:
        return None
    labels = list(dict.fromkeys(data["method"]))
    style = {"values": sorted(data["x"].unique().tolist()), "format": "~g"}
    x = axis("x", "Radius at which the label flipped", scale={"type": "log", "base": 2}, axis=style)
    y = axis("y", "Forget samples (%)", scale={"zero": True})
    return choice(chart(lines(data, labels, x, y), SINGLE, 130), labels)


def after_requests(findings: Findings, group: Group) -> Spec | None:
    """Draw metrics after each request of a sequence, once, with the last one's tables."""
    last = findings.benchmark.forget.requests
    if last == 1 or group[2] != last:
        return None
    labels = series.shown(findings, group)[1]
    drawn = []
    for name, data in series.requests(findings, group, AFTER_REQUESTS).items():
        x = axis("x", "Request", kind="ordinal", axis={"labelAngle": 0})
        y = axis("y", series.title(name))
        drawn.append(chart(lines(data, labels, x, y), (PAGE - 80) / 2, 120))
    return choice({"concat": drawn, "columns": 2}, labels) if drawn else None


def after_epochs(findings: Findings, group: Group) -> Spec | None:
    """Draw accuracies after each epoch of unlearning, where they were noted."""
    runs, every = series.shown(findings, group)
    labels = [label for label in every if label not in (ORIGINAL, RETRAIN)]
    drawn = []
    for name, title in CURVES.items():
        data = series.epochs(findings, group, f"{name}_accuracy")
        if data.empty:
            return None
        labels = [label for label in labels if label in set(data["method"])]
        style = {"tickMinStep": 1, "format": "d"}
        x = axis("x", "Epoch", axis=style)
        middle = runs.query("label == @RETRAIN")[f"{name}_accuracy"].mean()
        layers = [rule(middle, "y"), *lines(data, labels, x, axis("y", title))]
        drawn.append(chart(layers, (PAGE - 80) / 2, 160))
    return choice({"concat": drawn, "columns": 2}, labels)
