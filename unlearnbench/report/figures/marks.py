"""What charts are put together from, as parts of Vega-Lite: points with spreads, lines, bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from unlearnbench.evaluation.findings import lines as rows_of
from unlearnbench.planning.plan import RETRAIN
from unlearnbench.report.figures.style import looks

Spec = dict[str, Any]

SHOWN = "shown"
"""The parameter that holds the methods to be drawn; the page sets it."""
HOVER = "hover"
"""The name of layers that only a pointer finds: they are left out of print."""
GREY = "#777777"
SHADE: Spec = {"color": "#888888", "opacity": 0.25, "clip": True, "aria": False}
LINES: Spec = {"domain": {"expr": SHOWN}}
"""A line for each method that is drawn, in every panel, whether or not it has a value there."""
CHOSEN = [{"filter": f"indexof({SHOWN}, datum.method) >= 0"}]
DASHED: Spec = {"color": GREY, "strokeDash": [3, 2], "strokeWidth": 0.7, "aria": False}
TIPS = [{"field": "method"}, {"field": "tip", "title": "mean"}]


def chart(layers: Sequence[Spec], width: float, height: float, **more: Any) -> Spec:
    """Lay layers over each other."""
    return {"layer": list(layers), "width": round(width), "height": height, **more}


def unit(kind: str, encoding: Mapping[str, Any], **style: Any) -> Spec:
    """Make a single layer of one mark."""
    return {"mark": {"type": kind, **style}, "encoding": encoding}


def choice(spec: Spec, labels: Sequence[str]) -> Spec:
    """Let the methods that are drawn be chosen; all of them to begin with."""
    return spec | {"params": [{"name": SHOWN, "value": list(labels)}]}


def values(frame: pd.DataFrame) -> Spec:
    """Put a frame's rows into a specification."""
    return {"values": rows_of(frame)}


def axis(field: str, title: str | None, *, kind: str = "quantitative", **more: Any) -> Spec:
    """Place a field along an axis; numbers need not begin at zero."""
    scale = {"zero": False} if kind == "quantitative" else {}
    return {"field": field, "type": kind, "title": title, "scale": scale} | more


def colour(labels: Sequence[str], *, key: bool = True) -> Spec:
    """Give every method its colour, hidden or not; key: with a legend."""
    return _of_method(labels, [one for one, _ in looks(labels).values()], key=key)


def shape(labels: Sequence[str], *, key: bool = True) -> Spec:
    """Give every method its shape."""
    return _of_method(labels, [one for _, one in looks(labels).values()], key=key)


def _of_method(labels: Sequence[str], range_: list[str], *, key: bool) -> Spec:
    legend = {"columns": 4, "values": {"expr": SHOWN}} if key else None
    scale = {"domain": list(labels), "range": range_}
    return {"field": "method", "type": "nominal", "scale": scale, "legend": legend}


def band(low: float, high: float, along: str) -> list[Spec]:
    """Draw a grey band from low to high of an axis; nothing where it is not known."""
    if not np.isfinite([low, high]).all():
        return []
    ends = {along: {"datum": float(low)}, f"{along}2": {"datum": float(high)}}
    return [{"data": {"values": [{}]}} | unit("rect", ends, **SHADE)]


def rule(value: float, along: str) -> Spec:
    """Draw a dashed line across an axis."""
    return {"data": {"values": [{}]}} | unit("rule", {along: {"datum": float(value)}}, **DASHED)


def decades(low: float, high: float, *steps: int) -> list[float]:
    """Return what a logarithmic axis is labelled with: steps times powers of ten."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    return [float(f"{step}e{power}") for power in powers for step in steps]


def points(
    frame: pd.DataFrame,
    labels: Sequence[str],
    x: Spec,
    y: Spec,
    spreads: str,
    *,
    key: bool = True,
    clip: bool = False,
) -> list[Spec]:
    """Draw a shape a method, with the spread along each axis named in `spreads`.

    frame: columns method and tip, and of each axis <axis>_low and <axis>_high; key: with a legend;
    clip: draw nothing outside the axes.
    """
    tint = colour(labels, key=key)
    made: list[Spec] = []
    for along in spreads:
        ends: Spec = {"x": x, "y": y, "color": tint, "tooltip": TIPS}
        ends[along] = ends[along] | {"field": f"{along}_low"}
        ends[f"{along}2"] = {"field": f"{along}_high"}
        made.append(unit("rule", ends, strokeWidth=0.8, clip=clip))
    encoding = {"x": x, "y": y, "color": tint, "shape": shape(labels, key=key), "tooltip": TIPS}
    made.append(unit("point", encoding, filled=True, size=34, opacity=1, clip=clip))
    return [{"data": values(frame), "transform": CHOSEN, "layer": made}]


def beyond(frame: pd.DataFrame, labels: Sequence[str], x: Spec, y: Spec) -> list[Spec]:
    """Draw methods that lie outside the axes: a hollow shape, and an arrow to where it would be.

    frame: as `series.beyond` returns it.
    """
    if frame.empty:
        return []
    tint = {"color": colour(labels), "tooltip": TIPS}
    arrows = tint | {"x": x, "y": y, "text": {"field": "arrow"}}
    inside = {"x": x | {"field": "mark_x"}, "y": y | {"field": "mark_y"}}
    marked = tint | inside | {"shape": shape(labels)}
    layers = [
        unit("text", arrows, fontSize=9),
        unit("point", marked, filled=False, size=34, strokeWidth=1, opacity=1),
    ]
    return [{"data": values(frame), "transform": CHOSEN, "layer": layers}]


def lines(
    frame: pd.DataFrame, labels: Sequence[str], x: Spec, y: Spec, *, dots: bool = True
) -> list[Spec]:
    """Draw a line a method, and how far single retrains lie from their mean.

    frame: columns method, x, y, std and tip; y and std in percent or points.
    """
    made: list[Spec] = []
    retrain = frame[frame["method"] == RETRAIN]
    if len(retrain):
        low, high = (retrain["y"] + sign * retrain["std"] for sign in (-1, 1))
        shaded = retrain[["x"]].assign(low=low.clip(lower=0), high=high.clip(upper=100))
        ends = {"x": x, "y": y | {"field": "low"}, "y2": {"field": "high"}}
        made.append({"data": values(shaded)} | unit("area", ends, **SHADE))
    plain: Mapping[str, Any] = {"x": x, "y": y, "color": colour(labels)}
    drawn = [unit("line", plain, strokeWidth=1.2)]
    pointed = {"tooltip": TIPS, **plain}
    if dots:
        shaped = pointed | {"shape": shape(labels)}
        drawn.append(unit("point", shaped, filled=True, size=20, opacity=1))
    else:
        drawn.append({"name": HOVER} | unit("point", pointed, filled=True, size=30, opacity=0))
    return [*made, {"data": values(frame), "transform": CHOSEN, "layer": drawn}]
