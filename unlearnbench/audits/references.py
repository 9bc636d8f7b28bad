"""The reference models' view of the pool, and what attacks need of it, worked out once.

RMIA, robust membership inference, is Zarifzadeh et al., arXiv 2312.03262.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from unlearnbench.audits import lira
from unlearnbench.audits.lira import mean_over
from unlearnbench.audits.roc import Bools, Floats, Index, auc
from unlearnbench.errors import UserError

GAMMA = 2.0
"""How many times likelier than a population sample; RMIA's and AMUN's value for CIFAR-10."""
DEFAULT_A = 0.3
"""The offline constant for CIFAR-10 in RMIA's code, for too few references to choose from."""
ATTACKED = 4
"""How many reference models are attacked to choose the offline constant."""
DECILES = 10


def reference_counts(references: int) -> list[int]:
    """Return with how many of the references attacks are tried: 2, 4, 8, ... and all."""
    return sorted({2**power for power in range(1, references.bit_length())} | {references})


def halves(member: Bools) -> bool:
    """Say whether every sample is in exactly half of the models; member: bool [k, n]."""
    return bool((2 * member.sum(0) == len(member)).all())


def of_halves(member: Bools, used: Index | None = None) -> bool:
    """Say whether each sample is in half of references that were made elsewhere.

    member: bool [k, n]; used: which samples it is asked of, all of them if None. Raises UserError
    where half of the samples or more are in all references: a few, as there are by chance in
    random halves, are left out of attacks, see `ReferenceModels.known`.
    """
    of = member if used is None else member[:, used]
    seen = int(of.all(0).sum())
    if 2 * seen >= of.shape[1]:
        raise UserError(
            f"{seen:,} of {of.shape[1]:,} samples are in all of the references given.",
            "An attack compares with models that have not seen a sample: give references in pairs,"
            " each trained on the half that the other has not seen.",
        )
    return halves(of)


@dataclass(frozen=True)
class ReferenceModels:
    """Hold what k reference models say of n samples.

    margin, sm_taylor, sm_taylor_exact: float64 [k, n]; member: bool [k, n], who was trained on
    what. Every sample is in exactly half of the models, but of those made elsewhere, see `halves`.
    References stored before sm_taylor_exact was read have none.
    """

    margin: Floats
    sm_taylor: Floats
    member: Bools
    sm_taylor_exact: Floats | None = None

    @classmethod
    def join(cls, references: list[Mapping[str, NDArray[Any]]]) -> Self:
        """Join the signals of all reference models."""
        member = np.stack([signals["member"] for signals in references])
        values = {
            name: np.stack([signals[name] for signals in references]).astype(np.float64)
            for name in ("margin", "sm_taylor", "sm_taylor_exact")
            if all(name in signals for signals in references)
        }
        return cls(member=member, **values)

    @property
    def usable(self) -> bool:
        """Whether all is finite and some sample is not in all of them: others may say anything."""
        values = self.margin, self.sm_taylor, self.sm_taylor_exact
        finite = all(np.isfinite(one).all() for one in values if one is not None)
        return finite and bool(self.known.any())

    @cached_property
    def halves(self) -> bool:
        """Whether every sample is in exactly half of the models, as online attacks need it."""
        return halves(self.member)

    @cached_property
    def known(self) -> Bools:
        """Which samples some model has not seen, [n]: of others attacks can say nothing."""
        known: Bools = self.member.sum(0) < len(self.member)
        return known

    @cached_property
    def confidence(self) -> Floats:
        """Softmax confidences in the true labels, [k, n]."""
        return expit(self.margin)

    @cached_property
    def outside(self) -> Floats:
        """The mean confidence of the models not trained on each sample, [n]."""
        return mean_over(~self.member, self.confidence)

    @cached_property
    def online(self) -> Floats:
        """P(x) of RMIA's online form, from softmax confidences, [n]."""
        return online(self.confidence, self.member)

    @cached_property
    def online_by_count(self) -> dict[int, Floats]:
        """P(x) of RMIA's online form with 2, 4, 8, ... models and with all, [n] each.

        Of each sample the first models trained on it, and as many of the others.
        """
        order = np.argsort(~self.member, axis=0, kind="stable")
        sums = np.take_along_axis(self.confidence, order, axis=0)
        half = len(sums) // 2
        inside, outside = (np.cumsum(part, axis=0) for part in (sums[:half], sums[half:]))
        counts = reference_counts(len(sums))
        return {k: (inside[k // 2 - 1] + outside[k // 2 - 1]) / k for k in counts}

    @cached_property
    def memorisation(self) -> Floats:
        """How much surer models trained on a sample are of it than others, [n], in [-1, 1].

        Feldman and Zhang's estimate (arXiv 2008.03703), with confidences in place of hits.
        """
        return mean_over(self.member, self.confidence) - self.outside

    @cached_property
    def offline_a(self) -> float:
        """RMIA's offline constant a, chosen by attacking references, whose members are known.

        Each of the first few is attacked with the others; the best mean AUC over the grid
        0, 0.1, ... 1 wins, the smaller value at a tie. The model under attack is never looked at.
        """
        models = np.arange(len(self.member))
        if len(models) <= ATTACKED or not self.halves:
            return DEFAULT_A
        grid = np.linspace(0, 1, 11)
        found = np.zeros(len(grid))
        for target in range(ATTACKED):
            rest, inside = models != target, self.member[target]
            outside = mean_over(~self.member[rest], self.confidence[rest])
            for i, a in enumerate(grid):
                own, expected = self.confidence[target], offline(outside, a)
                # Where none is expected, any is infinitely more, and none is as expected.
                ratio = np.divide(own, expected, np.where(own > 0, np.inf, 1.0), where=expected > 0)
                found[i] += auc(ratio[inside], ratio[~inside])
        return round(float(grid[np.argmax(found)]), 1)

    @cached_property
    def offline(self) -> Floats:
        """P(x) of RMIA's offline form, [n]."""
        return offline(self.outside, self.offline_a)

    @cached_property
    def gaussians(self) -> lira.Gaussians:
        """LiRA's Gaussians of the margin with and without each sample."""
        return lira.fit(self.margin, self.member)

    @cached_property
    def without(self) -> lira.Normal:
        """LiRA's Gaussians of the margin without each sample, alone."""
        return lira.normal(self.margin, ~self.member)

    @cached_property
    def code(self) -> lira.Normal:
        """The Gaussians of LiRA's reference code without each sample."""
        return lira.fit_as_reference_code(self.margin, self.member)


def online(probability: Floats, member: Bools) -> Floats:
    """Return P(x), [n]: the mean of the means over models trained on x and over the others.

    probability, member: [k, n]. One mean over all k models would be the same where half of them
    were trained on each x, and would leak which model was left out where they were not.
    """
    return (mean_over(member, probability) + mean_over(~member, probability)) / 2


def offline(outside: Floats, a: float) -> Floats:
    """Return P(x), [n], from the mean over models not trained on x.

    The others' mean is taken to be a * outside + 1 - a.
    """
    return ((1 + a) * outside + 1 - a) / 2


def share_above(ratio: Floats, population: Floats, *, gamma: float, strict: bool = False) -> Floats:
    """Return the share of population ratios z with ratio / z >= gamma (> if strict), in [0, 1].

    By sorted search, O((n + |z|) log |z|); equal to the outer product, to the last bit where
    dividing by gamma is exact. Of positive ratios the score is an empirical distribution function,
    so it ranks samples as they do, up to ties: gamma and population only calibrate thresholds.
    A negative ratio is compared with negative z, by their sizes; 0 counts among the positive.
    """
    found = np.zeros(len(ratio))
    for negative in (False, True):
        own, other = (ratio < 0) == negative, (population < 0) == negative
        ordered = np.sort(np.abs(population[other]))
        side: Literal["left", "right"] = "left" if strict else "right"
        found[own] = np.searchsorted(ordered, np.abs(ratio[own]) / gamma, side)
    return found / len(population)


def deciles(memorisation: Floats) -> Index:
    """Return which tenth each sample is in, 0 the least memorised; of few samples some are empty.

    Always tenths: forget sets of a setting may differ in size (classes do), their curves may not.
    """
    rank = np.argsort(np.argsort(memorisation, kind="stable"), kind="stable")
    return rank * DECILES // len(memorisation)
