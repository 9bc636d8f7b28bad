"""What figures are put together from: the look of each method, shapes, and what hovering says."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from unlearnbench.evaluation.findings import Condition
from unlearnbench.metrics.metric import METRICS
from unlearnbench.planning.plan import HELD_OUT, ORIGINAL, RETRAIN

STYLE = Path(__file__).with_name("unlearnbench.mplstyle")
"""The style sheet of all figures, for `plt.style.use`."""
COLUMN, PAGE = 3.25, 6.75
"""Width of a column and of the text of a two-column article, in inches."""
METHOD = "method:"
"""Begins the id of a group that is of one method; pages hide it by that."""
AND = "\N{LINE SEPARATOR}"
"""Stands between the methods of a group whose parts are of one each; XML makes a space of \\n."""
GREY = "#777777"
DASHED: dict[str, Any] = {"color": GREY, "linestyle": (0, (3, 2)), "linewidth": 0.7}
SHADE = 0.18
"""How much of a band's grey covers the page: marks stand out on it in both themes."""
SHADED: dict[str, Any] = {
    "facecolor": ("#888888", SHADE),
    "edgecolor": ("#888888", 0.6),
    "linewidth": 0.4,
}
"""How retrain's own scatter looks, and nothing else."""
HATCHED: dict[str, Any] = {
    "facecolor": "none",
    "edgecolor": ("#888888", 0.5),
    "hatch": "/////",
    "linewidth": 0.6,
}
"""How a margin looks, within which a gap is small enough."""
SCATTER = "retrain's own scatter"
BY_CHANCE, ONE_STD = f"{SCATTER} (95 %)", f"{SCATTER} (\N{PLUS-MINUS SIGN}1 SD)"
"""What the legend calls a band."""
OTHERS = "other methods"
LEADING = 6
"""Methods that have a colour where lines would cover each other: the best by verdict."""
COLOURS = (
    *("#B67500", "#00899E", "#00946C", "#1F78C8", "#D55E00", "#C4609A"),
    *("#8A7E00", "#7B6BDB", "#C4526F", "#A96630"),
)
"""Near Okabe and Ito's, for colour-blind readers, and four beside them; all about as light, so that
none is lost on a white or a black page, or on a band: in print shapes tell them apart."""
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


OTHER = Look("#808080", "")
"""Of methods that are not among the leading ones."""
REFERENCES = {
    ORIGINAL: Look("#000000", "s"),
    RETRAIN: Look(GREY, "P"),
    HELD_OUT: Look("#808080", "H"),
}
"""What methods are seen against; no method borrows its looks."""
STROKES: dict[str, Any] = {
    ORIGINAL: {"linestyle": (0, (1, 1))},
    RETRAIN: {"linewidth": 1.8},
    HELD_OUT: {"linestyle": (0, (4, 1.5))},
}
"""How lines of references differ from those of methods."""


def looks(labels: Iterable[str], leading: Iterable[str] = ()) -> dict[str, Look]:
    """Give each label its colour and shape: by its name, whatever stands beside it.

    Where two names come to the same look, the second in alphabetical order takes the next shape.
    leading: labels that share neither colour nor shape with each other, the first of which keeps
    what it has by its name; no more of them than there are colours.
    """
    return _looks(tuple(sorted(set(labels))), tuple(leading))


@cache
def _looks(labels: Sequence[str], leading: Sequence[str]) -> dict[str, Look]:
    chosen: dict[str, Look] = {}
    for label in [*leading, *(label for label in labels if label not in leading)]:
        number = int.from_bytes(sha256(f"{SALT}:{label}".encode()).digest()[:8])
        shape, hue = divmod(number, len(COLOURS))
        first = shape % len(MARKERS)
        colours, markers = COLOURS[hue:] + COLOURS[:hue], MARKERS[first:] + MARKERS[:first]
        if label in leading:
            colour = next(one for one in colours if one not in {c for c, _ in chosen.values()})
            marker = next(one for one in markers if one not in [m for _, m in chosen.values()])
            chosen[label] = Look(colour, marker)
            continue
        own = [Look(colours[0], marker) for marker in markers]
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


def leaders(subject: Subject, among: Collection[str] | None = None) -> list[str]:
    """List the methods that have a colour where lines cover each other, the best first.

    among: the methods that are drawn, by default all.
    """
    order = subject.by_verdict if isinstance(subject, Condition) else []
    return [label for label in order if among is None or label in among][:LEADING]


def look_of(subject: Subject, label: str) -> Look:
    """Return the look that a row has in all figures of a condition."""
    return looks(subject.labels, leaders(subject))[label]


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


def owner(handle: Any) -> str:
    """Return the id of the method that a drawn part, or a group of bars, is of; "" if of none."""
    artist = handle[0] if isinstance(handle, BarContainer) else handle
    gid = str(artist.get_gid() or "")
    return gid if gid.startswith(METHOD) else ""


def labelled(figure: Figure) -> dict[str, Any]:
    """Return what is drawn and has a label, once each: a legend of these can but agree with it."""
    entries: dict[str, Any] = {}
    for ax in figure.axes:
        for handle, text in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(text, handle)
    return entries


def key(figure: Figure, entries: Mapping[str, Any], columns: int) -> None:
    """Write below a figure what each part is; entries: parts that are drawn, by text."""
    legend = figure.legend(
        list(entries.values()), list(entries), loc="outside lower center", ncols=columns
    )
    parts = zip(entries.values(), legend.legend_handles, legend.get_texts(), strict=True)
    for handle, *own in parts:
        for artist in own:
            if artist and owner(handle):
                artist.set_gid(owner(handle))


def entry(ax: Axes, text: str, **style: Any) -> None:
    """Let a legend have an entry that is no single part of the drawing."""
    ax.plot([], [], label=text, **style)


def names(ax: Axes, subject: Subject, labels: Sequence[str], first: float = 0.0) -> None:
    """Give each method a line along the y axis, the first one, at `first`, on top."""
    places = np.arange(len(labels)) + first
    ax.set_yticks(places, [subject.title(label) for label in labels])
    ax.tick_params(axis="y", length=0, labelleft=True, labelrotation=0)
    ax.set_ylim(places[-1] + 0.6, places[0] - 0.6)
    for label, text in zip(labels, ax.get_yticklabels(), strict=True):
        of_method(label, text)


def band(
    span: Callable[..., Any], low: float, high: float, text: str, style: Mapping[str, Any] = SHADED
) -> None:
    """Shade from low to high, `span` being that of the axes; nothing where it is not known."""
    if np.isfinite([low, high]).all():
        span(low, high, label=text, **style)


def stem(ax: Axes, subject: Subject, label: str, x: Sequence[float], y: Sequence[float]) -> None:
    """Draw a thin line of a method between two points."""
    of_method(label, *ax.plot(x, y, color=look_of(subject, label).colour, linewidth=0.7))


def point(
    ax: Axes, subject: Subject, label: str, x: float, y: float, text: str, *, hollow: bool = False
) -> None:
    """Draw a method's shape, of which hovering says a text; hollow: its outline only."""
    style = look_of(subject, label).style
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
