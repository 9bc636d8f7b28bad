"""What figures show of one model beyond single numbers: distributions, ROC, effects by group."""

import numpy as np
from numpy.typing import NDArray

from unlearnbench.audits.attacks import ATTACKS, HEADLINE, View
from unlearnbench.audits.references import DECILES, ReferenceModels, deciles, reference_counts
from unlearnbench.audits.roc import Floats, auc, placements

Curves = dict[str, list[float | None]]

EDGES = np.linspace(-20, 20, 101)
"""Of the bins of log-odds; what lies outside is counted in the outermost ones."""
SCATTERED = 300
"""Samples that figures show each by itself, at most."""
FPRS = np.logspace(-4, 0, 41)
"""False-positive rates at which ROC curves are kept."""


def curves(
    view: View,
    references: ReferenceModels | None,
    scores: Floats | None = None,
    headline: str = HEADLINE,
) -> Curves:
    """Compute all curves of one model against one forget set.

    density_retain, density_forget, density_test: percent of the samples in each bin of EDGES;
    class_forget, class_test: accuracy in percent by class. With scores of the headline attack also
    roc: its TPR in percent at each of FPRS. With references also references: RMIA's AUC with 2, 4,
    8, ... of them, if it is the headline attack; decile_accuracy, decile_auc: of the forget samples
    by how much they are memorised, the least first. None where there is nothing.
    """
    samples, margin = view.samples, view.margin
    correct, label = view.signals["correct"], view.signals["label"]
    made: dict[str, Floats] = {
        f"density_{part}": shares(margin[getattr(samples, part)])
        for part in ("retain", "forget", "test")
    }
    classes = int(label.max()) + 1
    for part, index in (("forget", samples.forget), ("test", samples.test)):
        made[f"class_{part}"] = mean_by(100.0 * correct[index], label[index], classes)
    if scores is not None:
        scored = ATTACKS[headline].seen(view, references).samples
        positive, negative = scores[scored.forget], scores[scored.others]
        made["roc"] = true_positive_rates(positive, negative)
        if references is not None and references.halves:
            decile = deciles(references.memorisation[samples.forget])
            made["decile_accuracy"] = mean_by(100.0 * correct[samples.forget], decile, DECILES)
            # The mean placement of some positives is their AUC against all negatives.
            placed = placements(positive, negative)[0]
            made["decile_auc"] = mean_by(placed, decile, DECILES)
            if headline == "rmia":
                made["references"] = by_references(view, references)
    return {name: _listed(values) for name, values in made.items()}


def shares(margin: Floats) -> Floats:
    """Return the share of samples in each bin of log-odds, in percent."""
    counts = np.histogram(np.clip(margin, EDGES[0], EDGES[-1]), EDGES)[0]
    return 100 * counts / len(margin)


def true_positive_rates(positive: Floats, negative: Floats) -> Floats:
    """Return the TPR in percent at each of FPRS; NaN where less than one negative is allowed."""
    allowed = np.floor(FPRS * len(negative) + 1e-9).astype(int)
    thresholds = np.append(-np.inf, np.sort(negative))[len(negative) - allowed]
    above = len(positive) - np.searchsorted(np.sort(positive), thresholds, side="right")
    return np.where(allowed > 0, 100 * above / len(positive), np.nan)


def by_references(view: View, references: ReferenceModels) -> Floats:
    """Return the FT AUC of RMIA with the first 2, 4, 8, ... references, the last time with all.

    Half of them are trained on a sample and half are not, whichever sample it is. NaN where so few
    cannot be compared with.
    """
    forget, others = view.samples.forget, view.samples.others
    aucs = []
    for online in references.online_by_count.values():
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = view.confidence / online
        known = np.isfinite(ratio[forget]).all() and np.isfinite(ratio[others]).all()
        aucs.append(auc(ratio[forget], ratio[others]) if known else np.nan)
    return np.array(aucs)


def mean_by(values: Floats, group: NDArray[np.integer], count: int) -> Floats:
    """Return the mean of the values in each of `count` groups; NaN for an empty one."""
    index = group.astype(np.int64)
    size = np.bincount(index, minlength=count)
    total = np.bincount(index, weights=values, minlength=count)
    return np.where(size > 0, total / np.maximum(size, 1), np.nan)


def abscissa(curve: str, count: int, references: int) -> list[float]:
    """Return what the points of a curve stand at: log-odds, FPR in percent, references, or order.

    count: how many points it has; references: how many reference models there are.
    """
    if curve.startswith("density_"):
        return [float(edge) for edge in EDGES[:-1]]
    if curve == "roc":
        return [float(100 * fpr) for fpr in FPRS]
    if curve == "references":
        return [float(number) for number in reference_counts(references)]
    return [float(place) for place in range(1, count + 1)]


def _listed(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 3) for value in values]
