"""SalUn's attack: an SVC that learns to tell a model's outputs on members from those on others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unlearnbench.metrics.roc import half, shuffled

if TYPE_CHECKING:
    from sklearn.svm import SVC

Floats = NDArray[np.float64]

MOST = 10_000
RESOLUTION = 1e-3
"""Equal values are fitted once, with their number as weight; equal means to this digit.

The SVC's kernel, exp(-(a - b)^2), does not see so small a difference, and most confidences are near
1: a fit on 20,000 samples takes hundredths of a second instead of many seconds.
"""


def fit(members: Floats, others: Floats) -> SVC:
    """Fit the SVC (rbf, C = 3, gamma "auto") to equally many of each, at most 10,000, at random.

    As in AMUN's evaluation; SalUn's code takes the first members in index order.
    """
    from sklearn.svm import SVC

    size = min(len(members), len(others), MOST)
    values, weights, labels = [], [], []
    for label, group in ((1, members), (0, others)):
        chosen = group[shuffled(group)[:size]]
        value, count = np.unique(np.round(chosen / RESOLUTION), return_counts=True)
        values.append(value)
        weights.append(count)
        labels.append(np.full(len(value), label))
    model = SVC(C=3, kernel="rbf", gamma="auto")
    return model.fit(
        RESOLUTION * np.concatenate(values)[:, None],
        np.concatenate(labels),
        sample_weight=np.concatenate(weights),
    )


def mis(retain: Floats, test: Floats, forget: Floats) -> float:
    """Return SalUn's MIA efficacy in percent: the share of D_F taken for non-members.

    By confidence in the true label. There is no ideal value: closest to retrain's is best.
    """
    return float(100 * (fit(retain, test).predict(forget[:, None]) == 0).mean())


def scores(retain: Floats, test: Floats, forget: Floats) -> tuple[Floats, Floats]:
    """Return the SVC's membership scores of forget and test samples.

    Two SVCs, each trained on half of the test samples and applied to the other half and to half of
    the forget samples, so that none scores what it was trained on, and forget and test samples are
    scored alike.
    """
    at_forget, at_test = np.empty(len(forget)), np.empty(len(test))
    first_f, first_t = half(forget), half(test)
    for part_f, part_t in ((first_f, first_t), (~first_f, ~first_t)):
        model = fit(retain, test[~part_t])
        for out, values, part in ((at_forget, forget, part_f), (at_test, test, part_t)):
            if part.any():
                out[part] = model.decision_function(values[part][:, None])
    return at_forget, at_test
