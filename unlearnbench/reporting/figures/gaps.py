"""Distance to retrain: metric by metric, class by class."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from unlearnbench import registry
from unlearnbench.evaluation.findings import Condition
from unlearnbench.metrics.metric import METRICS, of_kind
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.plan import RETRAIN
from unlearnbench.reporting.figures import drawing
from unlearnbench.reporting.figures.figure import ByMethod, figure, mean_and_spread, together
from unlearnbench.reporting.figures.tradeoffs import (
    Ends,
    beyond_line,
    pointed,
    window,
    with_ranked,
)

SHORT = 2
"""Letters of names that stand beside each other below a column."""
SIGNED, STRONG, MINUS = 20, 0.5, "\N{MINUS SIGN}"
"""Classes up to which cells have room for a sign; share of the colours from which they have one."""
BELOW_ABOVE = LinearSegmentedColormap.from_list(
    "below-above",
    [(0, "#7B6BDB"), (0.5, ("#7B6BDB", 0.0)), (0.5, ("#D55E00", 0.0)), (1, "#D55E00")],
)
"""Through nothing at zero, where the page shows: strong ones stand out on white and on black."""
PARTS = {"class_forget": "Forget set", "class_test": "Test set"}


@figure
class Gaps(ByMethod):
    """Draw the signed gap of every metric to retrain, a shape a method."""

    title = "Distance to retrain, metric by metric"
    caption = (
        "Mean and standard deviation over runs of the signed distance to retrain. Grey: how far"
        " from retrain a retrain is by chance, as a mean over as many runs (95 %). Hollow: methods"
        " that are not ranked, with an arrow where they lie beyond the axes."
    )
    place = 10
    panels, columns = "metric", 3

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns metric, method, gap, gap_std, ranked, and band, NaN where not known."""
        frames, runs = [], subject.runs.dropna(axis=1, how="all")
        for metric in of_kind("level"):
            if f"{metric}_gap" in runs:
                means = mean_and_spread(runs.assign(gap=runs[f"{metric}_gap"]), "gap")
                known = means.assign(metric=metric, band=subject.band(metric))
                frames.append(with_ranked(subject, known))
        return together(frames)

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw one metric."""
        metric, reach = METRICS[self.panel(data)], float(data["band"].iloc[0])
        drawing.band(ax.axvspan, -reach, reach, drawing.BY_CHANCE)
        seen = window(data, "gap", -reach, reach, 0.0)
        hollow = data.loc[~data["ranked"], "method"].tolist()
        spreads(ax, subject, data[["method", "gap", "gap_std"]], seen, hollow)
        unit = "points" if metric.unit else "0 to 1"
        ax.set(title=metric.title, xlabel=f"Difference from retraining ({unit})")


def spreads(
    ax: Axes,
    subject: drawing.Subject,
    data: pd.DataFrame,
    seen: Ends | None = None,
    hollow: Collection[str] = (),
) -> None:
    """Draw a line a method, held to zero; columns are the method, a mean and its spread.

    seen: ends of the axis, beyond which a method is an arrow; None for what all methods take;
    hollow: methods of which there is but an outline.
    """
    ax.axvline(0, **drawing.DASHED)
    if seen:
        ax.set_xlim(seen)
    for label, x, half in data.itertuples(index=False):
        place = subject.labels.index(label)
        drawing.stem(ax, subject, label, (x - half, x + half), (place, place))
        inside, arrow = beyond_line(x, seen) if seen else (x, "")
        if seen and arrow:
            pointed(ax, subject, label, float(np.clip(x, *seen)), place, arrow)
        said = drawing.mean_text(x, half, "+")
        drawing.point(ax, subject, label, inside, place, said, hollow=label in hollow)
    drawing.names(ax, subject, subject.labels)
    ax.grid(axis="y")
    ax.spines["left"].set_visible(False)
    ax.locator_params(axis="x", nbins=6)


@figure
class Classes(ByMethod):
    """Draw how far accuracy is from retrain's, class by class."""

    title = "Accuracy by class"
    caption = (
        "Accuracy on each class minus retrain's on the same forget set, in points, mean over runs;"
        " cells that are far from zero also show the sign."
    )
    place = 70
    panels, columns = "part", 2

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns part, method, class and gap in points."""
        runs, frames = subject.runs, []
        of_runs = [subject.findings.curves[place] for place in runs.index.tolist()]
        for curve, part in PARTS.items():
            values = pd.DataFrame([one.get(curve, []) for one in of_runs], runs.index, dtype=float)
            retrains = values[runs["label"] == RETRAIN].reindex(runs.index)
            ideal = retrains.groupby(runs["forget_seed"]).transform("mean")
            others = runs["label"] != RETRAIN  # whose own distance is none by definition
            mean = (
                (values - ideal)[others]
                .groupby(runs["label"], sort=False)
                .mean()
                .rename_axis("method")
            )
            long = mean.reset_index().melt("method", var_name="class", value_name="gap")
            frames.append(long.assign(part=part).dropna())
        frame = pd.concat(frames, ignore_index=True).round(2)
        if frame.empty:
            return None
        known = subject.findings.classes or class_names(subject.benchmark)
        frame["class"] = frame["class"].map(lambda at: known[at] if at < len(known) else str(at))
        # Colours end where all but the farthest cells lie, on both sides and in both panels.
        return frame.assign(reach=max(float(frame["gap"].abs().quantile(0.98)), 1.0))

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw one part of the data, a cell a method and class."""
        labels = [label for label in subject.labels if label in set(data["method"])]
        order = list(data["class"].unique())
        cells = data.pivot(index="method", columns="class", values="gap").loc[labels, order]
        reach = float(data["reach"].iloc[0])
        owners = np.repeat(labels, len(cells.columns))
        heat(ax, cells, owners, cmap=BELOW_ABOVE, vmin=-reach, vmax=reach)
        if len(order) <= SIGNED:
            gaps = cells.to_numpy()
            for row, column in np.argwhere(abs(gaps) >= STRONG * reach):
                sign = "+" if gaps[row, column] > 0 else MINUS
                text = ax.text(column + 0.5, row + 0.5, sign, ha="center", va="center_baseline")
                drawing.of_method(labels[row], text)
        drawing.names(ax, subject, labels, 0.5)
        ax.set(ylim=(len(labels), 0), title=self.panel(data), xlabel="Class")
        ax.tick_params(axis="x", labelrotation=90 if max(map(len, order)) > SHORT else 0)
        if self.panel(data) == PARTS["class_test"]:
            bar = ax.figure.colorbar(
                ax.collections[0], ax=ax, label="Accuracy minus\nretrain's (points)", extend="both"
            )
            bar.outline.set_visible(False)
        for row, label in enumerate(labels):
            known = cells.loc[label].dropna()
            x, y = cells.columns.get_indexer(known.index) + 0.5, [row + 0.5] * len(known)
            texts = [f"{name}: {gap:+.1f}" for name, gap in known.items()]
            drawing.tell(ax, label, x, y, texts)


def class_names(benchmark: Benchmark) -> Sequence[str]:
    """Return the names of classes where the data set ships and has some."""
    plugin = registry.find("datasets").get(benchmark.data.name)
    if plugin is None or plugin.path.parent != registry.shipped("datasets"):
        return ()
    names = registry.source_class(plugin).classes
    merged = benchmark.data.superclasses
    return ["/".join(names[at] for at in group) for group in merged] if names and merged else names


def heat(ax: Axes, cells: pd.DataFrame, owners: Iterable[str], **style: Any) -> None:
    """Draw a heat map; owners: of which method each cell is a part, row by row."""
    import seaborn as sns  # takes seconds, and only heat maps need it

    sns.heatmap(cells, cbar=False, ax=ax, **style)
    ax.collections[0].set_gid(drawing.METHOD + drawing.AND.join(owners))
    ax.set(xlabel="", ylabel="")
    ax.tick_params(length=0)
