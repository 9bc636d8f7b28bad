"""What a metric is, what its function is given, and every metric there is.

An entry at the end of this file is all that one needs: it is then computed for every run, and is in
runs, summary, gaps and tables. Its class says what its function is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from unlearnbench.audits.attacks import View, mis
from unlearnbench.audits.roc import Floats, auc
from unlearnbench.metrics import distances

if TYPE_CHECKING:
    import pandas as pd

Unit = Literal["", "%", "points", "s", "MB", "gradients"]
Output = Literal["margin", "logits", "probabilities"]
MetricKind = Literal["level", "distance", "cost"]
M = TypeVar("M", bound="Metric")

RETRAIN = "retrain"
ACCURACIES = ("forget_accuracy", "retain_accuracy", "test_accuracy")
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

    output: margins [n], logits or probabilities [n, classes].
    """

    function: Callable[[Floats, Floats], float]
    output: Output
    part: Literal["forget", "test"]


@dataclass(frozen=True, kw_only=True)
class OfModels(Metric):
    """A metric of margins on one part by all models of a row [a, n] and all retrains [b, n].

    Of a row of retrains itself, half of them are compared with the others. least: how many of each
    it needs.
    """

    function: Callable[[Floats, Floats], float]
    least: int = distances.MANY_MODELS
    part: Literal["forget", "retain", "test"] = "forget"


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


def _accuracy(part: str) -> Callable[[Seen], float]:
    return lambda seen: 100 * float(seen.at(seen.view.signals["correct"], part).mean())


def _confidence(part: str) -> Callable[[Seen], float]:
    return lambda seen: float(seen.at(seen.view.confidence, part).mean())


def _auc(positive: str, negative: str) -> Callable[[Seen, Floats], float]:
    return lambda seen, scores: auc(seen.at(scores, positive), seen.at(scores, negative))


def _after_others(function: Callable[..., float]) -> Callable[..., float | None]:
    """Compute only where requests came before this one: of all that they asked to forget."""
    return lambda seen, *scores: function(seen, *scores) if len(seen.view.samples.earlier) else None


def _mis(seen: Seen) -> float:
    return mis(*(seen.at(seen.view.confidence, part) for part in ("retain", "others", "forget")))


def _swap_auc(seen: Seen, scores: Floats) -> float | None:
    """Average the AUC with that of the run in which forget and test samples changed places.

    Under retraining the two are 100 together, however unlike the two groups are: 50 is ideal.
    """
    if seen.twin is None:
        return None
    forget, (swapped, stand_ins) = seen.view.samples.forget, seen.twin
    return (auc(scores[forget], scores[stand_ins]) + auc(swapped[stand_ins], swapped[forget])) / 2


def _avg_gap(standard: Yardstick) -> pd.Series[float]:
    """Average the absolute gaps run by run.

    So does AMUN's code, but to constants, the means of its retrained models over all forget sets;
    here it is to the retrains on the same forget set. A mean of absolute values is never below the
    gap of means.
    """
    return standard.gaps(standard.terms).abs().mean(axis=1, skipna=False)


def _tow(standard: Yardstick) -> pd.Series[float]:
    return standard.gaps([*ACCURACIES]).apply(lambda row: distances.tug_of_war(*row), axis=1)


def _privleak(standard: Yardstick) -> pd.Series[float]:
    return distances.privleak(standard.runs["ft_auc"], standard.ideal(["ft_auc"])["ft_auc"])


def _time_ratio(standard: Yardstick) -> pd.Series[float]:
    return standard.runs["seconds"] / standard.ideal(["seconds"], others=False)["seconds"]


def _undisturbed_time(run: Mapping[str, Any]) -> float | None:
    """Return the seconds a run took; None where it shared a GPU, which says nothing of its cost."""
    shared = str(run["environment"].get("device")).startswith("cuda") and run.get("neighbours")
    return None if shared else run["seconds"].get("total")


def _on_both(
    name: str,
    title: str,
    short: str,
    output: Output,
    function: Callable[[Floats, Floats], float],
    unit: Unit = "",
    better: Literal["higher", "lower"] = "lower",
) -> list[Metric]:
    """Make two metrics of a distance of outputs: on D_F and on D_T."""
    more: dict[str, Any] = {"unit": unit, "better": better, "function": function, "output": output}
    return [
        ToRetrain(
            f"{name}_forget", f"{title}, forget samples", f"{short} F", part="forget", **more
        ),
        ToRetrain(f"{name}_test", f"{title}, test samples", f"{short} T", part="test", **more),
    ]


def _klom_tails() -> list[Metric]:
    """Make a metric for each part: what KLoM is at most for 95 samples in 100."""
    parts: tuple[Literal["forget", "retain", "test"], ...] = ("forget", "retain", "test")
    return [
        OfModels(
            f"klom_p95_{part}",
            f"KLoM, 95th percentile, {part} samples",
            f"KLoM 95 {part[0].upper()}",
            better="lower",
            about="what KLoM is at most for 95 in 100 samples of that part.",
            function=lambda rows, retrains: float(
                np.percentile(distances.klom(rows, retrains), 95)
            ),
            part=part,
        )
        for part in parts
    ]


_METRICS: list[Metric] = [
    OfModel("forget_accuracy", "Forget accuracy", "Forget acc", "%", function=_accuracy("forget")),
    OfModel("retain_accuracy", "Retain accuracy", "Retain acc", "%", function=_accuracy("retain")),
    OfModel("test_accuracy", "Test accuracy", "Test acc", "%", function=_accuracy("test")),
    OfScores("ft_auc", "FT AUC", unit="%", function=_auc("forget", "others")),
    OfScores("fr_auc", "FR AUC", unit="%", function=_auc("retain", "forget")),
    OfScores("rt_auc", "RT AUC", unit="%", function=_auc("retain", "others")),
    OfModel(
        "all_forget_accuracy",
        "Forget accuracy, all requests",
        "Forget acc all",
        "%",
        function=_after_others(_accuracy("all_forgotten")),
    ),
    OfScores(
        "all_ft_auc",
        "FT AUC, all requests",
        "FT AUC all",
        "%",
        function=_after_others(_auc("all_forgotten", "others")),
    ),
    OfScores(
        "all_fr_auc",
        "FR AUC, all requests",
        "FR AUC all",
        "%",
        function=_after_others(_auc("retain", "all_forgotten")),
    ),
    OfModel(
        "mis",
        "MIS",
        unit="%",
        about="SalUn's MIA efficacy, the share of forget samples that an SVC on the confidence"
        " takes for non-members. Its threshold moves with the model and it has no ideal value but"
        " retrain's.",
        function=_mis,
    ),
    OfModel("forget_confidence", "Forget confidence", function=_confidence("forget")),
    OfModel("test_confidence", "Test confidence", function=_confidence("test")),
    OfRuns("avg_gap", "Average gap", "Avg gap", "points", better="lower", function=_avg_gap),
    OfRuns(
        "tow",
        "Tug of war",
        "ToW",
        better="higher",
        about="product of 1 - |gap| of the three accuracies; 1 is retrain.",
        function=_tow,
        needs=ACCURACIES,
    ),
    OfRuns(
        "privleak",
        "PrivLeak",
        unit="%",
        ideal=0,
        about="distance of the FT AUC to retrain's, in percent of it.",
        function=_privleak,
        needs=("ft_auc",),
    ),
    *_on_both("w1", "Wasserstein-1", "W1", "margin", distances.wasserstein),
    *_on_both("ks", "Kolmogorov-Smirnov", "KS", "margin", distances.kolmogorov_smirnov),
    *_on_both("agreement", "Agreement", "Agree", "logits", distances.agreement, "%", "higher"),
    *_on_both("js", "Jensen-Shannon divergence", "JS", "probabilities", distances.jensen_shannon),
    OfModels(
        "klom",
        "KLoM, forget samples",
        "KLoM F",
        better="lower",
        about="whether the margin of each single sample has retrain's distribution; only with a"
        " hundred models of each kind.",
        function=lambda rows, retrains: float(distances.klom(rows, retrains).mean()),
    ),
    *_klom_tails(),
    OfModels(
        "forgetting_quality",
        "Forgetting quality",
        "Quality",
        better="higher",
        about="of the NeurIPS 2023 competition, 1 at best: how surely the margin of each forget"
        " sample tells unlearned models from retrained ones (its epsilon), in points; only with a"
        " hundred models of each kind. Compare with the row of retrains, half of them against the"
        " others: it is far below 1, since of all rules to tell them apart the best one counts.",
        function=distances.forgetting_quality,
    ),
    OfScores(
        "swap_auc",
        "SWAP AUC",
        unit="%",
        kind="distance",
        ideal=50,
        about="mean of two AUCs, one with the forget set forgotten, one with as many test samples"
        " in its place. Under retraining 50 whatever sets the two groups apart, so it takes out a"
        " shift between training and test data (`--set swap=true`).",
        function=_swap_auc,
    ),
]
METRICS = {metric.name: metric for metric in _METRICS}
"""By name, in the order of summary.csv."""
_COSTS: list[Metric] = [
    OfRecord("seconds", "Time", unit="s", function=_undisturbed_time),
    OfRuns(
        "time_ratio",
        "Time (x retraining)",
        kind="cost",
        better="lower",
        function=_time_ratio,
        needs=("seconds",),
    ),
    OfRecord("gradients", "Gradients", unit="gradients", function=lambda run: run["gradients"]),
    OfRecord("memory", "Memory", unit="MB", function=lambda run: run["peak memory MB"]),
]
COSTS = {metric.name: metric for metric in _COSTS}


def of_kind(kind: MetricKind) -> list[str]:
    """List the names of the metrics and costs of a kind, those entered since too."""
    return [name for name, metric in (METRICS | COSTS).items() if metric.kind == kind]


def of_type(kind: type[M]) -> list[M]:
    """List the metrics and costs whose functions are given the same, those entered since too."""
    return [metric for metric in (METRICS | COSTS).values() if isinstance(metric, kind)]


def known(name: str) -> Metric:
    """Return a metric or cost by name."""
    return METRICS[name] if name in METRICS else COSTS[name]
