"""Densities of the confidence in the true label, before and after each method."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from unlearnbench.evaluation.findings import Condition
from unlearnbench.metrics.curves import EDGES
from unlearnbench.planning.plan import ORIGINAL, RETRAIN
from unlearnbench.reporting.figures import drawing
from unlearnbench.reporting.figures.figure import ByMethod, figure, together

PARTS = {"density_forget": "Forget set", "density_test": "Test set", "density_retain": "Retain set"}
PROBABILITIES = (0.5, 0.999999, 0.999, 0.99, 0.9, 0.001, 0.000001)
APART = 0.054
"""Confidences that the axis names, first come first served, and how far apart, of its length."""
BEFORE: dict[str, Any] = {"color": "black", "linestyle": (0, (1, 1)), "linewidth": 0.8}
TRIMMED = 0.25
"""Percent of samples below which an outer bin is not drawn."""


@figure
class Confidences(ByMethod):
    """Draw densities of the true label's log-odds on all three sets, a line a method.

    They are binned already: seaborn would do it again.
    """

    title = "Confidence before and after"
    caption = (
        "Share of samples by confidence in the true label, mean over runs, each method in a row of"
        " its own. Band: where a mean over as many retrains lies by chance (95 %). The outermost"
        f" bins hold all that lies beyond: log-odds of {EDGES[0]:g} and {EDGES[-1]:g}, where"
        " confidence is 0 or 1 but for two in a billion."
    )
    place = 40
    panels, columns = "part", 3
    height, row = 0.1, 0.36

    def data(self, subject: Condition) -> pd.DataFrame | None:
        """Return columns part, method, low and high (ends of a bin of log-odds), before, after.

        Shares in percent. retrain_low, retrain_high: where a mean over as many retrains lies 95
        times in 100; with two retrains or more.
        """
        frames = []
        for curve, part in PARTS.items():
            runs = subject.stacked(curve)
            before, retrains = runs.pop(ORIGINAL, None), runs.get(RETRAIN)
            for label, own in runs.items():
                bins = {"part": part, "method": label, "low": EDGES[:-1], "high": EDGES[1:]}
                frame = pd.DataFrame(bins | {"after": own.mean(0)})
                if before is not None:
                    frame["before"] = before.mean(0)
                if retrains is not None and len(retrains) > 1:
                    half = 1.96 * retrains.std(axis=0, ddof=1) / np.sqrt(len(own))
                    frame["retrain_low"] = np.maximum(retrains.mean(0) - half, 0)
                    frame["retrain_high"] = retrains.mean(0) + half
                frames.append(frame)
        data = together(frames)
        if data is None:
            return None
        used = data.loc[data.filter(["before", "after"]).max(axis=1) > TRIMMED, "low"]
        data = data[data["low"].between(used.min(), used.max())].round(3)
        shares = data.filter(["before", "after", "retrain_high"])
        return data.assign(apart=5 * math.ceil(shares.max().max() / 5))

    def draw(self, ax: Axes, data: pd.DataFrame, subject: Condition) -> None:
        """Draw one part of the data."""
        apart = int(data["apart"].iloc[0])
        labels = [label for label in subject.labels if label in set(data["method"])]
        drawing.names(ax, subject, labels)
        drawing.entry(ax, "the method", color="black", linewidth=1.1)
        if "before" in data:
            drawing.entry(ax, subject.title(ORIGINAL), **BEFORE)
        if "retrain_low" in data:
            ax.fill_between([], [], label=drawing.BY_CHANCE, **drawing.SHADED)
        for line, label in enumerate(labels):
            own = data[data["method"] == label]
            # The last bin's value once more, so that its step has a width.
            edges = np.append(own["low"], own["high"].iloc[-1])
            shares = own.filter(regex="before|after|retrain")
            heights = line - pd.concat([shares, shares.iloc[-1:]]) / apart
            if "retrain_low" in heights:
                low, high = heights["retrain_low"], heights["retrain_high"]
                grey = ax.fill_between(edges, low, high, step="post", **drawing.SHADED)
                drawing.of_method(label, grey)
            if "before" in heights:
                steps = ax.step(edges, heights["before"], where="post", **BEFORE)
                drawing.of_method(label, *steps)
            colour = drawing.look_of(subject, label).colour
            steps = ax.step(edges, heights["after"], colour, where="post", linewidth=1.1)
            drawing.of_method(label, *steps)
            # too many bins hold nothing for each to say so
            said = own[own.filter(["before", "after"]).max(axis=1) >= 0.05]
            x, y = (said["low"] + said["high"]) / 2, line - said["after"] / apart
            drawing.tell(ax, label, x, y, [tip(row) for row in said.to_dict("records")])
        ax.set_ylim(len(labels) - 0.9, -1.05)
        ax.set_xlim(float(data["low"].min()), float(data["high"].max()))
        places: dict[float, str] = {}
        start, end = ax.get_xlim()
        for p in PROBABILITIES:
            place, room = math.log(p / (1 - p)), APART * (end - start)
            if start < place < end and all(abs(place - other) > room for other in places):
                places[place] = f"{p:.6f}".rstrip("0")
        ax.set_xticks(list(places), list(places.values()), rotation=90)
        ax.set(title=self.panel(data), xlabel="Confidence in the true label\n(logit scale)")
        ax.spines["left"].set_visible(False)
        ax.grid(axis="y")
        if self.panel(data) == PARTS["density_forget"]:
            ax.set_ylabel(f"Share of samples (height of a row = {apart} %)")


def tip(row: dict[Any, Any]) -> str:
    """Return what a bin's row says."""
    parts = [f"{name} {row[name]:.1f} %" for name in ("before", "after") if name in row]
    return f"log-odds from {row['low']:.1f}: {', '.join(parts)}"
