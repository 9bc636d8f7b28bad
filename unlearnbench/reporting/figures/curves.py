"""Lines, one a method: ROC curves, effects by memorisation, searches, epochs, requests."""

from collections.abc import Mapping
from itertools import product
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from unlearnbench.evaluation.findings import Condition
from unlearnbench.metrics.curves import abscissa
from unlearnbench.metrics.metric import METRICS
from unlearnbench.planning.plan import ORIGINAL, RETRAIN
from unlearnbench.reporting.figures import drawing
from unlearnbench.reporting.figures.figure import (
    Figure,
    figure,
    mean_and_spread,
    same_points,
    together,
)

OTHER: dict[str, Any] = {"color": drawing.OTHER.colour, "linewidth": 0.5, "zorder": 1.5}
BETWEEN = 0.18
"""Share of the axes' diagonal between two marks of a line whose points have none."""


def curve(subject: Condition, name: str, x: str, y: str = "mean") -> pd.DataFrame | None:
    """Return a curve's mean and spread, of points that all runs of a method have; of one, None."""
    frames = []
    for label, runs in subject.stacked(name).items():
        places = abscissa(name, runs.shape[1], subject.findings.references)
        frames.append(over_runs(runs, {"method": label, x: places}, y).dropna().round(5))
    data = together(frames)
    return data if data is not None and data[x].nunique() > 1 else None


def over_runs(values: Any, beside: Mapping[str, Any], y: str = "mean") -> pd.DataFrame:
    """Return mean and spread of values, [runs, points], beside other columns."""
    runs = np.array(values, dtype=float)
    std = runs.std(axis=0, ddof=1) if len(runs) > 1 else 0.0
    return pd.DataFrame({**beside, y: runs.mean(axis=0), f"{y}_std": std})


class Lines(Figure):
    """Draw a line a method from a column x of the data to a column y.

    Of many methods the leading ones have a colour, and the others are thin and grey; those with the
    very same points are one line with the names of all. Band: how far single retrains lie from
    their mean, where the data have a column <y>_std. Panels are called by what stands along y.
    base: of the logarithm along x, 0 for none; dots: whether each point has a mark, and not some
    places along a line; signed: whether y may be below 0, and is no percentage.
    """

    x: ClassVar[str]
    y: ClassVar[str] = "mean"
    along: ClassVar[tuple[str, str]]
    base: ClassVar[int] = 0
    dots: ClassVar[bool] = True
    signed: ClassVar[bool] = False

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Any) -> None:
        """Draw the lines of one panel."""
        x, y, std = self.x, self.y, f"{self.y}_std"
        retrain = data[data["method"] == RETRAIN]
        if len(retrain) and std in data:
            low, high = retrain[y] - retrain[std], retrain[y] + retrain[std]
            if not self.signed:
                low, high = low.clip(lower=0), high.clip(upper=100)
            ax.fill_between(retrain[x], low, high, label=drawing.ONE_STD, **drawing.SHADED)
        shown = [*drawing.REFERENCES, *drawing.leaders(subject, set(data["method"]))]
        # in panels of their own the same methods may lie apart
        groups = [[n] for n in data["method"].unique()] if self.panels else same_points(data, shown)
        for place, (first, *others) in enumerate(groups):
            style, title = OTHER, "_"
            if first in shown:
                style = self._style(drawing.look_of(subject, first), first, place / len(groups))
                title = " = ".join(map(subject.title, [first, *others]))
            for label in [first, *others]:
                own = data[data["method"] == label].sort_values(x)
                drawing.of_method(label, *ax.plot(own[x], own[y], label=title, **style))
                title = "_"
                points = zip(own[x], own[y], own.get(std, [0.0] * len(own)), strict=True)
                texts = [f"{at:g}: {drawing.mean_text(*mean)}" for at, *mean in points]
                drawing.tell(ax, label, own[x], own[y], texts)
        if any(first not in shown for first, *_ in groups):
            drawing.entry(ax, drawing.OTHERS, **OTHER)
        if self.base:
            ax.set_xscale("log", base=self.base)
        if self.dots:
            places = sorted(data[x].unique())
            drawing.ticks(ax.xaxis, places[:: 1 + len(places) // 13])
        panel = self.panel(data)
        metric = drawing.axis_title(panel) if panel in METRICS else panel
        ax.set(xlabel=self.along[0], ylabel=self.along[1] or metric)

    def _style(self, look: drawing.Look, label: str, place: float) -> dict[str, Any]:
        """Return how a line looks; place: from 0 to 1, by which marks of lines stand apart."""
        marks = None if self.dots else (place * BETWEEN, BETWEEN)
        stroke: dict[str, Any] = drawing.STROKES.get(label, {"zorder": 2.5})
        return look.style | {"markevery": marks} | stroke


@figure
class Roc(Lines):
    """Draw the ROC curves of the attack behind FT AUC, both axes logarithmic."""

    title = "ROC curves"
    caption = (
        "Of the attack behind FT AUC: forget samples against non-members, mean over runs, from the"
        " smallest false-positive rate that so many non-members can show. Dashed: guessing. Marks"
        " only tell lines apart."
    )
    place = 50
    height = 2.2
    x, y, dots = "fpr", "tpr", False
    along = ("False-positive rate (%)", "True-positive rate (%)")

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns method, fpr, tpr and tpr_std in percent, at fixed false-positive rates."""
        frame = curve(subject, "roc", "fpr", "tpr")
        return None if frame is None else frame[frame["tpr"] > 0]

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw it; what is drawn must be above zero."""
        lowest = float(data["fpr"].min())
        ax.plot([lowest, 100], [lowest, 100], **drawing.DASHED)
        spread = data["tpr_std"].clip(upper=data["tpr"] * 0.99)
        super().draw(ax, data.assign(tpr_std=spread), subject)
        ax.set(xscale="log", yscale="log", xlim=(lowest, 100), ylim=(lowest, 100))
        for axis in (ax.xaxis, ax.yaxis):
            drawing.ticks(axis, drawing.decades(lowest, 100, 1))


@figure
class AucReferences(Lines):
    """Draw FT AUC against the number of reference models, each step twice as many."""

    title = "FT AUC by the number of reference models"
    caption = (
        "Where a line has become flat, more reference models would change little. RMIA's AUC with"
        " 2, 4, 8, ... reference models for each sample, half of them trained on it; the fewer are"
        " among the more. Mean over runs."
    )
    place = 60
    x, y, base = "references", "ft_auc", 2
    along = ("Reference models", "FT AUC (%)")

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns method, references, ft_auc and ft_auc_std in percent."""
        return curve(subject, "references", "references", "ft_auc")


@figure
class Memorisation(Lines):
    """Draw forget accuracy and FT AUC by how much samples are memorised."""

    title = "Effects by memorisation"
    caption = (
        "Samples are grouped by memorisation: how much more confident models trained on a sample"
        " are than models that never saw it. Compare with retrain: within a tenth (decile) its AUC"
        " need not be 50 %. Mean over runs."
    )
    place = 80
    wide = True
    panels, columns = "metric", 2
    x, along = "group", ("Memorisation decile (1 = least)", "")

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns metric, method, group (1: the least memorised), mean and mean_std."""
        metrics = {"decile_accuracy": "forget_accuracy", "decile_auc": "ft_auc"}
        found = {metric: curve(subject, name, "group") for name, metric in metrics.items()}
        return together([f.assign(metric=metric) for metric, f in found.items() if f is not None])


@figure
class AfterEpochs(Lines):
    """Draw accuracies after each epoch of unlearning, where they were noted."""

    title = "Accuracy while unlearning"
    caption = "After each epoch, mean over runs. Dashed: where retrain ends."
    place = 110
    wide = True
    panels, columns = "metric", 2
    x, along = "epoch", ("Epoch", "")

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns metric, method, epoch, mean and mean_std, of methods that noted all."""
        frames = []
        for metric, label in product(("test_accuracy", "forget_accuracy"), subject.labels):
            traces = [run.get("curve", {}).get(metric) for run in subject.details(label)]
            if label not in (ORIGINAL, RETRAIN) and all(traces):
                frame = over_runs(traces, {"epoch": range(1, len(traces[0]) + 1)}).round(3)
                frames.append(frame.assign(metric=metric, method=label))
        return together(frames)

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw one metric, and retrain's mean."""
        retrains = subject.runs.loc[subject.runs["label"] == RETRAIN, self.panel(data)]
        ax.axhline(float(retrains.mean()), **drawing.DASHED)
        super().draw(ax, data, subject)


def of_sequence(subject: Condition) -> pd.DataFrame | None:
    """Return the runs of all requests of a sequence at its last one, None anywhere else."""
    last = subject.benchmark.forget.requests
    if last == 1 or subject.request != last:
        return None
    runs = subject.findings.runs
    runs = runs[(runs["access"] == subject.access) & (runs["fraction"] == subject.fraction)]
    return runs[runs["label"].isin(subject.labels)].dropna(axis=1, how="all")


@figure
class ForgettingByRequest(Lines):
    """Draw FR AUC minus FT AUC after each request, as AMUN's figure 2 does."""

    title = "Forgetting, request by request"
    caption = (
        "FR AUC minus FT AUC after each request of the sequence, mean over runs: 0 where forget"
        " samples are no easier to tell from retained ones than from test samples. Methods should"
        " be close to retrain."
    )
    place = 115
    signed = True
    x, along = "request", ("Request", "FR AUC - FT AUC (points)")

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns method, request, mean and mean_std."""
        runs = of_sequence(subject)
        if runs is None or not {"ft_auc", "fr_auc"} <= set(runs):
            return None
        apart = runs.assign(mean=runs["fr_auc"] - runs["ft_auc"])
        return mean_and_spread(apart, "mean", by=("label", "request"))


@figure
class AfterRequests(Lines):
    """Draw metrics after each request of a sequence, once, with the last one's tables."""

    title = "After each request"
    caption = "Mean over runs after each request of the sequence."
    place = 120
    wide = True
    panels, columns = "metric", 2
    height = 1.4
    x, along = "request", ("Request", "")

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns metric, method, request, mean and mean_std."""
        runs = of_sequence(subject)
        if runs is None:
            return None
        frames = []
        for metric in ("ft_auc", "fr_auc", "all_ft_auc", "all_fr_auc", "test_accuracy", "avg_gap"):
            if metric in runs:
                # what one request and all before it asked to forget is what the first one did
                values = runs[metric].fillna(runs[metric.removeprefix("all_")])
                means = mean_and_spread(runs.assign(mean=values), "mean", by=("label", "request"))
                frames.append(means.assign(metric=metric))
        return together(frames)
