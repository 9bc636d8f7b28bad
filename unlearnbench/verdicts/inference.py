"""How sure a mean over runs is: sampling and seed variance, tests, equivalence, ranks.

Everything is a mean over runs of an estimate, or of a difference of such on the same samples. Each
run brings a number for each forget sample and each non-member (of an AUC: DeLong's placements);
their variance is the sampling variance, models given. The variance between forget sets is the
seeds'. Where forget sets share models, as those that began with one original, the sets agree
whatever these models are like: then the variance between retrains stands for that between models.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Self

import numpy as np
from scipy.special import stdtr, stdtrit

from unlearnbench.audits.roc import Floats, Index, Part

Models = frozenset[Hashable]
"""The models whose mean an estimate is of, by whatever names."""
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
    that scatter is of; chance: where sets share models, the standard error from the scatter of
    retrains, with its degrees of freedom.

    What is shown must be shown by t-tests with each error. Where few sets happen to agree, the
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
    chance: tuple[float, float] | None = None

    @property
    def decides(self) -> bool:
        """Whether it rests on enough sets, or on enough retrains of one, to decide anything."""
        return self.replicates >= FEWEST

    @property
    def _errors(self) -> list[tuple[float, float]]:
        """The standard errors to be reckoned with, and their degrees of freedom."""
        errors = [(self.error, self.freedom)]
        errors += [(self.seeds, self.replicates - 1.0)] * (self.replicates > 1)
        return errors + ([self.chance] if self.chance else [])

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
    same, or on one set the number of retrains that `between` is from; chance: where several sets
    share models, the covariance [k, k] that comes from models, with its degrees of freedom.
    """

    values: Floats
    of_forget: Floats
    of_others: Floats
    between: Floats
    sets: int
    replicates: int
    chance: tuple[Floats, float] | None = None

    @classmethod
    def of(
        cls,
        runs: Sequence[Sequence[Part]],
        models: Sequence[Sequence[Models]] | None = None,
        retrains: Mapping[Hashable, Sequence[float]] | None = None,
    ) -> Self:
        """Average over forget sets, and in each over runs; runs: of each its k parts.

        The parts of a run are on the same samples. models: of each run, which models each of its
        parts is of, or began with; by default each is of one of its own. retrains: by forget set,
        what the same estimate is of each retrain that the parts are compared with. It counts where
        all runs are on one forget set, or where sets share models. A model that is as good as
        retrained is then as far from the retrains' mean as one of them: their variance stands for
        that of each model, and the variance of their mean is common to all.

        Sampling variance: a sample that several runs share is one sample, so each sample's
        influence is added up over runs before it is squared; a forget set that is listed twice
        brings nothing. For one run this is DeLong's variance.
        """
        firsts = [parts[0] for parts in runs]
        values = np.array([[part.value for part in parts] for parts in runs])
        sizes = Counter(one.forget_set for one in firsts)
        weights = np.array([1 / (len(sizes) * sizes[one.forget_set]) for one in firsts])
        of_forget = _covariance(
            weights,
            [one.forget for one in firsts],
            [[part.at_forget for part in parts] for parts in runs],
        )
        of_others = _covariance(
            weights,
            [one.others for one in firsts],
            [[part.at_others for part in parts] for parts in runs],
        )
        sets: dict[Hashable, list[Floats]] = {}
        for one, own in zip(firsts, values, strict=True):
            sets.setdefault(one.forget_set, []).append(own)
        count, means = len(sets), np.array([np.mean(own, axis=0) for own in sets.values()])
        mean = means.mean(axis=0)
        named = models or [[frozenset([id(part)]) for part in parts] for parts in runs]
        kinds = [frozenset[Hashable]().union(*of_kind) for of_kind in zip(*named, strict=True)]
        chance, freedom = _by_chance([*(retrains or {}).values()], kinds)
        if count == 1:
            return cls(mean, of_forget, of_others, chance, 1, freedom + 1)
        centred = means - mean
        between = centred.T @ centred / (count - 1) / count
        shared = freedom > 0 and _shared([one.forget_set for one in firsts], named)
        also = (chance, freedom) if shared else None
        return cls(mean, of_forget, of_others, between, count, count, also)

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
        chance = None
        if self.chance:
            covariance, of_retrains = self.chance
            chance = float(np.sqrt(max(float(w @ covariance @ w), 0.0))), of_retrains
        return Estimate(value, self.sets, *errors, freedom, self.replicates, chance)


def _shared(sets: Sequence[Hashable], models: Sequence[Sequence[Models]]) -> bool:
    """Say whether any model stands behind runs on more than one forget set."""
    seen: dict[Hashable, Hashable] = {}
    return any(
        seen.setdefault(model, forget_set) != forget_set
        for forget_set, of_run in zip(sets, models, strict=True)
        for model in chain(*of_run)
    )


def _by_chance(retrains: Sequence[Sequence[float]], models: Sequence[Models]) -> tuple[Floats, int]:
    """Return the covariance [k, k] of k means over models, each less the mean of the retrains.

    retrains: of each forget set; models: whose mean each is. Returns also its degrees of freedom:
    retrains are compared within each set. NaN where no set has two of them.
    """
    freedom = sum(len(own) - 1 for own in retrains)
    if freedom < 1:
        return np.full((len(models), len(models)), np.nan), 0
    variance = sum(np.var(own) * len(own) for own in retrains) / freedom
    of_mean = sum(1 / len(own) for own in retrains) / len(retrains) ** 2
    common = [[len(a & b) / (len(a) * len(b)) for b in models] for a in models]
    covariance: Floats = variance * (np.array(common) + of_mean)
    return covariance, freedom


def combine(
    parts: Sequence[Part],
    models: Sequence[Models] | None = None,
    retrains: Mapping[Hashable, Sequence[float]] | None = None,
) -> Estimate:
    """Average one estimate over forget sets and runs, see `Joint`."""
    named = None if models is None else [[model] for model in models]
    return Joint.of([[part] for part in parts], named, retrains).along(1.0)


def _covariance(
    weights: Floats, samples: Sequence[Index], influences: Sequence[Sequence[Floats]]
) -> Floats:
    """Return the covariance [k, k] of means over runs that comes from one group's samples.

    weights: of the runs, which sum to 1; samples: of each run the indices of the group's;
    influences: of each run k arrays over them. NaN where no run has two of them, zero where the
    means do not rest on this group.
    """
    kinds = len(influences[0])
    if not any(len(index) for index in samples):
        return np.zeros((kinds, kinds))
    ids = np.concatenate(samples)
    present = np.bincount(ids) > 0
    total = np.stack(
        [
            np.bincount(
                ids,
                np.concatenate(
                    [
                        weight * (own[kind] - own[kind].mean()) / len(own[kind])
                        for weight, own in zip(weights, influences, strict=True)
                    ]
                ),
            )[present]
            for kind in range(kinds)
        ]
    )
    fewest = min(np.count_nonzero(np.bincount(index)) for index in samples)
    if fewest < 2:
        return np.full((kinds, kinds), np.nan)
    covariance: Floats = total @ total.T * fewest / (fewest - 1)
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
