"""LiRA, the likelihood-ratio attack (Carlini et al., arXiv 2112.03570), on margins."""

from dataclasses import dataclass

import numpy as np

from unlearnbench.audits.roc import Bools, Floats

PER_EXAMPLE_FROM = 64
"""Reference models from which on each sample's own variance is estimated; below, a pooled one."""


@dataclass(frozen=True)
class Normal:
    """Hold a normal distribution a sample: mean and sd broadcast to [n]."""

    mean: Floats
    sd: Floats

    def log_density(self, value: Floats) -> Floats:
        """Return the log density at `value`, without its constant."""
        return -np.log(self.sd) - ((value - self.mean) / self.sd) ** 2 / 2


@dataclass(frozen=True)
class Gaussians:
    """Hold the margin's distributions under models trained on each sample, and not."""

    inside: Normal
    outside: Normal


def fit(margin: Floats, member: Bools) -> Gaussians:
    """Fit both distributions of each sample from margins [k, n] and members [k, n].

    The pooled variance is the mean squared residual within samples, so that differences between
    samples do not widen it (LiRA's code takes the standard deviation of everything).
    """
    return Gaussians(normal(margin, member), normal(margin, ~member))


def mean_over(chosen: Bools, values: Floats) -> Floats:
    """Return each sample's mean over the models chosen for it, [n]; NaN where none is."""
    count = chosen.sum(0)
    mean: Floats = np.full(len(count), np.nan)
    np.divide(np.where(chosen, values, 0).sum(0), count, out=mean, where=count > 0)
    return mean


def normal(margin: Floats, chosen: Bools) -> Normal:
    """Fit each sample's margin over the models chosen for it; margin, chosen: [k, n].

    The mean is NaN where none is.
    """
    count = chosen.sum(0)
    mean = mean_over(chosen, margin)
    squares = np.where(chosen, (margin - mean) ** 2, 0).sum(0)
    if len(margin) >= PER_EXAMPLE_FROM:
        sd = np.sqrt(squares / np.maximum(count - 1, 1))
    else:
        sd = np.sqrt(squares.sum() / max(np.maximum(count - 1, 0).sum(), 1))
    return Normal(mean, np.maximum(sd, np.finfo(np.float32).eps))


def online(margin: Floats, gaussians: Gaussians) -> Floats:
    """Return the log likelihood ratio of having been trained on each sample, [n]."""
    return gaussians.inside.log_density(margin) - gaussians.outside.log_density(margin)


def offline(margin: Floats, outside: Normal) -> Floats:
    """Return how many standard deviations each margin is above what it is without the sample.

    The paper takes the normal distribution function of this: it ranks alike, but runs into 1.
    """
    return (margin - outside.mean) / outside.sd


def fit_as_reference_code(margin: Floats, member: Bools) -> Normal:
    """Fit the distribution without each sample as LiRA's published code does.

    Its location is the median; below 64 models its "fixed variance" is that of all margins
    together, differences between samples included.
    """
    outside, known = np.where(member, np.nan, margin), member.sum(0) < len(member)
    median, sd = np.full((2, len(known)), np.nan)
    median[known] = np.nanmedian(outside[:, known], axis=0)
    many = len(margin) >= PER_EXAMPLE_FROM
    sd[known] = np.nanstd(outside[:, known], axis=0) if many else np.nanstd(outside)
    return Normal(median, sd + 1e-30)


def offline_as_reference_code(margin: Floats, outside: Normal) -> Floats:
    """Return minus the log density without each sample, as LiRA's published code scores offline.

    It is two-sided: a margin far below what it should be counts as membership too. Much of the
    weakness reported for offline LiRA is this.
    """
    return -outside.log_density(margin)
