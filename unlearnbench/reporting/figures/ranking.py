"""Figures about more than one condition: ranks, their critical difference, paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from unlearnbench.reporting.figures.drawing import of_method, point, tell, ticks
from unlearnbench.reporting.figures.figure import Figure
from unlearnbench.reporting.figures.gaps import ROW, heat, spreads
from unlearnbench.reporting.figures.style import GREY, looks

BAR = 0.4
"""Lines between two bars above the diagram."""


@dataclass(frozen=True)
class Gathered:
    """Hold what is compared over conditions or folders: a frame, the rows and their titles."""

    frame: pd.DataFrame
    labels: Sequence[str]
    titles: Mapping[str, str]

    def title(self, label: str) -> str:
        """Return the display name of a row."""
        return self.titles.get(label, label)


class RankMap(Figure):
    """Draw the rank of each method in each setting; of a frame with a row a setting."""

    name = "rank-map"
    title = "Rank map"
    caption = "Rank of each method in each setting; 1 is nearest to retrain."
    wide = True
    key = False

    def __init__(self, settings: int) -> None:
        """Make room for so many settings."""
        self.height = 0.4 + 0.24 * settings

    def data(self, subject: Gathered) -> pd.DataFrame:
        """Return columns setting, method, rank."""
        long = subject.frame.rename_axis("setting").reset_index()
        return long.melt("setting", var_name="method", value_name="rank")

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Gathered) -> None:
        """Draw a cell a setting and method, methods in the order of their mean rank."""
        labels = [label for label in subject.labels if label in set(data["method"])]
        settings = list(data["setting"].unique())
        cells = data.pivot(index="setting", columns="method", values="rank").loc[settings, labels]
        note = {"annot": True, "fmt": "g", "annot_kws": {"size": 6.5}}
        heat(ax, cells, labels * len(settings), cmap="Blues_r", **note)
        for text, label in zip(ax.texts, labels * len(settings), strict=True):
            of_method(label, text)
        ax.set_xticks(np.arange(len(labels)) + 0.5, [subject.title(label) for label in labels])
        ax.tick_params(axis="x", labelrotation=40)
        ax.tick_params(axis="y", labelrotation=0)
        for label, text in zip(labels, ax.get_xticklabels(), strict=True):
            text.set(ha="right", rotation_mode="anchor")
            of_method(label, text)


class CriticalDifference(Figure):
    """Draw mean ranks on a line, with bars over methods that do not differ.

    Of a frame with columns method, rank in order.
    """

    name = "critical-difference"
    title = "Critical differences"
    wide = True
    key = False
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
        chosen = looks(subject.labels)
        for line, (label, rank) in enumerate(zip(data["method"], data["rank"], strict=True)):
            depth = len(data) - line
            stem = ax.plot([rank, rank], [0, depth], color=chosen[label].colour, linewidth=0.7)
            name = ax.annotate(
                subject.title(label), (rank, depth), (5, 0), textcoords="offset points", va="center"
            )
            of_method(label, *stem, name)
            point(ax, subject, label, (rank, depth))
            tell(ax, label, [rank], [depth], [f"{rank:.2f}"])
        for number, ends in enumerate(self.bars):
            ax.plot(ends, [-BAR * (number + 1)] * 2, color=GREY, linewidth=2.5)
        ax.set_ylim(len(data) + 1, -BAR * (len(self.bars) + 1))
        ax.set_xlim(1 - 0.02 * len(data), 1.02 * max(2, len(data)))
        ticks(ax, "x", range(1, len(data) + 1))
        ax.xaxis.tick_top()
        ax.xaxis.set_label_position("top")
        ax.set(yticks=[], xlabel="Mean rank (1 is nearest to retrain)")
        ax.spines[["left", "bottom"]].set_visible(False)
        ax.spines["top"].set_visible(True)


class Differences(Figure):
    """Draw paired differences between folders, a panel a metric and folder.

    Of a frame with columns panel, method, difference and half of its 95 % interval.
    """

    name = "differences"
    title = "Differences"
    wide = True
    panels, columns = "panel", 3
    height, row = 0.05, ROW
    key = False

    def __init__(self, first: str) -> None:
        """Name the folder that others are compared to."""
        self.caption = (
            f"Difference to {first}, mean and 95 % interval over forget sets, paired by seeds."
        )

    def data(self, subject: Gathered) -> pd.DataFrame | None:
        """Return the frame it is made of."""
        return None if subject.frame.empty else subject.frame

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Gathered) -> None:
        """Draw one metric of one folder."""
        spreads(ax, subject, data.rename(columns={"difference": "x"}), subject.labels)
        ax.set_title(self.panel(data))
