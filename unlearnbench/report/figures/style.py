"""How figures look: one colour and one shape a method, everywhere; sizes of a printed page."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle
from typing import Any

STAR = (
    "M0,-1L0.24,-0.32L0.95,-0.31L0.38,0.12L0.59,0.81L0,0.4L-0.59,0.81L-0.38,0.12L-0.95,-0.31"
    "L-0.24,-0.32Z"
)

# Okabe and Ito's palette, told apart by colour-blind readers; the shape tells them apart in print.
FIXED = {
    "original": ("#000000", "square"),
    "retrain": ("#777777", "cross"),
    "held-out retrain": ("#AAAAAA", "M-1,-0.5L0,-1L1,-0.5L1,0.5L0,1L-1,0.5Z"),
    "ft": ("#56B4E9", "circle"),
    "rl": ("#E69F00", "triangle-down"),
    "ga": ("#CC79A7", "triangle-up"),
    "salun": ("#0072B2", "diamond"),
    "l1-sparse": ("#B8A600", "M0,-1L0.95,-0.31L0.59,0.81L-0.59,0.81L-0.95,-0.31Z"),
    "amun": ("#D55E00", STAR),
    "amun-closest": ("#AA4466", "triangle-left"),
    "amun-salun": ("#6655CC", "triangle-right"),
    "amun-adaptive": (
        "#009E73",
        "M-0.7,-1L0,-0.3L0.7,-1L1,-0.7L0.3,0L1,0.7L0.7,1L0,0.3L-0.7,1L-1,0.7L-0.3,0L-1,-0.7Z",
    ),
    "boundary-shrink": ("#8B4513", "M-1,-1L1,-1L1,-0.3L-0.3,-0.3L-0.3,1L-1,1Z"),
    "neggrad-plus": ("#332288", "M-0.4,-1L0.4,-1L0.4,1L-0.4,1Z"),
    "scrub": ("#117733", "M-1,0A1,1,0,0,1,1,0Z"),
    "sfron": ("#661100", "M-1,0A1,1,0,0,0,1,0Z"),
    "ssd": ("#44AA99", "M0,-1L1,0.4L0.4,1L0,0.5L-0.4,1L-1,0.4Z"),
    "influence": ("#CC6677", "M-1,-1L-0.3,-1L-0.3,0.3L1,0.3L1,1L-1,1Z"),
    "bad-teacher": ("#888800", "M-1,-0.6L1,-0.6L0.5,0.6L-0.5,0.6Z"),
    "delete": ("#4477AA", "M-0.5,-0.6L0.5,-0.6L1,0.6L-1,0.6Z"),
}
MEASURES = ("original", "retrain", "held-out retrain")
"""What methods are seen against, whose looks no method borrows."""
SPARE = [
    ("#AA4499", "M-1,-1L1,-1L0,0L1,1L-1,1L0,0Z"),
    ("#228855", "M-1,-1L0,0L1,-1L1,1L0,0L-1,1Z"),
    ("#999933", "M-1,-0.4L1,-0.4L1,0.4L-1,0.4Z"),
]

COLUMN, PAGE = 241, 504
"""Width of a column and of the text of a two-column article, in points."""
SINGLE = COLUMN - 46
"""Width of axes in a column."""

CONFIG: dict[str, Any] = {
    "font": "Liberation Sans, Arial, Helvetica, sans-serif",
    "background": "white",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 7,
        "titleFontSize": 7.5,
        "titleFontWeight": "normal",
        "titlePadding": 4,
        "gridColor": "#888888",
        "gridOpacity": 0.25,
        "gridWidth": 0.5,
        "domainColor": "#888888",
        "tickColor": "#888888",
        "tickSize": 3,
        "labelFlush": False,
    },
    "legend": {
        "title": None,
        "orient": "bottom",
        "labelFontSize": 7,
        "symbolSize": 36,
        "columnPadding": 8,
        "rowPadding": 1,
        "padding": 0,
        "offset": 6,
    },
    "header": {"title": None, "labelFontSize": 7.5, "labelPadding": 3},
    "title": {"fontSize": 7.5, "fontWeight": "normal", "offset": 4},
    "concat": {"spacing": 12},
    "facet": {"spacing": 6},
}


def looks(labels: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Give each label its colour and shape.

    Labels without a fixed one take spares, then those of methods that are not there; by name, so
    that they look the same wherever the same ones are, in whatever order.
    """
    labels = list(dict.fromkeys(labels))
    absent = [look for name, look in FIXED.items() if name not in {*labels, *MEASURES}]
    free = sorted(set(labels) - FIXED.keys())
    taken = FIXED | dict(zip(free, cycle([*SPARE, *absent]), strict=False))
    return {label: taken[label] for label in labels}
