"""What is gained against what is lost, a point a method."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from unlearnbench.evaluation.findings import Condition
from unlearnbench.planning.plan import HELD_OUT, ORIGINAL, RETRAIN
from unlearnbench.reporting.figures.drawing import (
    DASHED,
    axis_title,
    band,
    decades,
    few,
    mean_text,
    of_method,
    point,
    spread,
    tell,
    ticks,
)
from unlearnbench.reporting.figures.figure import Figure, figure
from unlearnbench.reporting.figures.style import looks

MARGIN = 0.06
"""Share of what is seen that is left free around it."""
INWARD = 0.045
"""Share of an axis between an arrow at its end and the shape beside it."""
ARROWS = dict(zip(product((-1, 0, 1), repeat=2), "↙←↖↓ ↑↘→↗", strict=True))
"""By the signs of what is left to go along x and y."""

Window = tuple[tuple[float, float], tuple[float, float]]
"""The ends of the x axis and of the y axis."""


@figure
class ForgettingUtility(Figure):
    """Draw test accuracy against FT AUC, where methods that are ranked lie."""

    name = "forgetting-utility"
    title = "Forgetting against utility"
    caption = (
        "Test accuracy against FT AUC, mean and standard deviation over runs. Grey: where retrain"
        " is, and how far from there it is by chance (95 %). Hollow, with an arrow: unranked"
        " methods that lie beyond the axes."
    )
    place = 20
    height = 2.1

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns method, n, ranked, and mean and spread of both metrics."""
        if RETRAIN not in subject.labels or "ft_auc" not in subject.runs:
            return None
        return means(subject, "ft_auc", "test_accuracy")

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw it, axes reaching as far as what is ranked."""
        ends = []
        for along, metric in zip("xy", ("ft_auc", "test_accuracy"), strict=True):
            middle = float(data.loc[data["method"] == RETRAIN, metric].iloc[0])
            reach = subject.band(metric)
            band(ax, middle - reach, middle + reach, along)
            (ax.axvline if along == "x" else ax.axhline)(middle, **DASHED)
            ends.append(window(data, metric, middle - reach, middle + reach))
            few(ax, along, 7)
        scatter(ax, subject, data, (ends[0], ends[1]))
        ax.set(xlabel=axis_title("ft_auc"), ylabel=axis_title("test_accuracy"))


@figure
class TimeGap(Figure):
    """Draw the average gap against the time, a share of retraining's, and the best trade-offs.

    Where methods that are ranked lie; those with a larger gap are at the edge.
    """

    name = "time-gap"
    title = "Cost against distance to retrain"
    caption = (
        "Time, searches and masks included; mean and standard deviation over runs. Dotted: the best"
        " trade-offs. Grey: the average gap that a retrain has by chance (95 %). Hollow, with an"
        " arrow: unranked methods with a larger gap."
    )
    place = 30
    height = 2.1

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns method, n, ranked, best, and mean and spread of time_ratio and avg_gap."""
        if RETRAIN not in subject.labels or not subject.runs["avg_gap"].notna().any():
            return None
        data = means(subject, "time_ratio", "avg_gap")
        data = data[data["method"] != ORIGINAL]
        front = pareto(data["time_ratio"].tolist(), data["avg_gap"].tolist())
        points = zip(data["time_ratio"], data["avg_gap"], strict=True)
        return data.assign(best=[point in front for point in points])

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw it, time on a logarithmic axis."""
        times, reach = data["time_ratio"], subject.band("avg_gap")
        low = (times - data["time_ratio_std"]).clip(lower=times / 10)  # the axis is logarithmic
        ends = float(low.min()), float((times + data["time_ratio_std"]).max())
        ax.set_xscale("log")
        ticks(ax, "x", [at for at in decades(*ends, 1, 2, 5) if ends[0] / 1.2 < at < ends[1] * 1.2])
        band(ax, 0, reach, "y")
        front = data[data["best"]].sort_values("time_ratio")
        (line,) = ax.plot(front["time_ratio"], front["avg_gap"], **DASHED)
        line.set_linestyle((0, (1, 2)))
        top = window(data, "avg_gap", 0.0, reach)[1]
        scatter(ax, subject, data, ((ends[0] / 1.15, ends[1] * 1.15), (0.0, top)))
        ax.set(xlabel="Time (share of retraining)", ylabel="Average gap to retrain (points)")


def means(subject: Condition, *metrics: str) -> pd.DataFrame:
    """Return mean and spread over runs of metrics, a row a method, and whether axes must show it.

    ranked: of ranked methods, and of what they are held to.
    """
    grouped = subject.runs.groupby("label", sort=False)
    frame = grouped.size().to_frame("n")
    for metric in metrics:
        frame[metric] = grouped[metric].mean()
        frame[f"{metric}_std"] = grouped[metric].std(ddof=1).fillna(0.0)
    frame = frame.rename_axis("method").reset_index().dropna(subset=list(metrics))
    ranked = {ORIGINAL, RETRAIN, HELD_OUT, *subject.sound}
    return frame.assign(ranked=frame["method"].isin(ranked))


def pareto(costs: Sequence[float], gaps: Sequence[float]) -> list[tuple[float, float]]:
    """Return the points that no other one beats in both, cheapest first; less is better."""
    front: list[tuple[float, float]] = []
    for cost, gap in sorted(zip(costs, gaps, strict=True)):
        if not front or gap < front[-1][1]:
            front.append((cost, gap))
    return front


def window(data: pd.DataFrame, metric: str, *others: float) -> tuple[float, float]:
    """Return the ends of an axis that shows what is ranked, its spreads and some other values."""
    seen = data[data["ranked"]]
    mean, std = seen[metric], seen[f"{metric}_std"]
    ends = [(mean - std).min(), (mean + std).max(), *others]
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
    free = MARGIN * (high - low) or 1.0
    return low - free, high + free


def scatter(ax: Axes, subject: Condition, data: pd.DataFrame, seen: Window) -> None:
    """Draw a shape a method with its spreads; at the edge, hollow, what lies beyond the axes.

    data: as `means` returns it, the metric along x being the first one.
    """
    ax.set(xlim=seen[0], ylim=seen[1])
    x, y = (str(name).removesuffix("_std") for name in data.filter(like="_std"))
    for row in data.to_dict("records"):
        label, at = row["method"], (row[x], row[y])
        half = (row[f"{x}_std"], row[f"{y}_std"])
        inside, arrow = beyond(at, seen)
        if arrow:
            edge_x, edge_y = np.clip(at, *np.transpose(seen))
            style = {"color": looks(subject.labels)[label].colour, "fontsize": 8}
            of_method(label, ax.text(edge_x, edge_y, arrow, style, ha="center", va="center"))
        spread(ax, subject, label, at, half)
        point(ax, subject, label, inside, hollow=bool(arrow))
        text = "; ".join(map(mean_text, at, half)) + f" (n = {row['n']})"
        tell(ax, label, [inside[0]], [inside[1]], [text])


def beyond(at: tuple[float, float], seen: Window) -> tuple[tuple[float, float], str]:
    """Return where a point is drawn, and the arrow to where it is if it lies beyond the axes."""
    places, signs = [], []
    for value, (low, high) in zip(at, seen, strict=True):
        edge = float(np.clip(value, low, high))
        signs.append(int(np.sign(value - edge)))
        places.append(edge - signs[-1] * INWARD * (high - low))
    return (places[0], places[1]), ARROWS[signs[0], signs[1]].strip()
