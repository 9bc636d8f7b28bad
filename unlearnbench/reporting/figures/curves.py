"""Lines, one a method: ROC curves, effects by memorisation, searches, epochs, requests."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from unlearnbench.evaluation.findings import Condition
from unlearnbench.metrics.curves import abscissa
from unlearnbench.metrics.metric import METRICS
from unlearnbench.planning.plan import ORIGINAL, RETRAIN
from unlearnbench.reporting.figures.drawing import DASHED, axis_title, decades, lines, ticks
from unlearnbench.reporting.figures.figure import Figure, figure


def curve(subject: Condition, name: str, x: str, y: str) -> pd.DataFrame:
    """Return a curve's mean and spread over runs, a row a method and point where all have one."""
    frames = [pd.DataFrame(columns=["method", x, y, f"{y}_std"])]
    for label, runs in subject.stacked(name).items():
        places = abscissa(name, runs.shape[1], subject.findings.references)
        std = runs.std(axis=0, ddof=1) if len(runs) > 1 else 0.0
        frame = pd.DataFrame({"method": label, x: places, y: runs.mean(axis=0), f"{y}_std": std})
        frames.append(frame.dropna())
    return pd.concat(frames[1:] or frames, ignore_index=True).round(5)


def over_runs(values: Any, x: str, places: Any) -> pd.DataFrame:
    """Return columns x, mean and mean_std of values, [runs, points]."""
    values = np.array(values, dtype=float)
    std = values.std(axis=0, ddof=1) if len(values) > 1 else 0.0
    return pd.DataFrame({x: places, "mean": values.mean(axis=0), "mean_std": std})


class Lines(Figure):
    """Draw a line a method from a column x of the data to a column y, with a mark at each point.

    Panels are called by what stands along y. base: of the logarithm along x, 0 for none.
    """

    x: ClassVar[str]
    y: ClassVar[str] = "mean"
    along: ClassVar[tuple[str, str]]
    base: ClassVar[int] = 0
    dots: ClassVar[bool] = True

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Any) -> None:
        """Draw the lines of one panel."""
        lines(ax, subject, data, self.x, self.y, dots=self.dots)
        if self.base:
            ax.set_xscale("log", base=self.base)
        if self.dots:
            places = sorted(data[self.x].unique())
            ticks(ax, "x", places[:: 1 + len(places) // 13])
        panel = self.panel(data)
        metric = axis_title(panel) if panel in METRICS else panel
        ax.set(xlabel=self.along[0], ylabel=self.along[1] or metric)


@figure
class Roc(Lines):
    """Draw RMIA's ROC curves, both axes logarithmic."""

    name = "roc"
    title = "ROC curves of RMIA"
    caption = (
        "Forget samples against non-members, mean over runs, both axes logarithmic. Dashed:"
        " guessing. Grey: one standard deviation of retrain."
    )
    place = 50
    height = 2.2
    x, y, dots = "fpr", "tpr", False
    along = ("False-positive rate (%)", "True-positive rate (%)")

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns method, fpr, tpr and tpr_std in percent, at fixed false-positive rates."""
        frame = curve(subject, "roc", "fpr", "tpr")
        frame = frame[frame["tpr"] > 0]
        return None if frame.empty else frame

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw it; what is drawn must be above zero."""
        lowest = float(data[["fpr", "tpr"]].min().min())
        ax.plot([lowest, 100], [lowest, 100], **DASHED)
        spread = data["tpr_std"].clip(upper=data["tpr"] * 0.99)
        super().draw(ax, data.assign(tpr_std=spread), subject)
        ax.set(xscale="log", yscale="log", xlim=(lowest, 100), ylim=(lowest, 100))
        for along in "xy":
            ticks(ax, along, decades(lowest, 100, 1))


@figure
class AucReferences(Lines):
    """Draw FT AUC against the number of reference models, each step twice as many."""

    name = "auc-references"
    title = "FT AUC against the number of references"
    caption = (
        "RMIA's AUC with 2, 4, 8, ... reference models for each sample, half of them trained on it."
        " Mean over runs; grey: one standard deviation of retrain."
    )
    place = 60
    x, y, base = "references", "ft_auc", 2
    along = ("Reference models", "FT AUC (%)")

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns method, references, ft_auc and ft_auc_std in percent."""
        frame = curve(subject, "references", "references", "ft_auc")
        return frame if frame["references"].nunique() > 1 else None


@figure
class Memorisation(Lines):
    """Draw forget accuracy and FT AUC by how much samples are memorised."""

    name = "memorisation"
    title = "Effects by memorisation"
    caption = (
        "Forget samples in equal groups by how much surer reference models trained on a sample are"
        " of it than others. Retrain is what to compare with: within a group its AUC need not be 50"
        " %. Mean over runs; grey: one standard deviation of retrain."
    )
    place = 80
    wide = True
    panels, columns = "metric", 2
    x, along = "group", ("Forget samples, least to most memorised", "")

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns metric, method, group (1: the least memorised), mean and mean_std."""
        frames = [
            curve(subject, f"decile_{name}", "group", "mean").assign(metric=metric)
            for name, metric in (("accuracy", "forget_accuracy"), ("auc", "ft_auc"))
        ]
        if any(frame["group"].nunique() < 2 for frame in frames):
            return None
        return pd.concat(frames, ignore_index=True)


def searches(subject: Condition) -> dict[str, list[dict[str, Any]]]:
    """Return what the adversarial searches of each row's runs found, where there were any."""
    runs = {
        label: [detail.get("search") or {} for detail in subject.details(label)]
        for label in subject.labels
    }
    return {label: searches for label, searches in runs.items() if any(searches)}


@figure
class AdversarialDistances(Lines):
    """Draw which share of the forget samples flips within which distance."""

    name = "adversarial-distances"
    title = "Adversarial distances"
    caption = (
        "Which share of the forget samples has an adversarial example within an l2 distance (images"
        " in [0, 1]); percentiles averaged over runs."
    )
    place = 90
    x, y, dots = "distance", "share", False
    along = ("l2 distance of the adversarial example", "Forget samples that flip (%)")

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns method, distance and share in percent, a row a percentile.

        A sample that never flips counts as not flipped.
        """
        frames = []
        for label, runs in searches(subject).items():
            if known := [search for search in runs if search.get("percentiles")]:
                distance = np.mean([search["percentiles"] for search in known], axis=0)
                flipped = np.mean([search["flipped"] / search["samples"] for search in known])
                columns = {"distance": distance, "share": np.arange(101) * flipped}
                frames.append(pd.DataFrame({"method": label} | columns))
        return pd.concat(frames, ignore_index=True).round(4) if frames else None


@figure
class FinalRadii(Lines):
    """Draw up to which radius the search had to go for how many of the forget samples."""

    name = "final-radii"
    title = "Final radius of the search"
    caption = (
        "Which share of the forget samples flipped within which l2 radius, doubled from the first"
        " one until the label flips; mean over runs."
    )
    place = 100
    x, base = "radius", 2
    along = ("Radius at which the label flipped", "Forget samples (%)")

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns method, radius, mean and mean_std of the share in percent.

        Of methods whose search doubles a radius; a sample that was misclassified before any step
        has none, and stands at no radius.
        """
        frames = []
        for label, runs in searches(subject).items():
            known = [search for search in runs if search.get("radii")]
            radii = sorted({float(r) for search in known for r in search["radii"]} - {0.0})
            shares = [
                [
                    100 * search["radii"].get(f"{radius:g}", 0) / search["samples"]
                    for radius in radii
                ]
                for search in known
            ]
            if radii:
                frames.append(over_runs(shares, "radius", radii).assign(method=label))
        return pd.concat(frames, ignore_index=True).round(5) if frames else None


@figure
class AfterEpochs(Lines):
    """Draw accuracies after each epoch of unlearning, where they were noted."""

    name = "after-epochs"
    title = "Accuracy while unlearning"
    caption = "After each epoch, mean over runs. Dashed: retrain."
    place = 110
    wide = True
    panels, columns = "metric", 2
    x, along = "epoch", ("Epoch", "")

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns metric, method, epoch, mean and mean_std, of methods that noted all."""
        frames = []
        for metric in ("test_accuracy", "forget_accuracy"):
            for label in subject.labels:
                traces = [run.get("curve", {}).get(metric) for run in subject.details(label)]
                if label not in (ORIGINAL, RETRAIN) and all(traces):
                    epochs = np.arange(1, len(traces[0]) + 1)
                    frame = over_runs(traces, "epoch", epochs)
                    frames.append(frame.assign(metric=metric, method=label))
        return pd.concat(frames, ignore_index=True).round(3) if frames else None

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw one metric, and retrain's mean."""
        retrains = subject.runs.loc[subject.runs["label"] == RETRAIN, self.panel(data)]
        ax.axhline(float(retrains.mean()), **DASHED)
        super().draw(ax, data, subject)


@figure
class AfterRequests(Lines):
    """Draw metrics after each request of a sequence, once, with the last one's tables."""

    name = "after-requests"
    title = "After each request"
    caption = (
        "Mean over runs after each request of the sequence; grey: one standard deviation of"
        " retrain."
    )
    place = 120
    wide = True
    panels, columns = "metric", 2
    height = 1.4
    x, along = "request", ("Request", "")

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns metric, method, request, mean and mean_std."""
        last = subject.benchmark.forget.requests
        if last == 1 or subject.request != last:
            return None
        runs = subject.findings.runs
        runs = runs[(runs["access"] == subject.access) & (runs["fraction"] == subject.fraction)]
        runs = runs[runs["label"].isin(subject.labels)]
        frames = []
        for metric in ("ft_auc", "fr_auc", "all_ft_auc", "all_fr_auc", "test_accuracy", "avg_gap"):
            if metric in runs and runs[metric].notna().any():
                # what one request and all before it asked to forget is what the first one did
                values = runs[metric].fillna(runs[metric.removeprefix("all_")])
                grouped = values.groupby([runs["label"], runs["request"]], sort=False)
                frame = pd.DataFrame({"mean": grouped.mean(), "mean_std": grouped.std(ddof=1)})
                frame = frame.dropna(subset="mean").fillna(0.0)
                frame = frame.rename_axis(["method", "request"]).reset_index()
                frames.append(frame.assign(metric=metric))
        return pd.concat(frames, ignore_index=True) if frames else None
