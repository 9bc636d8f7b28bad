"""How sure a mean over runs is: sampling and seed variance, tests, equivalence, ranks.

Everything is a mean over runs of an AUC, or of a difference of AUCs on the same samples. Each run
brings one number for each forget sample and each non-member (DeLong's placements); their variance
is the sampling variance, models given. The variance between forget sets is the seeds'.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtr, stdtrit

from unlearnbench.audits.roc import Floats, Index, Part

Word = Literal["equivalent", "different", "inconclusive"]

LEVEL = 0.05
FEWEST = 3
"""Forget sets without which nothing is decided: two hardly say how much the next one may differ."""


def half_width(error: float, freedom: float, level: float = LEVEL) -> float:
    """Return half the width of the 1 - level t-interval of what has this standard error."""
    return float(stdtrit(freedom, 1 - level / 2) * error)


def p_zero(value: float, error: float, freedom: float) -> float:
    """Return the two-sided p-value of zero for a value with this standard error, by t."""
    if error == 0:
        return 1.0 if value == 0 else 0.0
    return float(2 * stdtr(freedom, -abs(value) / error))


@dataclass(frozen=True)
class Estimate:
    """Hold a mean over runs and how sure it is. Percent, or points for a difference.

    sets: forget sets it rests on; sampling: standard error from samples, models given; seeds:
    standard error from the scatter between forget sets (NaN for one); error: of both together;
    freedom: degrees of freedom of `error`.
    """

    value: float
    sets: int
    sampling: float
    seeds: float
    error: float
    freedom: float

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the 1 - level confidence interval."""
        half = half_width(self.error, self.freedom, level)
        return self.value - half, self.value + half

    @property
    def p_zero(self) -> float:
        """The two-sided p-value of zero."""
        return p_zero(self.value, self.error, self.freedom)

    @property
    def attainable(self) -> float:
        """The smallest margin at which no difference at all would be found equivalent 4 times in 5.

        A smaller margin asks more than so many samples and seeds can show.
        """
        return sum(half_width(self.error, self.freedom, level) for level in (2 * LEVEL, 0.2))


def combine(parts: Sequence[Part]) -> Estimate:
    """Average over runs, each counting alike.

    Sampling variance: a sample that several runs share is one sample, so each sample's influence
    is added up over runs before it is squared; a forget set that is listed twice brings nothing.
    For one run this is DeLong's variance. Seed variance: between the means of the forget sets. It
    contains the sampling of the forget sets but not that of the non-members, who are the same in
    all runs, so theirs is added; where few sets happen to agree better than their samples allow,
    the sampling variance stands in. Degrees of freedom by Welch and Satterthwaite, the seed
    variance having one less than there are sets and the sampling variance any number.
    """
    value = float(np.mean([part.value for part in parts]))
    of_forget = _variance([(part.forget, part.at_forget) for part in parts])
    of_others = _variance([(part.others, part.at_others) for part in parts])
    sets: dict[Hashable, list[float]] = {}
    for part in parts:
        sets.setdefault(part.forget_set, []).append(part.value)
    count = len(sets)
    means = [float(np.mean(values)) for values in sets.values()]
    between = float(np.var(means, ddof=1)) / count if count > 1 else np.nan
    scatter = float(np.nanmax([between, of_forget]))
    total = scatter + of_others
    known = count > 1 and between > 0
    freedom = (count - 1) * (total / between) ** 2 if known else np.inf
    sampling, seeds, error = np.sqrt([of_forget + of_others, between, total])
    return Estimate(value, count, float(sampling), float(seeds), float(error), float(freedom))


def _variance(parts: list[tuple[Index, Floats]]) -> float:
    """Return the variance of a mean over runs that comes from one group's samples."""
    ids = np.concatenate([index for index, _ in parts])
    influence = np.concatenate([(v - v.mean()) / (len(v) * len(parts)) for _, v in parts])
    total = np.bincount(ids, weights=influence)[np.bincount(ids) > 0]
    correction = min(np.count_nonzero(np.bincount(index)) for index, _ in parts)
    return float((total**2).sum() * correction / max(correction - 1, 1))


def holm(p: Sequence[float]) -> list[float]:
    """Adjust p-values for their number (Holm, 1979): still valid whatever depends on what."""
    order = np.argsort(p, kind="stable")
    factors = len(p) - np.arange(len(p))
    result = np.empty(len(p))
    result[order] = np.minimum(np.maximum.accumulate(np.asarray(p)[order] * factors), 1)
    return [float(value) for value in result]


def judge(difference: Estimate, p_adjusted: float, margin: float) -> Word:
    """Say what a difference to retrain amounts to, `margin` having been fixed beforehand.

    equivalent: the 90 % interval lies within +-margin (two one-sided tests at 5 %); different: zero
    is rejected at 5 %, adjusted for the number of methods; inconclusive: neither, which is not the
    same as equal, or fewer than three forget sets.
    """
    if difference.sets < FEWEST:
        return "inconclusive"
    low, high = difference.interval(2 * LEVEL)
    if -margin < low and high < margin:
        return "equivalent"
    return "different" if p_adjusted < LEVEL else "inconclusive"


def ranks(order: Sequence[str], apart: set[frozenset[str]]) -> dict[str, tuple[int, int]]:
    """Return the first and the last place that each name may have; they come sorted, best first.

    apart: the pairs that can be told apart. Before a name stand at least those that are surely
    better, after it those that are surely worse: where pairs were tested together at 5 %, all true
    places lie in these ranges 95 times in 100 (Mogstad et al., Review of Economic Studies 91, 2024,
    section 3). One name that is hard to tell from any does not make all others equal.
    """
    return {
        name: (
            1 + sum(frozenset((name, better)) in apart for better in order[:place]),
            len(order) - sum(frozenset((name, worse)) in apart for worse in order[place + 1 :]),
        )
        for place, name in enumerate(order)
    }
