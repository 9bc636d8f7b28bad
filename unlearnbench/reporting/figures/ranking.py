"""Figures about more than one condition: ranks, their critical difference, paired differences."""

from collections.abc import Sequence
from textwrap import fill

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from unlearnbench.reporting.figures import drawing
from unlearnbench.reporting.figures.drawing import Gathered
from unlearnbench.reporting.figures.figure import ByMethod
from unlearnbench.reporting.figures.gaps import heat, spreads

BAR = 0.4
"""Lines between two bars above the diagram."""
NEAREST = LinearSegmentedColormap.from_list("nearest", ["#1F78C8", ("#1F78C8", 0.0)])
"""From the first rank to the last, of which nothing is left: the page shows, and ink is read."""
TITLE = 30
"""Letters that a panel's title has room for on a line."""


class RankMap(ByMethod):
    """Draw the rank of each method in each setting; of a frame with a row a setting."""

    title = "Rank map"
    caption = "Rank of each method in each setting; 1 is nearest to retrain."
    row = 0.0

    def __init__(self, settings: int) -> None:
        """Make room for so many settings."""
        self.height = 0.4 + 0.24 * settings

    def data(self, subject: Gathered) -> pd.DataFrame:
        """Return columns setting, method, rank."""
        long = subject.frame.rename_axis("setting").reset_index()
        return long.melt("setting", var_name="method", value_name="rank")

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Gathered) -> None:
        """Draw a cell a setting and method, methods in the order of their mean rank."""
        labels = list(subject.labels)
        owners = labels * len(subject.frame)
        note = {"annot": True, "fmt": "g", "xticklabels": True}
        note["annot_kws"] = {"size": 7, "color": "black"}
        cells = subject.frame[labels].rename(columns=subject.title)
        heat(ax, cells, owners, cmap=NEAREST, **note)
        ax.tick_params(axis="x", labelrotation=40)
        ax.tick_params(axis="y", labelrotation=0)
        plt.setp(ax.get_xticklabels(), ha="right", rotation_mode="anchor")
        for label, text in zip(owners + labels, [*ax.texts, *ax.get_xticklabels()], strict=True):
            drawing.of_method(label, text)


class CriticalDifference(ByMethod):
    """Draw mean ranks on a line, with bars over methods that do not differ.

    Of a frame with columns method, rank in order.
    """

    title = "Critical differences"
    height, row = 0.3, 0.19

    def __init__(self, bars: Sequence[tuple[float, float]], apart: float) -> None:
        """Take from and to which mean rank bars go, and the critical difference."""
        self.bars = bars
        self.caption = (
            "Mean rank over settings. Grey bars join methods that cannot be told apart: their mean"
            f" ranks are less than {apart:.2f} apart (Nemenyi, 5 %)."
        )

    def data(self, subject: Gathered) -> pd.DataFrame:
        """Return columns method, rank, the best first."""
        return subject.frame

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Gathered) -> None:
        """Draw a stem a method, the best one's the longest, so that none crosses a name."""
        for line, (label, rank) in enumerate(data.itertuples(index=False)):
            depth = len(data) - line
            drawing.stem(ax, subject, label, (rank, rank), (0, depth))
            name = ax.annotate(
                subject.title(label), (rank, depth), (5, 0), textcoords="offset points", va="center"
            )
            drawing.of_method(label, name)
            drawing.point(ax, subject, label, rank, depth, f"{rank:.2f}")
        for number, ends in enumerate(self.bars):
            ax.plot(ends, [-BAR * (number + 1)] * 2, color=drawing.GREY, linewidth=2.5)
        ax.set_ylim(len(data) + 1, -BAR * (len(self.bars) + 1))
        ax.set_xlim(1 - 0.02 * len(data), 1.02 * max(2, len(data)))
        drawing.ticks(ax.xaxis, range(1, len(data) + 1))
        ax.xaxis.tick_top()
        ax.xaxis.set_label_position("top")
        ax.set(yticks=[], xlabel="Mean rank (1 is nearest to retrain)")
        ax.spines[["left", "bottom"]].set_visible(False)
        ax.spines["top"].set_visible(True)


class Differences(ByMethod):
    """Draw paired differences between folders, a panel a metric and folder.

    Of a frame with columns panel, method, difference and half of its 95 % interval.
    """

    title = "Differences"
    panels, columns = "panel", 3
    height = 0.17  # a title takes two lines: it names a metric and a folder

    def __init__(self, first: str) -> None:
        """Name the folder that others are compared to."""
        self.caption = (
            f"Difference to {first}, mean and 95 % interval over forget sets, paired by seeds."
        )

    def data(self, subject: Gathered) -> pd.DataFrame:
        """Return the frame it is made of."""
        return subject.frame

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Gathered) -> None:
        """Draw one metric of one folder."""
        spreads(ax, subject, data.drop(columns="panel"))
        ax.set_title(fill(self.panel(data), TITLE, break_on_hyphens=False))
