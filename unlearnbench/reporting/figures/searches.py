"""What adversarial searches found: how far away, at which radius, and one against another."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from unlearnbench.evaluation.findings import Condition
from unlearnbench.metrics.curves import SCATTERED
from unlearnbench.reporting.figures import drawing
from unlearnbench.reporting.figures.curves import Lines, over_runs
from unlearnbench.reporting.figures.figure import Figure, figure, same_points, together


def searches(subject: Condition, found: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield label and adversarial searches, of its runs whose search has found something."""
    for label in subject.labels:
        every = [detail.get("search") or {} for detail in subject.details(label)]
        if known := [search for search in every if search.get(found)]:
            yield label, known


@figure
class AdversarialDistances(Lines):
    """Draw which share of the forget samples flips within which distance."""

    title = "Adversarial distances"
    caption = (
        "The share of forget samples that have an adversarial example within an l2 distance (images"
        " in [0, 1]); percentiles averaged over runs."
    )
    place = 90
    x, y, dots = "distance", "share", False
    along = ("l2 distance (pixels in [0, 1])", "Forget samples that flip (%)")

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns method, distance and share in percent, a row a percentile.

        A sample that never flips counts as not flipped.
        """
        frames = []
        for label, known in searches(subject, "percentiles"):
            distance = np.mean([search["percentiles"] for search in known], axis=0)
            flipped = np.mean([search["flipped"] / search["samples"] for search in known])
            columns = {"method": label, "distance": distance, "share": np.arange(101) * flipped}
            frames.append(pd.DataFrame(columns).round(4))
        return together(frames)

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw it from no distance and no sample on."""
        super().draw(ax, data, subject)
        ax.set(xlim=(0, 1.02 * float(data["distance"].max())), ylim=(0, 101))


HATCHES = ("", "////", "....", "xxxx")
"""Of bars beside each other, which tell them apart without colours."""


@figure
class FinalRadii(Figure):
    """Draw at which radius how many of the forget samples flipped, a bar a search."""

    title = "Final radius of the search"
    caption = (
        "How many forget samples changed their label at each l2 radius; the search doubles its"
        " radius until it does. Bars: mean over runs; thin lines: one standard deviation on each"
        " side."
    )
    place = 100

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns method, radius, mean and mean_std of the share in percent.

        Of methods whose search doubles a radius; a sample that was misclassified before any step
        has none, and stands at no radius.
        """
        frames = []
        for label, known in searches(subject, "radii"):
            counts = pd.DataFrame([search["radii"] for search in known]).rename(columns=float)
            counts = counts.drop(columns=0.0, errors="ignore").sort_index(axis=1).fillna(0)
            shares = (100 * counts).div([search["samples"] for search in known], axis=0)
            if len(shares.columns):
                frame = over_runs(shares, {"radius": shares.columns})
                frames.append(frame.assign(method=label).round(5))
        return together(frames)

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw bars of methods beside each other at each radius."""
        radii, groups = sorted(data["radius"].unique()), same_points(data)
        width = 0.8 / len(groups)
        for place, group in enumerate(groups):
            title = " = ".join(map(subject.title, group))
            colour = drawing.look_of(subject, group[0]).colour
            for label in group:
                own = data[data["method"] == label]
                at = [radii.index(radius) for radius in own["radius"]]
                x = np.array(at) + (place - (len(groups) - 1) / 2) * width
                hatch = HATCHES[place % len(HATCHES)]
                bars = ax.bar(x, own["mean"], width, color=colour, hatch=hatch, label=title)
                below = own[["mean", "mean_std"]].min(axis=1)
                ends = [below, own["mean_std"]]
                errors = ax.errorbar(x, own["mean"], ends, fmt="none", ecolor="black")
                title = "_"
                drawing.of_method(label, *bars, *errors.lines[2])
                texts = map(drawing.mean_text, own["mean"], own["mean_std"])
                drawing.tell(ax, label, x, own["mean"], list(texts))
        ax.set_xticks(range(len(radii)), [f"{radius:g}" for radius in radii])
        ax.set(xlabel="Final l2 search radius (pixels in [0, 1])", ylabel="Forget samples (%)")


@figure
class SearchAgainstSearch(Figure):
    """Draw how far away two searches find the same samples' examples, as AMUN's figure 9 does."""

    title = "One adversarial search against another"
    caption = (
        "One point for each forget sample of the first run: how far its adversarial example is (l2,"
        " images in [0, 1]) by the search along x, and by another one; above the dashed line the"
        f" other one has to go farther. At most {SCATTERED} samples."
    )
    place = 95
    height = 2.4

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns method, against (the row along x), there and distance, a row a sample.

        Of samples that both searches flip; None where all rows have the same search.
        """
        runs, seeds = subject.runs, ["original_seed", "forget_seed"]
        details = subject.findings.details
        every = [details[run].get("search") or {} for run in runs["run"]]
        runs = runs[["distances" in search for search in every]]
        pairs = runs[seeds].to_numpy().tolist()
        same = [pair == pairs[0] for pair in pairs]
        own = runs.loc[same].drop_duplicates("label")  # of one model, on the same samples
        rows = zip(own["label"], own["run"], strict=True)
        found = {label: details[run]["search"]["distances"] for label, run in rows}
        first, *others = found or [""]
        frames = []
        for label in others:
            pair = {"there": found[first], "distance": found[label]}
            if found[label] != found[first]:
                frame = pd.DataFrame({"method": label, "against": first} | pair)
                frames.append(frame.astype({"there": float, "distance": float}).dropna())
        return together(frames)

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw it, both axes as long as the farther one."""
        end = 1.04 * float(data[["there", "distance"]].max().max())
        ax.plot([0, end], [0, end], **drawing.DASHED)
        for label in data["method"].unique():
            own = data[data["method"] == label]
            style = drawing.look_of(subject, label).style | {"markersize": 3, "linestyle": ""}
            points = ax.plot(own["there"], own["distance"], **style)
            points[0].set_label(subject.title(label))
            drawing.of_method(label, *points)
        against = subject.title(str(data["against"].iloc[0]))
        ax.set(xlim=(0, end), ylim=(0, end), xlabel=f"l2 distance, search of {against}")
        ax.set_ylabel("l2 distance, other search")
