"""How far one model's outputs are from another's, sample by sample and as distributions."""

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from scipy.special import xlogy

from unlearnbench.audits.roc import Floats

if TYPE_CHECKING:
    import pandas as pd

Number = TypeVar("Number", float, "pd.Series[float]")
KLOM_MODELS = 100
"""KLoM compares histograms over models: with fewer of each kind it measures their noise."""
BINS, CLIP, FLOOR = 20, 100.0, 1e-5


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
