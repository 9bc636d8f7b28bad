"""What figures are put together from: shapes with spreads, lines, bands, and what hovering says."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter

from unlearnbench.metrics.metric import METRICS
from unlearnbench.planning.plan import RETRAIN
from unlearnbench.reporting.figures.style import GREY, SHADE, looks

METHOD = "method:"
"""Begins the id of a group that is of one method; pages hide it by that."""
DASHED: dict[str, Any] = {"color": GREY, "linestyle": (0, (3, 2)), "linewidth": 0.7}
SHADED: dict[str, Any] = {"color": SHADE, "alpha": 0.25, "linewidth": 0}
Point = tuple[float, float]
STEM = 0.7
"""Width of a spread's line, in points."""


class Tips(Artist):
    """Say what a pointer finds at the points of a method. Draws nothing."""

    def __init__(self, method: str, points: Iterable[Point], texts: Iterable[str]):
        """Keep points in the coordinates of the data, and a text for each."""
        super().__init__()
        self.method, self.points, self.texts = method, list(points), list(texts)

    def draw(self, renderer: Any) -> None:
        """Draw nothing."""


def of_method(label: str, *artists: Artist) -> None:
    """Mark artists as parts of a method, which are hidden with it."""
    for artist in artists:
        artist.set_gid(f"{METHOD}{label}")


def tell(
    ax: Axes, label: str, x: Iterable[float], y: Iterable[float], texts: Iterable[str]
) -> None:
    """Let hovering over points of a method say something."""
    ax.add_artist(Tips(label, zip(x, y, strict=True), texts))


def mean_text(mean: float, std: float, sign: str = "") -> str:
    """Write a mean with its spread."""
    return f"{mean:{sign}.2f} ±{std:.2f}"


def axis_title(name: str) -> str:
    """Name a metric with its unit, for an axis."""
    metric = METRICS[name]
    return f"{metric.title} ({metric.unit or 'probability'})"


class Subject(Protocol):
    """Know its rows and what they are called; a `Condition` does."""

    @property
    def labels(self) -> Sequence[str]:
        """Its rows."""
        ...

    def title(self, label: str) -> str:
        """Return the display name of a row."""
        ...


def key(figure: Figure, subject: Subject, labels: Sequence[str], columns: int) -> None:
    """Write below a figure which shape and colour is which method's."""
    chosen = looks(subject.labels)
    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, markersize=look.size, linewidth=0)
        for look in (chosen[label] for label in labels)
    ]
    titles = [subject.title(label) for label in labels]
    legend = figure.legend(handles, titles, loc="outside lower center", ncols=columns)
    for label, handle, text in zip(labels, legend.legend_handles, legend.get_texts(), strict=True):
        of_method(label, text, *([handle] if handle else []))


def names(ax: Axes, subject: Subject, labels: Sequence[str], first: float = 0.0) -> None:
    """Give each method a line along the y axis, the first one, at `first`, on top."""
    places = np.arange(len(labels)) + first
    ax.set_yticks(places, [subject.title(label) for label in labels])
    ax.tick_params(axis="y", length=0, labelleft=True, labelrotation=0)
    ax.set_ylim(places[-1] + 0.6, places[0] - 0.6)
    for label, text in zip(labels, ax.get_yticklabels(), strict=True):
        of_method(label, text)


def band(ax: Axes, low: float, high: float, along: str) -> None:
    """Shade from low to high of an axis; nothing where it is not known."""
    if np.isfinite([low, high]).all():
        span = ax.axvspan if along == "x" else ax.axhspan
        span(low, high, **SHADED)


def spread(ax: Axes, subject: Subject, label: str, at: Point, half: Sequence[float | None]) -> None:
    """Draw how far a method is spread around a point: half a line's length along x and along y."""
    for along, reach in enumerate(half):
        if reach is not None:
            ends = np.array([at, at], dtype=float)
            ends[:, along] += (-reach, reach)
            colour = looks(subject.labels)[label].colour
            of_method(label, *ax.plot(*ends.T, color=colour, linewidth=STEM))


def point(ax: Axes, subject: Subject, label: str, at: Point, *, hollow: bool = False) -> None:
    """Draw a method's shape; hollow: its outline only."""
    look = looks(subject.labels)[label]
    style: dict[str, Any] = {"color": look.colour, "marker": look.marker, "markersize": look.size}
    if hollow:
        style |= {"markerfacecolor": "none", "markeredgewidth": 0.8}
    of_method(label, *ax.plot(*at, label=subject.title(label), linestyle="", zorder=3, **style))


def lines(
    ax: Axes, subject: Subject, data: pd.DataFrame, x: str, y: str, *, dots: bool = True
) -> None:
    """Draw a line a method, and how far single retrains lie from their mean.

    data: columns method, x, y and <y>_std, in percent or points, if there is a spread.
    """
    import seaborn as sns  # takes seconds, and only lines and heat maps need it

    chosen = looks(subject.labels)
    std = f"{y}_std"
    retrain = data[data["method"] == RETRAIN]
    if len(retrain) and std in data:
        low, high = retrain[y] - retrain[std], retrain[y] + retrain[std]
        ax.fill_between(retrain[x], low.clip(lower=0), high.clip(upper=100), **SHADED)
    before = len(ax.lines)
    shapes: dict[str, Any] = {}
    if dots:
        markers = {label: look.marker for label, look in chosen.items()}
        shapes = {"style": "method", "markers": markers, "dashes": False}
    palette = {label: look.colour for label, look in chosen.items()}
    alone: dict[str, Any] = {"estimator": None, "errorbar": None, "legend": False}
    sns.lineplot(data, x=x, y=y, hue="method", palette=palette, ax=ax, **shapes, **alone)
    of_each = data.groupby("method", sort=False)
    for line, (name, own) in zip(ax.lines[before:], of_each, strict=True):
        label = str(name)
        of_method(label, line)
        line.set(label=subject.title(label), markersize=chosen[label].size, markeredgewidth=0)
        points = own[[x, y, std]] if std in own else own[[x, y]].assign(std=0.0)
        texts = [f"{at:g}: {mean_text(*mean)}" for at, *mean in points.itertuples(index=False)]
        tell(ax, label, own[x], own[y], texts)


def ticks(ax: Axes, along: str, values: Sequence[float]) -> None:
    """Put ticks at these values and nowhere else, written without an exponent where it is short."""
    axis = ax.xaxis if along == "x" else ax.yaxis
    axis.set_major_locator(FixedLocator(list(values)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))


def few(ax: Axes, along: str, count: int) -> None:
    """Put about so many ticks on an axis."""
    axis = ax.xaxis if along == "x" else ax.yaxis
    axis.set_major_locator(MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]))


def decades(low: float, high: float, *steps: int) -> list[float]:
    """Return what a logarithmic axis is labelled with: steps times powers of ten."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    return [float(f"{step}e{power}") for power in powers for step in steps]
