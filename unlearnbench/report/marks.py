"""What charts are put together from: points with spreads, lines, grey bands."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from unlearnbench.plan import RETRAIN
from unlearnbench.report.style import looks

Chart = alt.LayerChart | alt.ConcatChart | alt.FacetChart

SHOWN = "shown"
"""The parameter that holds the methods to be drawn; the page sets it."""
HOVER = "hover"
"""The name of layers that only a pointer finds: they are left out of print."""
GREY = "#777777"
CHOSEN = f"indexof({SHOWN}, datum.method) >= 0"


def choice(chart: Chart, labels: Sequence[str]) -> Chart:
    """Let the methods that are drawn be chosen; all of them to begin with."""
    chosen: Chart = chart.add_params(alt.param(name=SHOWN, value=list(labels)))
    return chosen


def colour(labels: Sequence[str]) -> alt.Color:
    """Give every method its colour, hidden or not."""
    colours = [one for one, _ in looks(labels).values()]
    scale = alt.Scale(domain=list(labels), range=colours)
    return alt.Color("method:N", scale=scale, legend=_legend(labels))


def shape(labels: Sequence[str]) -> alt.Shape:
    """Give every method its shape."""
    shapes = [one for _, one in looks(labels).values()]
    scale = alt.Scale(domain=list(labels), range=shapes)
    return alt.Shape("method:N", scale=scale, legend=_legend(labels))


def _legend(labels: Sequence[str]) -> alt.Legend:
    return alt.Legend(columns=4, values=alt.ExprRef(SHOWN))


def band(low: float, high: float, axis: str) -> list[alt.Chart]:
    """Draw a grey band from low to high across an axis; nothing where it is not known."""
    if not np.isfinite([low, high]).all():
        return []
    data = pd.DataFrame({"low": [low], "high": [high]})
    across = alt.Chart(data).mark_rect(color="#888888", opacity=0.25)
    if axis == "x":
        return [across.encode(x="low:Q", x2="high:Q")]
    return [across.encode(y="low:Q", y2="high:Q")]


def rule(value: float, axis: str) -> alt.Chart:
    """Draw a dashed line across an axis."""
    drawn = alt.Chart(pd.DataFrame({"at": [value]}))
    line = drawn.mark_rule(color=GREY, strokeDash=[3, 2], strokeWidth=0.7)
    return line.encode(x="at:Q") if axis == "x" else line.encode(y="at:Q")


def points(
    data: pd.DataFrame,
    labels: Sequence[str],
    x: alt.X,
    y: alt.Y,
    spreads: str,
    *,
    key: bool = True,
) -> list[alt.Chart]:
    """Draw a shape a method, with the spread along each axis named in `spreads`.

    data: columns method and tip, and of each axis <axis>_low and <axis>_high; key: with a legend.
    """
    tint, form = colour(labels), shape(labels)
    if not key:
        tint, form = tint.legend(None), form.legend(None)
    chosen = alt.Chart(data).transform_filter(CHOSEN)
    bars = chosen.mark_rule(strokeWidth=0.8)
    layers = []
    if "x" in spreads:
        ends = {"x": alt.X("x_low:Q", title=x["title"]), "x2": "x_high:Q"}
        layers.append(bars.encode(y=y, color=tint, **ends))
    if "y" in spreads:
        ends = {"y": alt.Y("y_low:Q", title=y["title"]), "y2": "y_high:Q"}
        layers.append(bars.encode(x=x, color=tint, **ends))
    dots = chosen.mark_point(filled=True, size=34, opacity=1)
    layers.append(dots.encode(x=x, y=y, tooltip=["method", "tip"], color=tint, shape=form))
    return layers


def lines(
    data: pd.DataFrame, labels: Sequence[str], x: alt.X, y: alt.Y, *, dots: bool = True
) -> list[alt.Chart]:
    """Draw a line a method, and how far single retrains lie from their mean.

    data: columns method, x, y, std and tip.
    """
    retrain = data[data["method"] == RETRAIN]
    low, high = (retrain["y"] + sign * retrain["std"] for sign in (-1, 1))
    retrain = retrain.assign(low=low.clip(lower=0), high=high.clip(upper=100))  # all in percent
    chosen = alt.Chart(data).transform_filter(CHOSEN)
    layers = []
    if len(retrain):
        area = alt.Chart(retrain).mark_area(color="#888888", opacity=0.25, clip=True)
        layers.append(area.encode(x=x, y=alt.Y("low:Q", title=y["title"]), y2="high:Q"))
    plain = {"x": x, "y": y, "color": colour(labels)}
    layers.append(chosen.mark_line(strokeWidth=1.2).encode(**plain))
    if dots:
        marks = chosen.mark_point(filled=True, size=20, opacity=1)
        plain["shape"] = shape(labels)
    else:
        marks = chosen.properties(name=HOVER).mark_point(filled=True, size=30, opacity=0)
    return [*layers, marks.encode(tooltip=["method", "tip"], **plain)]
