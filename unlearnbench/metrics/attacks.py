"""Membership attacks on signals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unlearnbench.seeds import seed_for

Floats = NDArray[np.float64]


def auc(positive: Floats, negative: Floats) -> float:
    """Return the ROC-AUC in percent: how often a positive scores above a negative, ties half.

    By sorted search, O((m + n) log n), so that 60,000 against 60,000 takes milliseconds.
    """
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    return float(100 * (below + not_above).mean() / (2 * len(negative)))


def rmia_ratio(target: Floats, references: Floats, member: NDArray[np.bool_]) -> Floats:
    """Return RMIA's likelihood ratio P(x | target) / P(x) for every sample, [n].

    target: probabilities [n] under the attacked model; references: [k, n] under the reference
    models; member: bool [k, n], who was trained on what. P(x) is the mean of the mean over models
    trained on x and the mean over the others: RMIA's online form (arXiv 2312.03262, section 3).
    RMIA's score is an empirical distribution function of this ratio, so both rank samples alike up
    to ties, which the ratio is spared; the score's gamma and population only calibrate thresholds.
    """
    inside = np.where(member, references, 0).sum(0) / member.sum(0)
    outside = np.where(member, 0, references).sum(0) / (~member).sum(0)
    ratio: Floats = target / ((inside + outside) / 2)
    return ratio


def svc_score(retain: Floats, test: Floats, forget: Floats, *, most: int = 10_000) -> float:
    """Return SalUn's MIA efficacy (MIS), in percent: the share of D_F taken for non-members.

    An SVC (rbf, C = 3, gamma "auto") learns to tell confidences of retain samples from those of
    test samples, equally many of each, drawn at random as AMUN does (SalUn takes the first ones).
    There is no ideal value: closest to retrain's is best.
    """
    from sklearn.svm import SVC

    size = min(len(retain), len(test), most)
    draw = np.random.default_rng(seed_for(0, "svc members"))
    members = retain[draw.permutation(len(retain))[:size]]
    others = test[draw.permutation(len(test))[:size]]
    values = np.concatenate((members, others))[:, None]
    labels = np.repeat([1, 0], size)
    model = SVC(C=3, kernel="rbf", gamma="auto").fit(values, labels)
    return float(100 * (model.predict(forget[:, None]) == 0).mean())
