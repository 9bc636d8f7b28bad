"""What is known of papers: a file each, with its claims, and beside it the numbers it printed.

A file of this folder has the title of the table of claims (`TITLE`), what its caption must add
(`NOTE`), and a function `claims(findings)`, which yields each `Claim` that the rows of a benchmark
can say something about. The numbers, in a CSV file of the same name, are asked for by benchmark
files (see planning/benchmark.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import chdtri

from unlearnbench.verdicts.inference import FEWEST, LEVEL, MISSED, half_width

Ending = Literal["confirmed", "contradicted", "inconclusive"]
Better = Literal["lower", "higher"]
SIGN: dict[Better, int] = {"lower": -1, "higher": 1}


@dataclass(frozen=True)
class Claim:
    """Hold one claim, where it was looked for, what was measured, and how it ends.

    measure: what the numbers are, in points; rival: the row that decides, of how many; to_confirm,
    to_contradict: the smallest true size, in points, that would end so 4 times in 5. Of a claim
    that allows a margin the first is the smallest margin that would do where there is nothing.
    """

    claim: str
    where: str
    measure: str
    rival: str
    value: float
    low: float
    high: float
    to_confirm: float
    to_contradict: float
    ending: Ending
    rivals: int = 1


def advantages(
    runs: pd.DataFrame, metric: str, label: str, others: Iterable[str]
) -> dict[str, np.ndarray]:
    """Return by rival how much higher a row's metric is, a value a forget set that both have."""
    if metric not in runs:
        return {}
    means = runs.groupby(["label", "forget_seed"])[metric].mean().unstack()
    there = [name for name in others if {name, label} <= set(means.index)]
    higher = {name: (means.loc[label] - means.loc[name]).dropna() for name in there}
    return {name: values.to_numpy(dtype=float) for name, values in higher.items() if len(values)}


def ended(seen: bool, contrary: bool, sets: int) -> Ending:
    """Return how a claim ends of which so many forget sets show it, the contrary or neither."""
    if sets < FEWEST:
        return "inconclusive"
    return "confirmed" if seen else "contradicted" if contrary else "inconclusive"


def mean_interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float, float]:
    """Return a mean with its 1 - level t-interval."""
    mean, half = float(values.mean()), _half(values, level)
    return mean, mean - half, mean + half


def detectable(values: np.ndarray, level: float = LEVEL) -> float:
    """Return the smallest true mean of such values that a t-test at `level` finds 4 times in 5.

    The sum of two quantiles comes within 6 % of what the noncentral t distribution says of three
    values whose spread is known, and nearer with more. That it is not known weighs more, see
    `spread_known`.
    """
    return _half(values, level) + _half(values, 2 * MISSED)


def at_most_detectable(low: float, high: float) -> float:
    """Return the same at 5 % where no more is known than a 95 % interval, or somewhat more.

    The fewer the degrees of freedom, the less is added to half of the interval: for many it is 43 %
    of it, for two 25 %.
    """
    return (high - low) / 2 * (1 + half_width(1, np.inf, 2 * MISSED) / half_width(1, np.inf))


def spread_known(sets: int) -> tuple[float, float]:
    """Return how many times as large as that of so many normal values their true spread may be.

    A 95 % interval, by the chi-squared distribution.
    """
    freedom = sets - 1
    low, high = (np.sqrt(freedom / chdtri(freedom, p)) for p in (LEVEL / 2, 1 - LEVEL / 2))
    return float(low), float(high)


def _half(values: np.ndarray, level: float) -> float:
    """Return half the width of the 1 - level t-interval of their mean; infinite for one value."""
    n = len(values)
    return half_width(values.std(ddof=1) / np.sqrt(n), n - 1, level) if n > 1 else float("inf")


def against_all(
    claim: str,
    where: str,
    measure: str,
    rivals: Mapping[str, np.ndarray],
    better: Better,
) -> Claim:
    """Say whether a row beats every rival; rivals: as `advantages` returns them.

    To beat all, it must beat each at the 5 % level: no correction is needed for many rivals, since
    all tests must agree (Berger, Technometrics 24, 1982); the rival shown is where the interval
    reaches farthest. To be beaten by any, it must lose to one at 5 % divided by their number, which
    is then shown.
    """
    sign = SIGN[better]
    estimates = {name: mean_interval(sign * values) for name, values in rivals.items()}
    strict = LEVEL / len(estimates)
    beating = [
        name
        for name, values in rivals.items()
        if len(values) >= FEWEST and mean_interval(sign * values, strict)[2] < 0
    ]
    rival = min(beating or estimates, key=lambda name: estimates[name][0 if beating else 1])
    ending = ended(estimates[rival][1] > 0, bool(beating), min(map(len, rivals.values())))
    needed = (
        max(map(detectable, rivals.values())),
        min(detectable(values, strict) for values in rivals.values()),
    )
    numbers = mean_interval(rivals[rival])
    return Claim(claim, where, measure, rival, *numbers, *needed, ending, len(estimates))


def against_one(
    claim: str,
    where: str,
    measure: str,
    rival: str,
    values: np.ndarray,
    better: Better,
    allowed: float = 0.0,
) -> Claim:
    """Say whether the mean of values is on the better side of zero, or no more than `allowed` off.

    Confirmed and contradicted by the 95 % interval, in which `allowed` counts for confirming alone.
    """
    value, low, high = mean_interval(values)
    ending = beside_zero(low, high, better, allowed, len(values))
    needed = detectable(values)
    return Claim(claim, where, measure, rival, value, low, high, needed, needed, ending)


def beside_zero(low: float, high: float, better: Better, allowed: float, sets: int) -> Ending:
    """Return how a claim ends that a number with this interval is on the better side of zero.

    What is surely on the worse side contradicts it, however near.
    """
    if better == "lower":
        low, high = -high, -low
    return ended(low > -allowed and high >= 0, high < 0, sets)
