"""All metrics of one model against one forget set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from unlearnbench.metrics.attacks import auc, rmia_ratio, svc_score

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Metric:
    """Name a metric for people: in words, and as a table's heading; an arrow says what is better.

    Without an arrow, closest to retrain is best.
    """

    title: str
    heading: str
    unit: Literal["%", ""] = "%"


METRICS: dict[str, Metric] = {
    "forget_accuracy": Metric("Forget accuracy", "Forget acc %"),
    "retain_accuracy": Metric("Retain accuracy", "Retain acc %"),
    "test_accuracy": Metric("Test accuracy", "Test acc %"),
    "ft_auc": Metric("FT AUC", "FT AUC %"),
    "fr_auc": Metric("FR AUC", "FR AUC %"),
    "rt_auc": Metric("RT AUC", "RT AUC %"),
    "mis": Metric("MIS", "MIS %"),
    "forget_confidence": Metric("Forget confidence", "Forget confidence", ""),
    "test_confidence": Metric("Test confidence", "Test confidence", ""),
    "avg_gap": Metric("Average gap", "Avg gap ↓"),
}


@dataclass(frozen=True)
class Bank:
    """Hold the reference models' view of the pooled samples.

    probability: float64 [k, n], of the true label; member: bool [k, n].
    """

    probability: NDArray[np.float64]
    member: NDArray[np.bool_]


def bank(references: list[Arrays]) -> Bank:
    """Join the signals of all reference models."""
    return Bank(
        np.stack([expit(r["margin"].astype(np.float64)) for r in references]),
        np.stack([r["member"] for r in references]),
    )


def metrics(
    signals: Arrays,
    forget: NDArray[np.int64],
    earlier: NDArray[np.int64],
    train: int,
    references: Bank | None,
) -> dict[str, float]:
    """Compute every metric but the gaps, which need the retrains.

    signals: of one model over `train` training samples and then the test samples; forget, earlier:
    indices forgotten by this request and by those before it. The retain set is the rest of the
    training set. Accuracies and AUCs in percent, confidences in [0, 1]. FT = forget against test,
    FR = retain against forget, RT = retain against test, the first being the positive group.
    Without references there are no AUCs.
    """
    retained = np.arange(len(signals["margin"])) < train
    retained[forget] = retained[earlier] = False
    retain, test = np.flatnonzero(retained), np.arange(train, len(retained))
    # From the margin, which keeps apart what float32 confidences near 1 no longer can.
    probability = expit(signals["margin"].astype(np.float64))
    correct = signals["correct"]
    values = {
        "forget_accuracy": 100 * float(correct[forget].mean()),
        "retain_accuracy": 100 * float(correct[retain].mean()),
        "test_accuracy": 100 * float(correct[test].mean()),
    }
    if references is not None:
        ratio = rmia_ratio(probability, references.probability, references.member)
        values |= {
            "ft_auc": auc(ratio[forget], ratio[test]),
            "fr_auc": auc(ratio[retain], ratio[forget]),
            "rt_auc": auc(ratio[retain], ratio[test]),
        }
    return values | {
        "mis": svc_score(probability[retain], probability[test], probability[forget]),
        "forget_confidence": float(probability[forget].mean()),
        "test_confidence": float(probability[test].mean()),
    }
