"""How sure a mean over runs is: sampling and seed variance, tests, equivalence, ranks.

Everything is a mean over runs of an estimate, or of a difference of such on the same samples. Each
run brings a number for each forget sample and each non-member (of an AUC: DeLong's placements);
their variance is the sampling variance, models given. The variance between forget sets is the
seeds'.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import stdtr, stdtrit

from unlearnbench.audits.roc import Floats, Index, Part

LEVEL = 0.05
FARTHEST = 100.0
"""Ratios are not sought farther out than this."""
MISSED = 0.2
"""How often what is just large enough to be seen is missed by a test at 5 %."""
FEWEST = 3
"""Forget sets without which nothing is decided: two hardly say how much the next one may differ.

Of a single one, models retrained without it: their scatter stands for that between sets.
"""


def half_width(error: float, freedom: float, level: float = LEVEL) -> float:
    """Return half the width of the 1 - level t-interval of what has this standard error."""
    return float(stdtrit(freedom, 1 - level / 2) * error)


def p_zero(value: float, error: float, freedom: float) -> float:
    """Return the two-sided p-value of zero for a value with this standard error, by t.

    1 where the error is not known: nothing is shown then.
    """
    if np.isnan(error):
        return 1.0
    if error == 0:
        return 1.0 if value == 0 else 0.0
    return float(2 * stdtr(freedom, -abs(value) / error))


@dataclass(frozen=True)
class Estimate:
    """Hold a mean over runs and how sure it is. Percent, or points for a difference.

    sets: forget sets it rests on; sampling: standard error from samples, models given; seeds:
    standard error from the scatter between forget sets, or on one between retrains (NaN where there
    are none); error: of both together; freedom: degrees of freedom of `error`; replicates: how many
    that scatter is of.

    What is shown must be shown by t-tests with either error. Where few sets happen to agree, the
    sampling variance stands in with degrees of freedom that are too many: by `error` alone a true
    p of 0.001 would be found up to 14 times as often at three sets, and Holm asks for such.
    """

    value: float
    sets: int
    sampling: float
    seeds: float
    error: float
    freedom: float
    replicates: int

    @property
    def decides(self) -> bool:
        """Whether it rests on enough sets, or on enough retrains of one, to decide anything."""
        return self.replicates >= FEWEST

    @property
    def _errors(self) -> list[tuple[float, float]]:
        """The standard errors to be reckoned with, and their degrees of freedom."""
        both = [(self.error, self.freedom), (self.seeds, self.replicates - 1)]
        return both if self.replicates > 1 else both[:1]

    def half(self, level: float = LEVEL) -> float:
        """Return half the width of the 1 - level confidence interval."""
        return max(half_width(error, freedom, level) for error, freedom in self._errors)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the 1 - level confidence interval."""
        half = self.half(level)
        return self.value - half, self.value + half

    @property
    def p_zero(self) -> float:
        """The two-sided p-value of zero."""
        return max(p_zero(self.value, error, freedom) for error, freedom in self._errors)

    @property
    def attainable(self) -> float:
        """The smallest margin at which no difference at all would be found equivalent 4 times in 5.

        A smaller margin asks more than so many samples and seeds can show.
        """
        return self.half(2 * LEVEL) + self.half(MISSED)


@dataclass(frozen=True)
class Joint:
    """Hold k means over the same runs and samples, of which any weighted sum can be estimated.

    values: [k]; of_forget, of_others: their covariances that come from forget samples and from
    non-members, between: from forget sets, [k, k] each; sets: how many those are; replicates: the
    same, or on one set the number of retrains that `between` is from.
    """

    values: Floats
    of_forget: Floats
    of_others: Floats
    between: Floats
    sets: int
    replicates: int

    @classmethod
    def of(cls, runs: Sequence[Sequence[Part]], retrains: Sequence[float] = ()) -> Self:
        """Average over runs, each counting alike; runs: of each its k parts, on the same samples.

        retrains: what the same estimate is of each retrain that the parts are compared with, which
        counts where all runs are on one forget set. A model that is as good as retrained is then
        as far from their mean as one of them: their variance stands for that of each model, and
        the variance of their mean is common to all.

        Sampling variance: a sample that several runs share is one sample, so each sample's
        influence is added up over runs before it is squared; a forget set that is listed twice
        brings nothing. For one run this is DeLong's variance.
        """
        firsts = [parts[0] for parts in runs]
        values = np.array([[part.value for part in parts] for parts in runs])
        of_forget = _covariance(
            [one.forget for one in firsts], [[part.at_forget for part in parts] for parts in runs]
        )
        of_others = _covariance(
            [one.others for one in firsts], [[part.at_others for part in parts] for parts in runs]
        )
        sets: dict[Hashable, list[Floats]] = {}
        for one, own in zip(firsts, values, strict=True):
            sets.setdefault(one.forget_set, []).append(own)
        count, means = len(sets), np.array([np.mean(own, axis=0) for own in sets.values()])
        centred = means - means.mean(axis=0)
        between = centred.T @ centred / max(count - 1, 1) / count
        replicates = count
        if count == 1:
            # a model that several runs are compared with, such as an original, is one model
            models = [set(map(id, of_kind)) for of_kind in zip(*runs, strict=True)]
            between, replicates = _by_chance(retrains, models), len(retrains)
        return cls(values.mean(axis=0), of_forget, of_others, between, count, replicates)

    def along(self, *weights: float) -> Estimate:
        """Estimate a weighted sum of the means.

        The seed variance contains the sampling of the forget sets but not that of the non-members,
        who are the same in all runs, so theirs is added; where few sets happen to agree better than
        their samples allow, the sampling variance stands in. Degrees of freedom by Welch and
        Satterthwaite, the seed variance having one less than there are sets and the sampling
        variance any number. One set of one sample has no variance: the error is not known.
        """
        w = np.array(weights)
        of_forget, of_others, between = (
            max(float(w @ covariance @ w), 0.0) if np.isfinite(covariance).all() else np.nan
            for covariance in (self.of_forget, self.of_others, self.between)
        )
        scatter = float(np.fmax(between, of_forget))
        total = scatter + of_others
        known = self.replicates > 1 and between > 0
        freedom = (self.replicates - 1) * (total / between) ** 2 if known else np.inf
        sampling, seeds, error = np.sqrt([of_forget + of_others, between, total])
        value = float(w @ self.values)
        errors = float(sampling), float(seeds), float(error)
        return Estimate(value, self.sets, *errors, freedom, self.replicates)


def _by_chance(retrains: Sequence[float], models: Sequence[set[int]]) -> Floats:
    """Return the covariance [k, k] of k means over models, each less the mean of the retrains.

    models: whose mean each is. NaN where there are not two retrains.
    """
    if len(retrains) < 2:
        return np.full((len(models), len(models)), np.nan)
    common = [[len(a & b) / (len(a) * len(b)) for b in models] for a in models]
    covariance: Floats = np.var(retrains, ddof=1) * (np.array(common) + 1 / len(retrains))
    return covariance


def combine(parts: Sequence[Part], retrains: Sequence[float] = ()) -> Estimate:
    """Average one estimate over runs, see `Joint`."""
    return Joint.of([[part] for part in parts], retrains).along(1.0)


def _covariance(samples: Sequence[Index], influences: Sequence[Sequence[Floats]]) -> Floats:
    """Return the covariance [k, k] of means over runs that comes from one group's samples.

    samples: of each run the indices of the group's; influences: of each run k arrays over them. NaN
    where no run has two of them, zero where the means do not rest on this group.
    """
    kinds = len(influences[0])
    if not any(len(index) for index in samples):
        return np.zeros((kinds, kinds))
    ids = np.concatenate(samples)
    runs, present = len(samples), np.bincount(ids) > 0
    total = np.stack(
        [
            np.bincount(
                ids,
                np.concatenate(
                    [(own[kind] - own[kind].mean()) / len(own[kind]) for own in influences]
                ),
            )[present]
            for kind in range(kinds)
        ]
    )
    fewest = min(np.count_nonzero(np.bincount(index)) for index in samples)
    if fewest < 2:
        return np.full((kinds, kinds), np.nan)
    covariance: Floats = total @ total.T / runs**2 * fewest / (fewest - 1)
    return covariance


def ratio_interval(joint: Joint, level: float = LEVEL) -> tuple[float, float]:
    """Return the 1 - level interval of the first mean divided by the second (Fieller, 1954).

    It holds every ratio r for which first - r * second is not shown to differ from zero; infinite
    where nothing bounds it, as where the second may be zero itself.
    """
    from scipy.optimize import brentq  # slow to import, and most commands judge nothing

    value, whole = joint.values

    def excess(ratio: float) -> float:
        difference = joint.along(1.0, -ratio)
        return abs(difference.value) - difference.half(level)

    at = value / whole if whole else np.nan
    if not np.isfinite(at) or joint.along(0.0, 1.0).p_zero >= level:
        return -np.inf, np.inf
    if excess(at) >= 0:  # without any error, as of a row that is the original itself
        return at, at
    ends = []
    for side in (-1, 1):
        step = 0.1
        while excess(at + side * step) < 0 and step < FARTHEST:
            step *= 2
        inside = step < FARTHEST
        ends.append(brentq(excess, at, at + side * step) if inside else side * np.inf)
    return float(ends[0]), float(ends[1])


def holm(p: Sequence[float]) -> list[float]:
    """Adjust p-values for their number (Holm, 1979): still valid whatever depends on what."""
    order = np.argsort(p, kind="stable")
    factors = len(p) - np.arange(len(p))
    result = np.empty(len(p))
    result[order] = np.minimum(np.maximum.accumulate(np.asarray(p)[order] * factors), 1)
    return [float(value) for value in result]


def within(joint: Joint, margin: float | None, share: float) -> tuple[bool, float]:
    """Say whether a gap is shown to be small, and from which margin on it could be.

    joint: the row's gap and the original's own. Two one-sided tests at 5 %: of a gap of `margin`
    points, or without a margin of `share` of the original's gap, whose own error is then part of
    both tests. Returns also the smallest margin at which no difference at all would be found small
    4 times in 5, in points: a smaller one asks more than so many samples and seeds can show.
    """
    if margin is not None:
        gap = joint.along(1.0, 0.0)
        low, high = gap.interval(2 * LEVEL)
        return -margin < low and high < margin, gap.attainable
    share = float(np.copysign(share, joint.values[1]))
    below, above = joint.along(1.0, -share), joint.along(1.0, share)
    small = below.interval(2 * LEVEL)[1] < 0 < above.interval(2 * LEVEL)[0]
    return small, max(below.attainable, above.attainable)


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
