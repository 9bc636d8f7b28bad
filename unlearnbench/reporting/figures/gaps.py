"""Distance to retrain: metric by metric, class by class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from unlearnbench.evaluation.findings import Condition
from unlearnbench.metrics.metric import METRICS, of_kind
from unlearnbench.planning.plan import RETRAIN
from unlearnbench.reporting.figures.drawing import (
    DASHED,
    METHOD,
    Subject,
    band,
    few,
    mean_text,
    names,
    point,
    spread,
    tell,
)
from unlearnbench.reporting.figures.figure import Figure, figure

PARTS = {"class_forget": "Forget set", "class_test": "Test set"}
ROW = 0.15
"""Inches between two methods."""


@figure
class Gaps(Figure):
    """Draw the signed gap of every metric to retrain, a shape a method."""

    name = "gaps"
    title = "Distance to retrain, metric by metric"
    caption = (
        "Mean and standard deviation over runs of the signed distance to retrain. Grey: how far"
        " one retrain is from another by chance (95 %)."
    )
    place = 10
    wide = True
    panels, columns = "metric", 3
    height, row = 0.05, ROW
    key = False

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns metric, method, gap, gap_std, and band, NaN where nobody knows it."""
        frames = []
        for metric in of_kind("level"):
            column = f"{metric}_gap"
            if column in subject.runs and subject.runs[column].notna().any():
                gaps = subject.runs.groupby("label", sort=False)[column]
                frame = pd.DataFrame({"gap": gaps.mean(), "gap_std": gaps.std(ddof=1).fillna(0.0)})
                frame = frame.rename_axis("method").reset_index().dropna(subset="gap")
                frames.append(frame.assign(metric=metric, band=subject.band(metric)))
        return pd.concat(frames, ignore_index=True) if frames else None

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw one metric."""
        metric, reach = METRICS[self.panel(data)], float(data["band"].iloc[0])
        band(ax, -reach, reach, "x")
        spreads(ax, subject, data.rename(columns={"gap": "x", "gap_std": "half"}), subject.labels)
        ax.set_title(f"{metric.title} ({'points' if metric.unit else 'probability'})")


def spreads(ax: Axes, subject: Subject, data: pd.DataFrame, labels: Sequence[str]) -> None:
    """Draw a line a method with its mean and spread, held to zero; columns method, x, half."""
    ax.axvline(0, **DASHED)
    for label, x, half in data[["method", "x", "half"]].itertuples(index=False):
        place = labels.index(label)
        spread(ax, subject, label, (x, place), (half, None))
        point(ax, subject, label, (x, place))
        tell(ax, label, [x], [place], [mean_text(x, half, "+")])
    names(ax, subject, labels)
    ax.grid(axis="y")
    ax.spines["left"].set_visible(False)
    few(ax, "x", 6)


@figure
class Classes(Figure):
    """Draw how far accuracy is from retrain's, class by class."""

    name = "classes"
    title = "Accuracy by class"
    caption = (
        "Distance of the accuracy on each class to retrain's on the same forget set, in points,"
        " mean over runs."
    )
    place = 70
    wide = True
    panels, columns = "part", 2
    height, row = 0.05, ROW
    key = False

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns part, method, class and gap in points."""
        runs = subject.runs
        frames = []
        for curve, part in PARTS.items():
            values = pd.DataFrame(
                [subject.findings.curves[int(str(place))].get(curve, []) for place in runs.index],
                index=runs.index,
                dtype=float,
            )
            ideal = values[runs["label"] == RETRAIN].groupby(runs["forget_seed"]).mean()
            gap = values - ideal.reindex(runs["forget_seed"]).set_axis(runs.index)
            mean = gap.groupby(runs["label"], sort=False).mean().rename_axis("method")
            long = mean.reset_index().melt("method", var_name="class", value_name="gap")
            frames.append(long.assign(part=part).dropna())
        frame = pd.concat(frames, ignore_index=True).round(2)
        if frame.empty:
            return None
        # Colours end where all but the farthest cells lie, on both sides and in both panels.
        return frame.assign(reach=max(float(frame["gap"].abs().quantile(0.98)), 1.0))

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw one part of the data, a cell a method and class."""
        labels = [label for label in subject.labels if label in set(data["method"])]
        cells = data.pivot(index="method", columns="class", values="gap").loc[labels]
        reach = float(data["reach"].iloc[0])
        owners = [label for label in labels for _ in cells.columns]
        heat(ax, cells, owners, cmap="PuOr_r", vmin=-reach, vmax=reach)
        names(ax, subject, labels, 0.5)
        ax.set_ylim(len(labels), 0)
        ax.tick_params(axis="x", labelrotation=0)
        ax.set_title(self.panel(data))
        ax.set_xlabel("Class")
        if self.panel(data) == PARTS["class_test"]:
            bar = ax.figure.colorbar(ax.collections[0], ax=ax, label="points", extend="both")
            bar.outline.set_visible(False)
        for row, label in enumerate(labels):
            known = cells.loc[label].dropna()
            tell(
                ax,
                label,
                cells.columns.get_indexer(known.index) + 0.5,
                np.full(len(known), row + 0.5),
                [f"class {name}: {gap:+.1f}" for name, gap in known.items()],
            )


def heat(ax: Axes, cells: pd.DataFrame, owners: Sequence[str], **style: Any) -> None:
    """Draw a heat map; owners: of which method each cell is a part, row by row."""
    import seaborn as sns

    sns.heatmap(cells, cbar=False, ax=ax, **style)
    ax.collections[0].set_gid(METHOD + "\n".join(owners))
    ax.set(xlabel="", ylabel="")
    ax.tick_params(length=0)
