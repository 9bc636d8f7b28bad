"""What a figure is: tidy data, drawn on axes of Matplotlib; the figures there are, by name."""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from textwrap import fill
from typing import Any, ClassVar

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from unlearnbench.errors import UserError, unknown
from unlearnbench.evaluation.findings import Condition
from unlearnbench.planning.plan import REFERENCE_ROWS
from unlearnbench.reporting.figures.drawing import (
    COLUMN,
    PAGE,
    STYLE,
    Subject,
    key,
    labelled,
    owner,
)
from unlearnbench.reporting.figures.labels import name_points
from unlearnbench.reporting.tables.chosen import meant

ROOM, KEY_LINE, LETTER, HANDLE = 0.38, 0.135, 0.05, 0.34
"""Inches: what title and labels of axes take, a line of the legend, a letter in it, the rest."""
TALLEST, CLOSEST, MOST_COLUMNS = 7.0, 0.095, 6
"""Inches: of a figure that fits a page, and of a line of text; panels beside each other at most."""


class Figure(ABC):
    """Define one figure: what it is called, what it shows, its data and its drawing.

    name: of its files, and by which it is asked for, from its class's unless it has one; caption:
    in words; place: on the page, before those with a higher one; leads: stands before the tables;
    wide: takes a page's width and not a column's; panels: the column of the data whose values have
    axes of their own, `columns` beside each other; named: names stand beside points where all have
    room, and else in a legend; lined: names stand beside lines, and in no legend; height: of axes
    in inches, and `row` more for each method. A legend has all that is drawn with a label.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    caption: str
    place: ClassVar[int] = 1000
    leads: ClassVar[bool] = False
    wide: ClassVar[bool] = False
    panels: ClassVar[str] = ""
    columns: ClassVar[int] = 1
    named: ClassVar[bool] = False
    lined: ClassVar[bool] = False
    height: float = 1.8
    row: float = 0.0

    def __init_subclass__(cls) -> None:
        if "name" not in vars(cls):
            cls.name = re.sub("(?<=[a-z])(?=[A-Z])", "-", cls.__name__).lower()

    @abstractmethod
    def data(self, subject: Any) -> pd.DataFrame | None:
        """Return what is drawn, a row a point and a column `method`; None if there is nothing."""

    @abstractmethod
    def draw(self, ax: Axes, data: pd.DataFrame, subject: Any) -> None:
        """Draw the rows of one panel."""

    def panel(self, data: pd.DataFrame) -> str:
        """Return of which panel rows of one panel are; "" where there is but one."""
        return str(data[self.panels].iloc[0]) if self.panels else ""


class ByMethod(Figure):
    """Draw each method on a line of its own, named beside it, across the page."""

    wide = lined = True
    height, row = 0.05, 0.15


FIGURES: dict[str, Figure] = {}
"""The figures of a condition, by name, in the order of the page."""


def figure(definition: type[Figure]) -> type[Figure]:
    """Add a figure to those that every condition has."""
    if definition.name in FIGURES:
        other = type(FIGURES[definition.name]).__module__
        raise UserError(f"Two figures are called '{definition.name}', one of them in {other}.")
    known = sorted([*FIGURES.values(), definition()], key=lambda one: (one.place, one.name))
    FIGURES.clear()
    FIGURES.update({one.name: one for one in known})
    return definition


class Distinct(Condition):
    """A condition in which rows that have the same runs are one, which has the names of all."""

    @cached_property
    def _whole(self) -> Condition:
        return Condition(self.findings, *self.key)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The runs of each first row."""
        runs = self._whole.runs
        return runs[~runs["label"].isin(list(self.same))]

    @cached_property
    def same(self) -> dict[str, str]:
        """Rows that are left out: that one whose runs they have, by label."""
        return self._whole.same

    def title(self, label: str) -> str:
        """Return the display names of a row and of those that have its runs."""
        others = [other for other, first in self.same.items() if first == label]
        return " = ".join(map(self._whole.title, [label, *others]))


def distinct(condition: Condition) -> Distinct:
    """Return a condition as figures show it."""
    return Distinct(condition.findings, *condition.key)


@dataclass(frozen=True)
class Drawing:
    """Hold a figure of one condition: its data, and what draws it; called, it is drawn."""

    figure: Figure
    subject: Subject
    suffix: str = ""

    @property
    def name(self) -> str:
        """The name of its files."""
        return f"{self.figure.name}{self.suffix}"

    @cached_property
    def data(self) -> pd.DataFrame | None:
        """What is drawn, a row a point; None if there is nothing."""
        return self.figure.data(self.subject)

    @property
    def known(self) -> pd.DataFrame:
        """The data. Raises UserError if there is none."""
        if self.data is None:
            raise UserError(f"There is nothing for the figure '{self.figure.name}'.")
        return self.data

    def __call__(
        self, ax: Axes | None = None, *, methods: str | Iterable[str] | None = None, **choice: Any
    ) -> Axes | NDArray[np.object_]:
        """Draw it: on axes that are given, or on new ones in the style of all.

        methods: those to be drawn, by label or display name, None for all; original and retrain
        stay, as in tables. choice: columns of the data and the value, or list of values, to be
        drawn of each, as in `metric="ft_auc"`. Returns the axes, or where there are several panels
        an array of theirs, [panels]: a notebook would show a figure that is returned once more.
        Raises UserError if there is nothing to draw, or more panels than axes.
        """
        data = self.known
        if methods is not None:
            stay = {*meant(methods, self._names()), *REFERENCE_ROWS}
            data = data[data["method"].isin(stay)]
        for column, values in choice.items():
            if column not in data:
                raise unknown("column", column, map(str, data))
            wanted = values if isinstance(values, list | tuple) else [values]
            for value in wanted:
                if value not in set(data[column]):
                    raise unknown(column, str(value), {str(known) for known in data[column]})
            data = data[data[column].isin(wanted)]
        panels = list(data[self.figure.panels].unique()) if self.figure.panels else []
        if ax is None:
            # Loads the backend, which a notebook's sets up as it is loaded: within the context, all
            # of that would be undone, and no figure shown any more.
            plt.draw_if_interactive()  # type: ignore[no-untyped-call]
            with matplotlib.style.context(STYLE):
                canvas = self.arrange(data, plt.figure)
            return np.array(canvas.axes) if len(panels) > 1 else canvas.axes[0]
        if len(panels) > 1:
            raise UserError(
                f"'{self.figure.name}' has several panels.",
                f"Choose one by {self.figure.panels}=: {', '.join(map(str, panels))}.",
            )
        self.figure.draw(ax, data, self.subject)
        return ax

    def _names(self) -> dict[str, str]:
        """Return the label of every name of what is drawn: those of rows with the same runs too."""
        names: dict[str, str] = {}
        for label in map(str, self.known["method"].unique()):
            titles = self.subject.title(label).split(" = ")
            names |= dict.fromkeys([label, *titles], label)
        same = self.subject.same if isinstance(self.subject, Condition) else {}
        return {label: one for label, one in same.items() if one in names} | names

    @cached_property
    def canvas(self) -> Canvas:
        """The figure as reports have it, in our style alone."""
        with matplotlib.style.context(["default", STYLE]):
            canvas = self.arrange(self.known, Canvas)
            if engine := canvas.get_layout_engine():
                engine.execute(canvas)
        canvas.set_layout_engine("none")  # places are found once, whatever it is written as
        return canvas

    def arrange(self, data: pd.DataFrame, make: Callable[..., Canvas]) -> Canvas:
        """Draw all panels on a figure that `make` makes, with names or else a legend."""
        canvas, entries = self._panels(data, make)
        if not (self.figure.named or self.figure.lined):
            return with_key(canvas, entries)
        anonymous = {text: one for text, one in entries.items() if not owner(one)}
        height = canvas.get_figheight()
        with_key(canvas, anonymous)
        if self.figure.named and (engine := canvas.get_layout_engine()):
            engine.execute(canvas)
            if not name_points(canvas.axes[0]):
                for legend in canvas.legends:
                    legend.remove()
                canvas.set_figheight(height)
                with_key(canvas, entries)
        return canvas

    def _panels(
        self, data: pd.DataFrame, make: Callable[..., Canvas]
    ) -> tuple[Canvas, dict[str, Any]]:
        """Draw all panels; return what has a label too."""
        figure, subject = self.figure, self.subject
        by_panel = data.groupby(figure.panels, sort=False) if figure.panels else [("", data)]
        panels = [rows for _, rows in by_panel]
        width = PAGE if figure.wide else COLUMN
        tallest = TALLEST - 2 * KEY_LINE  # figures with a line a method have short legends
        columns, height = _shape(figure, len(panels), data["method"].nunique(), tallest)
        lines = math.ceil(len(panels) / columns)
        canvas = make(figsize=(width, height), layout="constrained")
        grid = canvas.subplots(lines, columns, squeeze=False)
        for ax, rows in zip(grid.flat, panels, strict=False):
            figure.draw(ax, rows, subject)
            if columns > figure.columns:
                _narrow(ax, width / columns)
        for ax in grid[:, 1:].flat if figure.row else ():
            ax.tick_params(axis="y", labelleft=False)
        entries = labelled(canvas)
        drawn, left = grid.flat[: len(panels)], grid.flat[len(panels) :]
        if len({ax.get_xlabel() for ax in drawn}) == 1:  # the lowest of each column says it
            for ax in drawn[: max(len(panels) - columns, 0)]:
                ax.set_xlabel("")
        for ax in left:
            ax.remove()
        return canvas, entries


def with_key(canvas: Canvas, entries: Mapping[str, Any]) -> Canvas:
    """Make room for a legend below a figure, and draw it there."""
    if entries:
        width, height = canvas.get_size_inches()
        beside = next(n for n in range(len(entries), 0, -1) if n == 1 or _wide(entries, n) < width)
        canvas.set_figheight(height + KEY_LINE * math.ceil(len(entries) / beside))
        key(canvas, entries, beside)
    return canvas


def _wide(entries: Collection[str], columns: int) -> float:
    """Return how wide a legend of so many columns is, in inches; the first ones may be longer."""
    every = np.array_split([HANDLE + LETTER * len(text) for text in entries], columns)
    return sum(float(column.max()) for column in every)


def _narrow(ax: Axes, width: float) -> None:
    """Make axes of so many inches do with less room: a title of several lines, fewer numbers."""
    for get, put in ((ax.get_title, ax.set_title), (ax.get_xlabel, ax.set_xlabel)):
        put(fill(get(), int(0.7 * width / LETTER)))
    ax.locator_params(axis="x", nbins=4)


def _shape(figure: Figure, panels: int, methods: int, tallest: float) -> tuple[int, float]:
    """Return how many panels stand beside each other, and the height of all in inches.

    Lines of methods move together, and then more panels beside each other, where the figure would
    be too tall for a page.
    """
    fewest = min(figure.columns, panels)
    most = max(fewest, min(panels, MOST_COLUMNS if figure.row else fewest))

    def height(columns: int) -> float:
        lines = math.ceil(panels / columns)
        fixed = lines * (ROOM + figure.height)
        room = (tallest - fixed) / (lines * max(methods, 1))
        return fixed + lines * methods * min(figure.row, max(CLOSEST, room))

    every = [(columns, height(columns)) for columns in range(fewest, most + 1)]
    return next((one for one in every if one[1] <= tallest), every[-1])


def drawings(condition: Condition) -> list[Drawing]:
    """List the figures for which a condition has data."""
    subject = distinct(condition)
    every = [Drawing(figure, subject, condition.suffix) for figure in FIGURES.values()]
    return [drawing for drawing in every if drawing.data is not None]


def same_points(data: pd.DataFrame, leading: Sequence[str] = ()) -> list[list[str]]:
    """Group methods whose points are the very same; first in a group one of `leading`, if any."""
    groups: dict[Any, list[str]] = {}
    for label, own in data.groupby("method", sort=False):
        values = own.drop(columns="method").to_numpy()
        groups.setdefault(tuple(map(tuple, values)), []).append(str(label))
    return [sorted(group, key=lambda label: label not in leading) for group in groups.values()]


def together(frames: Sequence[pd.DataFrame]) -> pd.DataFrame | None:
    """Return frames below each other; None if there is none."""
    return pd.concat(frames, ignore_index=True) if frames else None


def mean_and_spread(
    runs: pd.DataFrame, *metrics: str, by: Sequence[str] = ("label",)
) -> pd.DataFrame:
    """Return mean and spread of metrics over the runs of each method, of those that have all."""
    grouped = runs.groupby(list(by), sort=False)
    columns: dict[str, pd.Series] = {}
    for metric in metrics:
        columns[metric] = grouped[metric].mean()
        columns[f"{metric}_std"] = grouped[metric].std(ddof=1).fillna(0.0)
    frame = pd.DataFrame(columns).dropna(subset=list(metrics)).reset_index()
    return frame.rename(columns={"label": "method"})
