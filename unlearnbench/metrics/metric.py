"""Every metric: an entry here is all that one needs.

It is then computed for every run, and is in runs, summary, gaps and tables. Its class, of `kinds`,
says what its function is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from unlearnbench.audits.attacks import mis
from unlearnbench.audits.roc import auc
from unlearnbench.metrics import distances
from unlearnbench.metrics.kinds import (
    Floats,
    Metric,
    MetricKind,
    OfModel,
    OfModels,
    OfRecord,
    OfRuns,
    OfScores,
    Seen,
    ToRetrain,
    Unit,
    Yardstick,
)

if TYPE_CHECKING:
    import pandas as pd

M = TypeVar("M", bound=Metric)
ACCURACIES = ("forget_accuracy", "retain_accuracy", "test_accuracy")


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
    """Average the absolute gaps run by run, as the paper's code does.

    A mean of absolute values is never below the gap of means.
    """
    return standard.gaps(standard.terms).abs().mean(axis=1, skipna=False)


def _tow(standard: Yardstick) -> pd.Series[float]:
    gaps = standard.gaps([*ACCURACIES])
    return gaps.apply(lambda row: distances.tug_of_war(*row), axis=1)


def _privleak(standard: Yardstick) -> pd.Series[float]:
    return distances.privleak(standard.runs["ft_auc"], standard.ideal(["ft_auc"])["ft_auc"])


def _time_ratio(standard: Yardstick) -> pd.Series[float]:
    retraining = standard.ideal(["seconds"], others=False)["seconds"]
    return standard.runs["seconds"] / retraining


def _on_both(
    name: str,
    title: str,
    short: str,
    output: Literal["margin", "logits"],
    function: Callable[[Floats, Floats], float],
    unit: Unit = "",
    better: Literal["higher", "lower"] = "lower",
) -> list[Metric]:
    """Make two metrics of a distance of outputs: on D_F and on D_T."""
    more: dict[str, Any] = {"unit": unit, "better": better, "function": function, "output": output}
    return [
        ToRetrain(f"{name}_forget", f"{title} on D_F", f"{short} F", part="forget", **more),
        ToRetrain(f"{name}_test", f"{title} on D_T", f"{short} T", part="test", **more),
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
    *_on_both("js", "Jensen-Shannon divergence", "JS", "logits", distances.jensen_shannon),
    OfModels(
        "klom",
        "KLoM on D_F",
        "KLoM F",
        better="lower",
        about="whether the margin of each single sample has retrain's distribution; only with a"
        " hundred models of each kind.",
        function=lambda rows, retrains: float(distances.klom(rows, retrains).mean()),
        least=distances.KLOM_MODELS,
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
    OfRecord("seconds", "Time", unit="s", function=lambda run: run["seconds"]["total"]),
    OfRuns(
        "time_ratio",
        "Share of retraining",
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


def of_class(kind: type[M]) -> list[M]:
    """List the metrics and costs whose functions are given the same, those entered since too."""
    return [metric for metric in (METRICS | COSTS).values() if isinstance(metric, kind)]
