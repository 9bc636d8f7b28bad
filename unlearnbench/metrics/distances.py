"""How far one model's outputs are from another's, sample by sample and as distributions."""

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from unlearnbench.audits.roc import Floats

if TYPE_CHECKING:
    import pandas as pd

Number = TypeVar("Number", float, "pd.Series[float]")
MANY_MODELS = 100
"""What compares distributions over models measures their noise with fewer of each kind."""
BINS, CLIP, FLOOR = 20, 100.0, 1e-5
DELTA, MOST_EPSILON, BUCKET, BUFFER, PEAKED = 1e-5, 50.0, 0.5, 2.0, 0.01
"""Constants of the NeurIPS 2023 unlearning competition, see `epsilon` and `forgetting_quality`."""


def wasserstein(one: Floats, other: Floats) -> float:
    """Return the Wasserstein-1 distance of two sets of margins, in units of log-odds."""
    from scipy.stats import wasserstein_distance  # slow to import, and most commands need none

    return float(wasserstein_distance(one, other))


def kolmogorov_smirnov(one: Floats, other: Floats) -> float:
    """Return the largest difference of two distribution functions, in [0, 1]."""
    everything = np.sort(np.concatenate((one, other)))
    shares = [np.searchsorted(np.sort(x), everything, side="right") / len(x) for x in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def agreement(one: Floats, other: Floats) -> float:
    """Return the share of samples, in percent, given the same label by logits [n, classes]."""
    return float(100 * (one.argmax(1) == other.argmax(1)).mean())


def jensen_shannon(one: Floats, other: Floats) -> float:
    """Return the mean Jensen-Shannon divergence of probabilities [n, classes], in bits (0 to 1)."""
    middle = (one + other) / 2
    divergence = sum(xlogy(x, x / np.maximum(middle, 1e-300)).sum(1) for x in (one, other)) / 2
    return float(np.mean(divergence) / np.log(2))


def klom(unlearned: Floats, retrained: Floats) -> Floats:
    """Return KLoM for each sample, [n]: the KL divergence of its margins over two sets of models.

    unlearned [a, n], retrained [b, n]: margins under models unlearned from, and retrained without,
    one forget set. Histograms of 20 bins over the joint range, margins clipped to +-100, empty
    bins held at 1e-5 (as in EasyDUB, arXiv 2602.16400).
    """
    one, other = np.clip(unlearned, -CLIP, CLIP), np.clip(retrained, -CLIP, CLIP)
    low = np.minimum(one.min(0), other.min(0))
    width = np.maximum(np.maximum(one.max(0), other.max(0)) - low, 1e-12) / BINS
    shares = []
    for margins in (one, other):
        bins = np.minimum(((margins - low) / width).astype(np.int64), BINS - 1)
        shares.append(np.maximum([(bins == b).mean(0) for b in range(BINS)], FLOOR))
    divergence: Floats = xlogy(shares[0], shares[0] / shares[1]).sum(0)
    return divergence


def forgetting_quality(unlearned: Floats, retrained: Floats) -> float:
    """Return the NeurIPS 2023 competition's forgetting quality, in [0, 1]: 1 cannot be told apart.

    Margins as for `epsilon`. The mean over samples of 2 / 2^n, where n is 1 for an epsilon below
    0.5, 2 below 1, and so on; 0 from ln(models - 1), rounded up, on, which so few models hardly
    show (arXiv 2406.09073). Not 1 for so many retrains against as many others: the best of all
    rules always finds something.
    """
    found = epsilon(unlearned, retrained)
    shown = found < np.ceil(np.log(min(len(unlearned), len(retrained)) - 1))
    return float(np.where(shown, 2.0 ** -np.floor(found / BUCKET), 0).mean())


def epsilon(unlearned: Floats, retrained: Floats) -> Floats:
    """Return for each sample, [n], how surely its margin tells unlearned models from retrained.

    unlearned [a, n], retrained [b, n]: margins under models unlearned from, and retrained without,
    one forget set. A rule that takes one for the other at the rates FPR and FNR shows an epsilon of
    ln((1 - delta - FPR) / FNR) or ln((1 - delta - FNR) / FPR), whichever is larger, with a delta of
    1e-5. The best rule counts, from 0 to 50; one of whose rates just one is 0 does not, two zeros
    are infinity. The rules, and what follows, are the NeurIPS 2023 competition's
    (google-deepmind/unlearning_evaluation, which tries them on a grid; here is every one):
    one threshold, from which on a margin is taken for that of the models with the larger median; or
    two, between which it is taken for that of the models with the smaller range, the upper one
    within 2 of their largest margin, the distance within 2 of their range. Where one range is less
    than a hundredth of the other, epsilon is 50.
    """
    return np.array([_epsilon(*margins) for margins in zip(unlearned.T, retrained.T, strict=True)])


def _epsilon(unlearned: Floats, retrained: Floats) -> float:
    low, high = unlearned, retrained
    if np.median(unlearned) >= np.median(retrained):
        low, high = retrained, unlearned
    narrow, wide = (low, high) if np.ptp(low) <= np.ptp(high) else (high, low)
    if np.ptp(narrow) < PEAKED * np.ptp(wide):
        return MOST_EPSILON
    # A threshold is anywhere between two values that follow each other.
    values = np.unique(np.concatenate((low, high)))
    after, before = np.append(-np.inf, values), np.append(values, np.inf)

    def below(margins: Floats) -> NDArray[np.int64]:
        return np.append(np.searchsorted(np.sort(margins), values), len(margins))

    single = _shown(below(high) / len(high), (len(low) - below(low)) / len(low))
    upper = np.flatnonzero((after <= narrow.max() + BUFFER) & (before > narrow.max() - BUFFER))
    tops = np.maximum(after[upper], narrow.max() - BUFFER)[:, None]
    ends = np.minimum(before[upper], narrow.max() + BUFFER)[:, None]
    fits = tops - before <= np.ptp(narrow) + BUFFER
    fits &= ends - after >= np.ptp(narrow) - BUFFER
    fits &= upper[:, None] > np.arange(len(after))
    inside, outside = (below(m)[upper, None] - below(m) for m in (narrow, wide))
    double = _shown((len(narrow) - inside[fits]) / len(narrow), outside[fits] / len(wide))
    return max(single, double)


def _shown(fnr: Floats, fpr: Floats) -> float:
    """Return the largest epsilon that rules with these error rates show."""
    if (fnr + fpr == 0).any():
        return MOST_EPSILON
    counted = fnr * fpr > 0
    fnr, fpr = fnr[counted], fpr[counted]
    with np.errstate(divide="ignore"):  # ln 0 is no evidence
        one = np.log(np.maximum(1 - DELTA - fpr, 0)) - np.log(fnr)
        other = np.log(np.maximum(1 - DELTA - fnr, 0)) - np.log(fpr)
    return float(np.maximum(one, other).max(initial=0))


def tug_of_war(forget_gap: float, retain_gap: float, test_gap: float) -> float:
    """Return ToW, in [0, 1]: the product of 1 - |accuracy gap| over D_F, D_R, D_T (gaps in points).

    1 is retrain's accuracy on all three (RUM, arXiv 2406.01257).
    """
    gaps = np.abs([forget_gap, retain_gap, test_gap]) / 100
    return float(np.prod(1 - gaps))


def privleak(auc: Number, retrain_auc: Number) -> Number:
    """Return PrivLeak in percent: how far the AUC is from retrain's, as a share of retrain's.

    MUSE (arXiv 2407.06460) calls within 5 % good.
    """
    return 100 * (auc - retrain_auc) / retrain_auc
