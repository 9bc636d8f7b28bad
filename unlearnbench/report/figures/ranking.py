"""Figures of ranks: the rank map, and mean ranks with their critical difference."""

from __future__ import annotations

import pandas as pd

from unlearnbench.report.figures.figure import Figure, figure
from unlearnbench.report.figures.marks import (
    CHOSEN,
    GREY,
    TIPS,
    Spec,
    axis,
    chart,
    choice,
    colour,
    shape,
    unit,
    values,
)
from unlearnbench.report.figures.style import PAGE

STEP = 14
"""Points between two lines of the diagram."""
BAR = 0.4
"""Lines between two bars above it."""


def rank_map_figure(ranks: pd.DataFrame) -> Figure:
    """Draw the rank of each method in each setting; ranks: a row a setting, a column a method."""
    order = [str(label) for label in ranks.mean().sort_values(kind="stable").index]
    long = ranks.rename_axis("setting").reset_index()
    long = long.melt("setting", var_name="method", value_name="rank")
    settings = list(ranks.index)
    x = axis("method", None, kind="nominal", sort=order, axis={"labelAngle": -40})
    y = axis("setting", None, kind="nominal", sort=settings, axis={"labelLimit": 220})
    rank = {"field": "rank", "type": "quantitative"}
    shade = rank | {"scale": {"scheme": "blues", "reverse": True}, "legend": None}
    tips = [{"field": "method"}, {"field": "setting"}, rank]
    dark = {"test": f"datum.rank <= {ranks.shape[1] / 3}", "value": "#ffffff"}
    ink = {"condition": dark, "value": "#222222"}
    layers = [
        unit("rect", {"x": x, "y": y, "color": shade, "tooltip": tips}),
        unit("text", {"x": x, "y": y, "text": rank | {"format": "~g"}, "color": ink}, fontSize=7),
    ]
    drawn = chart(layers, 28 * len(order), 20 * len(settings), data=values(long), transform=CHOSEN)
    caption = "Rank of each method in each setting; 1 is nearest to retrain."
    return figure("rank-map", "Rank map", caption, choice({"concat": [drawn]}, order))


def diagram(means: pd.Series[float], bars: list[tuple[float, float]], apart: float) -> Figure:
    """Draw mean ranks on a line, with bars over methods that do not differ.

    means: in order; bars: from and to which mean rank; apart: the critical difference.
    """
    labels = [str(label) for label in means.index]
    lowest, highest = -BAR * (len(bars) + 1), len(labels) + 1
    x = axis(
        "x",
        "Mean rank (1 is nearest to retrain)",
        scale={"domain": [1, len(labels)], "nice": False},
        axis={"orient": "top", "tickCount": len(labels), "format": "d"},
    )
    scale = {"reverse": True, "domain": [lowest, highest], "nice": False}
    y = axis("line", None, axis=None, scale=scale)
    tint = colour(labels, key=False)
    place = {"x": x, "y": y}
    dots = place | {"color": tint, "shape": shape(labels, key=False), "tooltip": TIPS}
    methods = pd.DataFrame(
        {
            "method": labels,
            "x": means.to_numpy(),
            "line": range(len(labels), 0, -1),  # so that no stem crosses a name to its left
            "tip": [f"{mean:.2f}" for mean in means],
        }
    )
    layers = [
        unit("rule", place | {"y2": {"datum": 0}, "color": tint}, strokeWidth=0.7),
        unit("point", dots, filled=True, size=34, opacity=1),
        unit("text", place | {"text": {"field": "method"}}, align="left", dx=7, fontSize=7),
    ]
    drawn: list[Spec] = [{"data": values(methods), "transform": CHOSEN, "layer": layers}]
    if bars:
        ends = pd.DataFrame(bars, columns=["x", "x2"])
        ends["line"] = [-BAR * (number + 1) for number in range(len(bars))]
        encoding = place | {"x2": {"field": "x2"}}
        drawn.append(
            {"data": values(ends)} | unit("rule", encoding, strokeWidth=3, color=GREY, aria=False)
        )
    caption = (
        "Mean rank over settings. Grey bars join methods that cannot be told apart: their mean"
        f" ranks are less than {apart:.2f} apart (Nemenyi, 5 %)."
    )
    spec = {"concat": [chart(drawn, PAGE - 100, STEP * (len(labels) + 2))]}
    return figure("critical-difference", "Critical differences", caption, choice(spec, labels))
