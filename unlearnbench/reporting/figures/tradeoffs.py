"""What is gained against what is lost, a point a method."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from unlearnbench.evaluation.findings import Condition
from unlearnbench.planning.plan import ORIGINAL, REFERENCE_ROWS, RETRAIN
from unlearnbench.reporting.figures import drawing
from unlearnbench.reporting.figures.figure import Figure, figure, mean_and_spread

MARGIN = 0.06
"""Share of what is seen that is left free around it."""
INWARD = 0.045
"""Share of an axis between an arrow at its end and the shape beside it."""
ARROWS = dict(zip(product((-1, 0, 1), repeat=2), "↙←↖↓ ↑↘→↗", strict=True))
"""By the signs of what is left to go along x and y."""

Ends = tuple[float, float]


@figure
class ForgettingUtility(Figure):
    """Draw test accuracy against FT AUC, where methods that are ranked lie."""

    title = "Forgetting against utility"
    caption = (
        "Test accuracy against FT AUC, mean and standard deviation over runs. Dashed: where retrain"
        " is; bands: how far from there it is by chance (95 %). Hollow: methods that are not"
        " ranked, with an arrow where they lie beyond the axes."
    )
    place = 20
    height, wide = 2.9, True
    named = True

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns method, n, ranked, and mean and spread of both metrics."""
        if RETRAIN not in subject.labels or "ft_auc" not in subject.runs:
            return None
        return means(subject, "ft_auc", "test_accuracy")

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw it, axes reaching as far as what is ranked."""
        seen = []
        for metric, span, line in (
            ("ft_auc", ax.axvspan, ax.axvline),
            ("test_accuracy", ax.axhspan, ax.axhline),
        ):
            middle = float(data.loc[data["method"] == RETRAIN, metric].iloc[0])
            reach = subject.band(metric)
            drawing.band(span, middle - reach, middle + reach, drawing.BY_CHANCE)
            line(middle, **drawing.DASHED)
            seen.append(window(data, metric, middle - reach, middle + reach))
        ax.locator_params(nbins=7)
        scatter(ax, subject, data, seen)
        ax.set(xlabel=drawing.axis_title("ft_auc"), ylabel=drawing.axis_title("test_accuracy"))


@figure
class TimeGap(Figure):
    """Draw the average gap against the time, a share of retraining's, and the best trade-offs.

    Where methods that are ranked lie; those with a larger gap are at the edge.
    """

    title = "Cost against distance to retrain"
    caption = (
        "Time, searches and masks included; mean and standard deviation over runs. Dotted: the best"
        " trade-offs, which no other method beats in both. Band: the average gap that a retrain has"
        " by chance (95 %). Hollow: methods that are not ranked, with an arrow where their gap lies"
        " beyond the axis."
    )
    place = 30
    height, wide = 2.9, True
    named = True

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns method, n, ranked, best, and mean and spread of time_ratio and avg_gap."""
        if RETRAIN not in subject.labels or not subject.runs["avg_gap"].notna().any():
            return None
        data = means(subject, "time_ratio", "avg_gap")
        data = data[(data["method"] != ORIGINAL) & data["time_ratio"].notna()]
        if data.empty:
            return None
        front = pareto(data["time_ratio"].tolist(), data["avg_gap"].tolist())
        points = zip(data["time_ratio"], data["avg_gap"], strict=True)
        return data.assign(best=[point in front for point in points])

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw it, time on a logarithmic axis."""
        times, reach = data["time_ratio"], subject.band("avg_gap")
        low = (times - data["time_ratio_std"]).clip(lower=times / 10)  # the axis is logarithmic
        ends = float(low.min()), float((times + data["time_ratio_std"]).max())
        ax.set_xscale("log")
        labelled = drawing.decades(*ends, 1, 2, 5)
        drawing.ticks(ax.xaxis, [at for at in labelled if ends[0] / 1.2 < at < ends[1] * 1.2])
        drawing.band(ax.axhspan, 0, reach, drawing.BY_CHANCE)
        front = data[data["best"]].sort_values("time_ratio")
        dotted = dict(drawing.DASHED, linestyle=(0, (1, 2)), label="best trade-offs")
        ax.plot(front["time_ratio"], front["avg_gap"], **dotted)
        top = window(data, "avg_gap", 0.0, reach)[1]
        scatter(ax, subject, data, [(ends[0] / 1.15, ends[1] * 1.15), (0.0, top)])
        ax.set(xlabel="Time (retraining = 1, log scale)", ylabel="Average gap to retrain (points)")


def means(subject: Condition, *metrics: str) -> pd.DataFrame:
    """Return mean and spread over runs of metrics, a row a method, and whether axes must show it.

    ranked: of ranked methods, and of what they are held to.
    """
    frame = mean_and_spread(subject.runs, *metrics)
    frame.insert(1, "n", frame["method"].map(subject.runs["label"].value_counts()))
    return with_ranked(subject, frame)


def with_ranked(subject: Condition, frame: pd.DataFrame) -> pd.DataFrame:
    """Note in `ranked` which rows axes must show: ranked methods, and what they are held to."""
    ranked = {*REFERENCE_ROWS, *subject.sound}
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


def scatter(ax: Axes, subject: Condition, data: pd.DataFrame, seen: Sequence[Ends]) -> None:
    """Draw a shape a method with its spreads; at the edge, hollow, what lies beyond the axes.

    data: as `means` returns it, the metric along x being the first one; seen: ends of both axes.
    """
    ax.set(xlim=seen[0], ylim=seen[1])
    points = data.drop(columns="ranked").itertuples(index=False)
    for ranked, (label, n, x, x_std, y, y_std, *_) in zip(data["ranked"], points, strict=True):
        (inside_x, inside_y), arrow = beyond((x, y), seen)
        if arrow:
            edge_x, edge_y = np.clip((x, y), *np.transpose(seen))
            pointed(ax, subject, label, edge_x, edge_y, arrow)
        drawing.stem(ax, subject, label, (x - x_std, x + x_std), (y, y))
        drawing.stem(ax, subject, label, (x, x), (y - y_std, y + y_std))
        said = f"{drawing.mean_text(x, x_std)}; {drawing.mean_text(y, y_std)} (n = {n})"
        drawing.point(ax, subject, label, inside_x, inside_y, said, hollow=not ranked)


def pointed(ax: Axes, subject: drawing.Subject, label: str, x: float, y: float, arrow: str) -> None:
    """Point from the edge of the axes to where a method lies."""
    style = {"color": drawing.look_of(subject, label).colour, "fontsize": 8}
    drawing.of_method(label, ax.text(x, y, arrow, style, ha="center", va="center"))


def beyond_line(at: float, seen: Ends) -> tuple[float, str]:
    """Return where on an axis a value is drawn, and the arrow to it if it lies beyond the ends."""
    (x, _), arrow = beyond((at, 0.0), (seen, (-1.0, 1.0)))
    return x, arrow


def beyond(at: Ends, seen: Sequence[Ends]) -> tuple[Ends, str]:
    """Return where a point is drawn, and the arrow to where it is if it lies beyond the axes."""
    low, high = np.transpose(seen)
    edge = np.clip(at, low, high)
    signs = np.sign(at - edge).astype(int)
    x, y = edge - signs * INWARD * (high - low)
    return (float(x), float(y)), ARROWS[signs[0], signs[1]].strip()
