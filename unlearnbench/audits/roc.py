"""ROC statistics of scores: a positive should score higher. Nothing is assumed of their scale."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from unlearnbench.seeds import seed_for

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
Bools = NDArray[np.bool_]

FALSE_POSITIVES = 10
"""A true-positive rate at a false-positive rate needs this many non-members above the threshold."""


def placements(positive: Floats, negative: Floats) -> tuple[Floats, Floats]:
    """Return where each score falls in the other group, in percent: DeLong's structural components.

    Of each positive the share of negatives below it, [m], and of each negative the share of
    positives above it, [n]; ties count half. The mean of either is the AUC. By one sorted search,
    O((m + n) log(m + n)): where positives fall among negatives says where negatives do.
    """
    order = np.argsort(negative)
    smaller, up_to = _counts(positive, negative[order])
    at_positive = 100 * ((smaller + up_to) / (2 * len(negative)))
    # A positive is below the negative in place i if at most i negatives are no larger than it.
    counts = [np.bincount(found, minlength=len(negative) + 1) for found in (up_to, smaller)]
    below = np.cumsum(counts[0] + counts[1])[:-1]
    at_negative = np.empty(len(negative))
    at_negative[order] = 100 * (1 - below / (2 * len(positive)))
    return at_positive, at_negative


def _counts(scores: Floats, ordered: Floats) -> tuple[Index, Index]:
    """Count for each score which of the others, sorted, are smaller, and which are not larger."""
    order = np.argsort(scores)
    ascending = scores[order]  # which are found several times faster than scores in any order
    counts = np.empty((2, len(scores)), dtype=np.int64)
    counts[0, order] = np.searchsorted(ordered, ascending, side="left")
    counts[1, order] = np.searchsorted(ordered, ascending, side="right")
    return counts[0], counts[1]


def auc(positive: Floats, negative: Floats) -> float:
    """Return the ROC-AUC in percent: how often a positive scores above a negative, ties half."""
    smaller, up_to = _counts(positive, np.sort(negative))
    return float(100 * ((smaller + up_to) / (2 * len(negative))).mean())


@dataclass(frozen=True)
class Part:
    """Hold one run's share of an estimate in percent, or of a difference, sample by sample.

    at_forget [m], at_others [n]: what each sample with the indices forget and others brings; of an
    AUC its placements. Each has the run's estimate as its mean, and what an estimate does not rest
    on is empty.
    """

    forget_set: Hashable
    forget: Index
    others: Index
    at_forget: Floats
    at_others: Floats

    @property
    def value(self) -> float:
        """The run's estimate."""
        return float((self.at_forget if len(self.at_forget) else self.at_others).mean())

    def less(self, points: float) -> Self:
        """Return the difference to what is known, such as what guessing gives."""
        return replace(self, at_forget=self.at_forget - points, at_others=self.at_others - points)

    def minus(self, other: Self) -> Self:
        """Return the difference, sample by sample: the pairing in paired DeLong.

        Raises ValueError unless both are on the same samples.
        """
        same = np.array_equal(self.forget, other.forget)
        if not same or not np.array_equal(self.others, other.others):
            raise ValueError("only runs on the same samples can be compared in pairs")
        at_forget, at_others = self.at_forget - other.at_forget, self.at_others - other.at_others
        return replace(self, at_forget=at_forget, at_others=at_others)


Null = Callable[[Part], float]
"""What retraining gives by construction, of an estimate that rests on such samples."""


def mean_of(forget_set: Hashable, values: Floats, index: Index, *, shared: bool = False) -> Part:
    """Return a part whose estimate is a mean over samples.

    values: [m], in percent, of the samples `index`; shared: they are the same in all runs, as test
    samples are, so that forget sets which agree say nothing of how sure the mean is.
    """
    none, nothing = np.empty(0, dtype=np.int64), np.empty(0)
    sides = (none, index, nothing, values) if shared else (index, none, values, nothing)
    return Part(forget_set, *sides)


def mean_part(parts: Sequence[Part]) -> Part:
    """Average parts that are on the same samples, such as the retrains of one forget set."""
    at_forget = np.mean([part.at_forget for part in parts], axis=0)
    at_others = np.mean([part.at_others for part in parts], axis=0)
    return replace(parts[0], at_forget=at_forget, at_others=at_others)


class Rate(NamedTuple):
    """Hold a rate in percent with its 95 % Clopper-Pearson interval."""

    value: float
    low: float
    high: float


def tail(
    forget_set: Hashable, positive: Floats, negative: Floats, at: tuple[Index, Index], fpr: float
) -> Part | None:
    """Return the true-positive rate, in percent, above the lowest threshold of at most this FPR.

    None where fewer than 10 / fpr negatives make that threshold a matter of chance. at: the indices
    of positives and negatives. A negative brings the threshold's noise: each one above it moves it
    up, and the rate by the slope of the ROC curve there, taken between half and one and a half
    times the FPR.
    """
    if len(negative) < needed_negatives(fpr):
        return None

    def found(rate: float) -> tuple[float, float]:
        place = len(negative) - int(rate * len(negative)) - 1
        threshold = float(np.partition(negative, place)[place])
        return threshold, float(100 * (positive > threshold).mean())

    threshold, value = found(fpr)
    slope = (found(1.5 * fpr)[1] - found(0.5 * fpr)[1]) / fpr
    above = negative > threshold
    hits = np.where(positive > threshold, 100.0, 0.0)
    return Part(forget_set, *at, hits, value - slope * (above - above.mean()))


def by_chance(negatives: int, fpr: float) -> float:
    """Return the true-positive rate, in percent, that scores without any information have there.

    A little more than `fpr`: the threshold is itself the score of a negative.
    """
    return 100 * (int(fpr * negatives) + 1) / (negatives + 1)


def needed_negatives(fpr: float) -> int:
    """Return how many negatives a true-positive rate at `fpr` needs."""
    return round(FALSE_POSITIVES / fpr)


def rate(hits: int, of: int) -> Rate:
    """Return a share in percent with its exact 95 % interval, a threshold being held fixed.

    Clopper and Pearson's, by quantiles of the beta distribution.
    """
    low = betaincinv(hits, of - hits + 1, 0.025) if hits else 0.0
    high = betaincinv(hits + 1, of - hits, 0.975) if hits < of else 1.0
    return Rate(100 * hits / of, 100 * float(low), 100 * float(high))


def drawn(values: Floats, count: int, purpose: str) -> Bools:
    """Mark `count` values at random, the same ones in whatever order they come.

    Drawn are ranks, so that of equal values, such as confidences of 1, as many are taken as chance
    would take. purpose: what they are drawn for; the draw is another for each.
    """
    ranks = np.random.default_rng(seed_for(len(values), purpose)).permutation(len(values))
    chosen = np.zeros(len(values), dtype=np.bool_)
    chosen[np.argsort(values, kind="stable")[ranks[:count]]] = True
    return chosen


def half(values: Floats, purpose: str) -> Bools:
    """Mark half of the values at random, see `drawn`."""
    return drawn(values, len(values) // 2, purpose)


def balanced_accuracy(positive: Floats, negative: Floats) -> float:
    """Return the attack's balanced accuracy in percent, at a threshold chosen on other samples.

    Half of each group chooses the threshold that is best there, the other half is judged by it,
    and the other way round. A threshold chosen on the samples it is judged by would read 52 to 56
    where guessing is 50.
    """
    if min(len(positive), len(negative)) < 2:
        return float("nan")
    p, n = half(positive, "positive"), half(negative, "negative")
    judged = []
    for chosen_p, chosen_n in ((p, n), (~p, ~n)):
        threshold = _best_threshold(positive[chosen_p], negative[chosen_n])
        hits = (positive[~chosen_p] > threshold).mean()
        judged.append(50 * (hits + (negative[~chosen_n] <= threshold).mean()))
    return float(np.mean(judged))


def _best_threshold(positive: Floats, negative: Floats) -> float:
    """Return the first best of all thresholds: a negative, or none, for only these find more."""
    candidates = np.concatenate(([-np.inf], np.sort(negative)))
    above = 1 - np.searchsorted(np.sort(positive), candidates, side="right") / len(positive)
    below = np.arange(len(candidates)) / len(negative)  # of equal ones the last has them all
    return float(candidates[np.argmax(above + below)])
