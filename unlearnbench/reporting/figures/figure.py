"""What a figure is: tidy data, drawn on axes of Matplotlib; the figures there are, by name."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import matplotlib.style
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from unlearnbench.errors import UserError, unknown
from unlearnbench.reporting.figures.drawing import Subject, key
from unlearnbench.reporting.figures.style import COLUMN, PAGE, STYLE

ROOM, KEY_LINE, LETTER = 0.42, 0.125, 0.046
"""Inches: what title and labels of axes take, a line of the legend, a letter in it."""


class Figure:
    """Define one figure: what it is called, what it shows, its data and its drawing.

    name: of its files, and by which it is asked for; caption: in words; place: on the page, before
    those with a higher one; wide: takes a page's width and not a column's; panels: the column of
    the data whose values have axes of their own, `columns` beside each other; height: of axes in
    inches, and `row` more for each method; key: with a legend.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    caption: str
    place: ClassVar[int] = 1000
    wide: ClassVar[bool] = False
    panels: ClassVar[str] = ""
    columns: ClassVar[int] = 1
    height: float = 1.8
    row: float = 0.0
    key: ClassVar[bool] = True

    def data(self, subject: Any) -> pd.DataFrame | None:
        """Return what is drawn, a row a point and a column `method`; None if there is nothing."""
        raise NotImplementedError

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Any) -> None:
        """Draw the rows of one panel."""
        raise NotImplementedError

    def panel(self, data: pd.DataFrame) -> str:
        """Return of which panel rows of one panel are; "" where there is but one."""
        return str(data[self.panels].iloc[0]) if self.panels else ""

    def plot(self, subject: Subject, ax: Axes | None = None, **choice: Any) -> Axes | Canvas:
        """Draw it: on axes that are given, or on new ones in the style of all.

        choice: columns of the data and the value, or list of values, to be drawn of each, as in
        `metric="ft_auc"`. Returns the axes, or the figure where there are several. Raises UserError
        if there is nothing to draw, or more panels than axes.
        """
        data = self._chosen(subject, choice)
        if ax is None:
            with matplotlib.style.context(STYLE):
                figure = self.arrange(data, subject, plt.figure)
            return figure if self.panels and data[self.panels].nunique() > 1 else figure.axes[0]
        if self.panels and data[self.panels].nunique() > 1:
            names = ", ".join(map(str, data[self.panels].unique()))
            raise UserError(
                f"'{self.name}' has several panels.", f"Choose one by {self.panels}=: {names}."
            )
        self.draw(ax, data, subject)
        return ax

    def _chosen(self, subject: Subject, choice: dict[str, Any]) -> pd.DataFrame:
        data = self.data(subject)
        if data is None:
            raise UserError(f"There is nothing for the figure '{self.name}'.")
        for column, values in choice.items():
            if column not in data:
                raise unknown("column", column, map(str, data))
            wanted = values if isinstance(values, list | tuple) else [values]
            for value in wanted:
                if value not in set(data[column]):
                    raise unknown(column, str(value), {str(known) for known in data[column]})
            data = data[data[column].isin(wanted)]
        return data

    def arrange(
        self, data: pd.DataFrame, subject: Subject, make: Callable[..., Canvas] = Canvas
    ) -> Canvas:
        """Draw all panels and the legend on a figure that `make` makes."""
        by_panel = data.groupby(self.panels, sort=False) if self.panels else [("", data)]
        panels = [rows for _, rows in by_panel]
        columns = min(self.columns, len(panels))
        lines = math.ceil(len(panels) / columns)
        width = PAGE if self.wide else COLUMN
        labels = [str(label) for label in data["method"].unique()]
        longest = max(len(subject.title(label)) for label in labels)
        beside = max(1, min(len(labels), int(width / (0.22 + LETTER * longest))))
        key_lines = math.ceil(len(labels) / beside) if self.key else 0
        height = lines * (ROOM + self.height + self.row * len(labels)) + KEY_LINE * key_lines
        figure = make(figsize=(width, height), layout="constrained")
        grid = figure.subplots(lines, columns, squeeze=False)
        for number, ax in enumerate(grid.flat):
            if number >= len(panels):
                ax.remove()
                continue
            self.draw(ax, panels[number], subject)
            if self.row and number % columns:
                ax.tick_params(axis="y", labelleft=False)
        if self.key:
            key(figure, subject, labels, beside)
        return figure


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


@dataclass(frozen=True)
class Drawing:
    """Hold a figure of one condition: its data, and what draws it; called, it is drawn."""

    figure: Figure
    subject: Any
    suffix: str = ""

    def __call__(self, ax: Axes | None = None, **choice: Any) -> Axes | Canvas:
        """Draw it as `Figure.plot` does."""
        return self.figure.plot(self.subject, ax, **choice)

    @property
    def name(self) -> str:
        """The name of its files."""
        return f"{self.figure.name}{self.suffix}"

    @property
    def title(self) -> str:
        """Its title."""
        return self.figure.title

    @property
    def caption(self) -> str:
        """What it shows in words."""
        return self.figure.caption

    @property
    def wide(self) -> bool:
        """Whether it takes a page's width."""
        return self.figure.wide

    @cached_property
    def data(self) -> pd.DataFrame | None:
        """What is drawn, a row a point; None if there is nothing."""
        return self.figure.data(self.subject)

    @cached_property
    def canvas(self) -> Canvas:
        """The figure as reports have it, in our style alone."""
        if self.data is None:
            raise UserError(f"There is nothing for the figure '{self.figure.name}'.")
        with matplotlib.style.context(["default", STYLE]):
            canvas = self.figure.arrange(self.data, self.subject)
            if engine := canvas.get_layout_engine():
                engine.execute(canvas)
        canvas.set_layout_engine("none")  # places are found once, whatever it is written as
        return canvas


def drawings(subject: Any, suffix: str) -> list[Drawing]:
    """List the figures for which a condition has data."""
    every = [Drawing(figure, subject, suffix) for figure in FIGURES.values()]
    return [drawing for drawing in every if drawing.data is not None]
