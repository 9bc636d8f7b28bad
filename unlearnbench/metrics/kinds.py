"""What a metric is, and what its function is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from unlearnbench.audits.attacks import View

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Unit = Literal["", "%", "points", "s", "MB", "gradients"]
MetricKind = Literal["level", "distance", "cost"]

RETRAIN = "retrain"
GROUP = ["access", "fraction", "request"]
FORGET_SET = [*GROUP, "forget_seed"]
DIGITS: dict[Unit, int] = {"": 2, "%": 1, "points": 1, "s": 2, "MB": 0, "gradients": 0}


@dataclass(frozen=True)
class Metric:
    """Name a metric for people, and say what is better.

    short: over a column, "" for the title; kind: a level is a property of one model, with retrain's
    value as its ideal, a distance one of a model and retrain, so that it has no gap of its own, a
    cost what a run took; better, ideal: the direction or the value that is best, of distances and
    costs; about: what it is, in Markdown; "" where the page on reading a report tells it.
    """

    name: str
    title: str
    short: str = ""
    unit: Unit = ""
    kind: MetricKind = "distance"
    better: Literal["higher", "lower"] | None = None
    ideal: float | None = None
    about: str = ""

    @property
    def heading(self) -> str:
        """Its name over a column: in short, with its unit and an arrow to what is best."""
        unit = self.unit if self.unit in ("%", "s", "MB") else ""
        arrow = {"higher": "↑", "lower": "↓", None: ""}[self.better]
        if self.ideal is not None:
            arrow = f"→{self.ideal:g}"
        return " ".join(part for part in (self.short or self.title, unit, arrow) if part)

    @property
    def digits(self) -> int:
        """Decimals that tables show."""
        return DIGITS[self.unit]


@dataclass(frozen=True)
class Seen:
    """Hold what is known of one model without the retrains.

    twin: of the model for which forget and test samples changed places, where there is one: its
    membership scores, [n], and the test samples that it forgot.
    """

    view: View
    twin: tuple[Floats, NDArray[np.int64]] | None = None

    def at(self, values: NDArray[Any], part: str) -> NDArray[Any]:
        """Return the values [n] of one part of the samples: forget, retain, test, others, ..."""
        chosen: NDArray[Any] = values[getattr(self.view.samples, part)]
        return chosen


@dataclass(frozen=True)
class Yardstick:
    """Hold runs, and say how far each is from the retrains on its forget set.

    runs: one row each, with label, access, fraction, request, forget_seed, and metrics and costs;
    terms: the levels whose gaps are averaged.
    """

    runs: pd.DataFrame
    terms: list[str]

    def ideal(self, columns: list[str], *, others: bool = True) -> pd.DataFrame:
        """Return, beside each run, the mean of the retrains on its forget set; NaN without one.

        A retrain is measured against the other ones (unless `others` is false): against a mean that
        it is part of it would look closer than it is.
        """
        runs, own = self.runs, self.runs["label"] == RETRAIN
        retrains = runs[own].groupby(FORGET_SET)[columns]
        total = runs[FORGET_SET].join(retrains.sum(min_count=1), on=FORGET_SET)[columns]
        count = runs[FORGET_SET].join(retrains.count(), on=FORGET_SET)[columns]
        if others:
            total = total.sub(runs[columns].where(own, 0.0))
            count = count.sub(own.astype(int), axis=0)
        return total / count.where(count > 0)

    def gaps(self, columns: list[str]) -> pd.DataFrame:
        """Return each run's signed distance to that mean; NaN for a metric that no run has."""
        known = [name for name in columns if name in self.runs]
        return (self.runs[known] - self.ideal(known)).reindex(columns=columns)


@dataclass(frozen=True, kw_only=True)
class OfModel(Metric):
    """A metric of one model by itself. None: it cannot be said of this one."""

    kind: MetricKind = "level"
    function: Callable[[Seen], float | None]


@dataclass(frozen=True, kw_only=True)
class OfScores(Metric):
    """A metric of the headline attack's membership scores [n]; none without references."""

    kind: MetricKind = "level"
    function: Callable[[Seen, Floats], float | None]


@dataclass(frozen=True, kw_only=True)
class ToRetrain(Metric):
    """A metric of a model's outputs and a retrain's on one part; the mean over retrains counts.

    output: margins [n] or logits [n, classes].
    """

    function: Callable[[Floats, Floats], float]
    output: Literal["margin", "logits"]
    part: Literal["forget", "test"]


@dataclass(frozen=True, kw_only=True)
class OfModels(Metric):
    """A metric of margins on D_F by all models of a row [a, n] and all retrains [b, n].

    least: how many of each it needs.
    """

    function: Callable[[Floats, Floats], float]
    least: int


@dataclass(frozen=True, kw_only=True)
class OfRuns(Metric):
    """A metric of runs and the mean of their retrains: one value a run; `needs` these columns."""

    function: Callable[[Yardstick], pd.Series[float]]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OfRecord(Metric):
    """What a run's record says that it cost."""

    kind: MetricKind = "cost"
    better: Literal["higher", "lower"] | None = "lower"
    function: Callable[[Mapping[str, Any]], float | None]
