"""What figures are put together from: the look of each method, shapes, and what hovering says."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from unlearnbench.evaluation.findings import Condition
from unlearnbench.metrics.metric import METRICS
from unlearnbench.planning.plan import HELD_OUT, ORIGINAL, RETRAIN

STYLE = Path(__file__).with_name("unlearnbench.mplstyle")
"""The style sheet of all figures, for `plt.style.use`."""
COLUMN, PAGE = 3.35, 7.0
"""Width of a column and of the text of a two-column article, in inches."""
METHOD = "method:"
"""Begins the id of a group that is of one method; pages hide it by that."""
GREY = "#777777"
DASHED: dict[str, Any] = {"color": GREY, "linestyle": (0, (3, 2)), "linewidth": 0.7}
SHADED: dict[str, Any] = {"color": "#888888", "alpha": 0.25, "linewidth": 0}
COLOURS = (
    *("#C98200", "#2F93CC", "#009E73", "#0072B2", "#D55E00", "#CC79A7"),
    *("#9A8C00", "#6655CC", "#AA4466", "#A0622D"),
)
"""After Okabe and Ito's, for colour-blind readers, and four beside them; none is as light or as
dark as to be lost on a white or a black page."""
BOW = ((-1, -1), (1, -1), (-1, 1), (1, 1), (-1, -1))
BAR = ((-0.45, -1), (0.45, -1), (0.45, 1), (-0.45, 1), (-0.45, -1))
MARKERS = ("o", "v", "^", "<", ">", "p", "*", "D", "d", "X", (4, 1, 0), BOW, BAR)
SIZES = {"*": 1.5, (4, 1, 0): 1.7, "D": 0.85, "d": 1.2, "p": 1.15, "X": 1.1, "s": 0.9}
"""By how much a shape is drawn larger, to look as large as others."""
SALT = "23868"
"""Chosen so that methods that ship are told apart."""


class Look(NamedTuple):
    """Hold a colour, and a shape as Matplotlib takes it."""

    colour: str
    marker: Any

    @property
    def style(self) -> dict[str, Any]:
        """What lines of Matplotlib are told of it; sizes are in points."""
        size = 4.4 * SIZES.get(self.marker, 1.0)
        return {"color": self.colour, "marker": self.marker, "markersize": size}


REFERENCES = {
    ORIGINAL: Look("#000000", "s"),
    RETRAIN: Look(GREY, "P"),
    HELD_OUT: Look("#8A8A8A", "H"),
}
"""What methods are seen against; no method borrows its looks."""


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """Give each label its colour and shape: by its name, whatever stands beside it.

    Where two names come to the same look, the second in alphabetical order takes the next shape.
    """
    return _looks(tuple(sorted(set(labels))))


@cache
def _looks(labels: Sequence[str]) -> dict[str, Look]:
    chosen: dict[str, Look] = {}
    for label in labels:
        number = int.from_bytes(sha256(f"{SALT}:{label}".encode()).digest()[:8])
        shape, hue = divmod(number, len(COLOURS))
        first = shape % len(MARKERS)
        own = [Look(COLOURS[hue], marker) for marker in MARKERS[first:] + MARKERS[:first]]
        free = (look for look in own if look not in chosen.values())
        chosen[label] = REFERENCES.get(label) or next(free, own[0])
    return chosen


@dataclass(frozen=True)
class Gathered:
    """Hold what is compared over conditions or folders: a frame, the rows and their titles."""

    frame: pd.DataFrame
    labels: Sequence[str]
    titles: Mapping[str, str]

    def title(self, label: str) -> str:
        """Return the display name of a row."""
        return self.titles.get(label, label)


Subject = Condition | Gathered


class Tips(Artist):
    """Say what a pointer finds at the points of a method; draws nothing."""

    def __init__(self, method: str, points: Iterable[tuple[float, float]], texts: Iterable[str]):
        """Keep points in the coordinates of the data, and a text for each."""
        super().__init__()
        self.method, self.points, self.texts = method, list(points), list(texts)


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


def key(figure: Figure, entries: Mapping[str, tuple[Look, str]], columns: int) -> None:
    """Write below a figure what each shape and colour is.

    entries: by text its look, and the method that it is of, with which it is hidden, or "".
    """
    handles = [Line2D([], [], linewidth=0, **look.style) for look, _ in entries.values()]
    legend = figure.legend(handles, list(entries), loc="outside lower center", ncols=columns)
    parts = zip(entries.values(), legend.get_lines(), legend.get_texts(), strict=True)
    for (_, label), *own in parts:
        if label:
            of_method(label, *own)


def names(ax: Axes, subject: Subject, labels: Sequence[str], first: float = 0.0) -> None:
    """Give each method a line along the y axis, the first one, at `first`, on top."""
    places = np.arange(len(labels)) + first
    ax.set_yticks(places, [subject.title(label) for label in labels])
    ax.tick_params(axis="y", length=0, labelleft=True, labelrotation=0)
    ax.set_ylim(places[-1] + 0.6, places[0] - 0.6)
    for label, text in zip(labels, ax.get_yticklabels(), strict=True):
        of_method(label, text)


def band(span: Callable[..., Any], low: float, high: float) -> None:
    """Shade from low to high, `span` being that of the axes; nothing where it is not known."""
    if np.isfinite([low, high]).all():
        span(low, high, **SHADED)


def stem(ax: Axes, subject: Subject, label: str, x: Sequence[float], y: Sequence[float]) -> None:
    """Draw a thin line of a method between two points."""
    of_method(label, *ax.plot(x, y, color=looks(subject.labels)[label].colour, linewidth=0.7))


def point(
    ax: Axes, subject: Subject, label: str, x: float, y: float, text: str, *, hollow: bool = False
) -> None:
    """Draw a method's shape, of which hovering says a text; hollow: its outline only."""
    style = looks(subject.labels)[label].style
    if hollow:
        style |= {"markerfacecolor": "none", "markeredgewidth": 0.8}
    of_method(label, *ax.plot(x, y, label=subject.title(label), linestyle="", zorder=3, **style))
    tell(ax, label, [x], [y], [text])


def ticks(axis: Axis, values: Sequence[float]) -> None:
    """Put ticks at these values and nowhere else, written without an exponent where it is short."""
    axis.set_major_locator(FixedLocator(list(values)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))


def decades(low: float, high: float, *steps: int) -> list[float]:
    """Return what a logarithmic axis is labelled with: steps times powers of ten."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    return [float(f"{step}e{power}") for power in powers for step in steps]
