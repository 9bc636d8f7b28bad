"""All metrics of one model against one forget set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unlearnbench.metrics.attacks import HEADLINE, View, possible, score
from unlearnbench.metrics.bank import Bank
from unlearnbench.metrics.curves import Curves, curves
from unlearnbench.metrics.inference import Part
from unlearnbench.metrics.roc import auc, balanced_accuracy, placements, tpr_at_fpr
from unlearnbench.metrics.svc import mis

FPRS = (0.01, 0.001)
"""False-positive rates at which the share of found members is read."""


@dataclass(frozen=True)
class Metric:
    """Name a metric for people, and as a table's heading; an arrow says what is better.

    level: a property of one model, with retrain's value as its ideal; distance: one of a model and
    retrain, so that it has no gap of its own. about: what it is, in Markdown, for the page that
    says how to read a report; "" where that page tells of several at once.
    """

    title: str
    heading: str
    unit: Literal["%", ""] = "%"
    kind: Literal["level", "distance"] = "level"
    about: str = ""


METRICS: dict[str, Metric] = {
    "forget_accuracy": Metric("Forget accuracy", "Forget acc %"),
    "retain_accuracy": Metric("Retain accuracy", "Retain acc %"),
    "test_accuracy": Metric("Test accuracy", "Test acc %"),
    "ft_auc": Metric("FT AUC", "FT AUC %"),
    "fr_auc": Metric("FR AUC", "FR AUC %"),
    "rt_auc": Metric("RT AUC", "RT AUC %"),
    "all_forget_accuracy": Metric("Forget accuracy, all requests", "Forget acc all %"),
    "all_ft_auc": Metric("FT AUC, all requests", "FT AUC all %"),
    "all_fr_auc": Metric("FR AUC, all requests", "FR AUC all %"),
    "mis": Metric(
        "MIS",
        "MIS %",
        about="SalUn's MIA efficacy, the share of forget samples that an SVC on the confidence"
        " takes for non-members. Its threshold moves with the model and it has no ideal value but"
        " retrain's.",
    ),
    "forget_confidence": Metric("Forget confidence", "Forget confidence", ""),
    "test_confidence": Metric("Test confidence", "Test confidence", ""),
    "avg_gap": Metric("Average gap", "Avg gap ↓", kind="distance"),
    "tow": Metric(
        "Tug of war",
        "ToW ↑",
        "",
        "distance",
        about="product of 1 - |gap| of the three accuracies; 1 is retrain.",
    ),
    "privleak": Metric(
        "PrivLeak",
        "PrivLeak % →0",
        kind="distance",
        about="distance of the FT AUC to retrain's, in percent of it.",
    ),
    "w1_forget": Metric("Wasserstein-1 on D_F", "W1 F ↓", "", "distance"),
    "w1_test": Metric("Wasserstein-1 on D_T", "W1 T ↓", "", "distance"),
    "ks_forget": Metric("Kolmogorov-Smirnov on D_F", "KS F ↓", "", "distance"),
    "ks_test": Metric("Kolmogorov-Smirnov on D_T", "KS T ↓", "", "distance"),
    "agreement_forget": Metric("Agreement on D_F", "Agree F % ↑", kind="distance"),
    "agreement_test": Metric("Agreement on D_T", "Agree T % ↑", kind="distance"),
    "js_forget": Metric("Jensen-Shannon divergence on D_F", "JS F ↓", "", "distance"),
    "js_test": Metric("Jensen-Shannon divergence on D_T", "JS T ↓", "", "distance"),
    "klom": Metric(
        "KLoM on D_F",
        "KLoM F ↓",
        "",
        "distance",
        about="whether the margin of each single sample has retrain's distribution; only with a"
        " hundred models of each kind.",
    ),
    "swap_auc": Metric(
        "SWAP AUC",
        "SWAP AUC % →50",
        kind="distance",
        about="mean of two AUCs, one with the forget set forgotten, one with as many test samples"
        " in its place. Under retraining 50 whatever sets the two groups apart, so it takes out a"
        " shift between training and test data (`--set swap=true`).",
    ),
}
LEVELS = [name for name, metric in METRICS.items() if metric.kind == "level"]


@dataclass(frozen=True)
class Attacked:
    """Hold what one attack finds in one model: forget samples against non-members.

    part: the AUC with its sampling distribution; rates: TPR in percent by FPR, None where there are
    too few non-members; balanced: balanced accuracy in percent, at a threshold chosen on other
    samples.
    """

    part: Part
    rates: dict[float, float | None]
    balanced: float


@dataclass(frozen=True)
class Evaluation:
    """Hold every metric of one model that needs no other model, every attack on it, its curves."""

    values: dict[str, float]
    attacks: dict[str, Attacked]
    curves: Curves


def evaluate(view: View, bank: Bank | None, attacks: list[str], forget_set: object) -> Evaluation:
    """Compute all of it. Accuracies and AUCs in percent, confidences in [0, 1].

    FT = forget against non-members, FR = retain against forget, RT = retain against non-members,
    the first being the positive group. After earlier requests, all_*: of what they and this one
    asked to forget together. Without references no AUC that needs them.
    """
    samples, correct, confidence = view.samples, view.signals["correct"], view.confidence
    values = {
        "forget_accuracy": 100 * float(correct[samples.forget].mean()),
        "retain_accuracy": 100 * float(correct[samples.retain].mean()),
        "test_accuracy": 100 * float(correct[samples.test].mean()),
        "mis": mis(
            confidence[samples.retain], confidence[samples.others], confidence[samples.forget]
        ),
        "forget_confidence": float(confidence[samples.forget].mean()),
        "test_confidence": float(confidence[samples.test].mean()),
    }
    if len(samples.earlier):
        values["all_forget_accuracy"] = 100 * float(correct[samples.all_forgotten].mean())
    found: dict[str, Attacked] = {}
    for name in possible(list(dict.fromkeys([HEADLINE, *attacks])), bank):
        scores = score(name, view, bank)
        if name == HEADLINE:
            values |= {
                "ft_auc": auc(scores[samples.forget], scores[samples.others]),
                "fr_auc": auc(scores[samples.retain], scores[samples.forget]),
                "rt_auc": auc(scores[samples.retain], scores[samples.others]),
            }
            if len(samples.earlier):
                every = scores[samples.all_forgotten]
                values["all_ft_auc"] = auc(every, scores[samples.others])
                values["all_fr_auc"] = auc(scores[samples.retain], every)
        found[name] = attacked(scores, samples.forget, samples.others, forget_set)
    return Evaluation(values, found, curves(view, bank))


def attacked(
    scores: NDArray[np.float64],
    forget: NDArray[np.int64],
    others: NDArray[np.int64],
    forget_set: object,
) -> Attacked:
    """Reduce membership scores of the pool to what the attack finds."""
    positive, negative = scores[forget], scores[others]
    if not (np.isfinite(positive).all() and np.isfinite(negative).all()):
        raise ValueError("an attack gave scores that are not finite")
    placed = placements(positive, negative)
    part = Part(str(forget_set), forget, others, 100 * placed.positive, 100 * placed.negative)
    rates = {fpr: tpr_at_fpr(positive, negative, fpr) for fpr in FPRS}
    return Attacked(part, rates, balanced_accuracy(positive, negative))
