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

from unlearnbench.verdicts.inference import FEWEST, LEVEL, MISSED, half_width

Ending = Literal["confirmed", "contradicted", "inconclusive"]


@dataclass(frozen=True)
class Claim:
    """Hold one claim, where it was looked for, what was measured, and how it ends.

    measure: what the numbers are, in points; detectable: the smallest true size, in points, that a
    test at 5 % finds 4 times in 5; rival: the row that decides, of how many.
    """

    claim: str
    where: str
    measure: str
    rival: str
    value: float
    low: float
    high: float
    detectable: float
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


def detectable(values: np.ndarray) -> float:
    """Return the smallest true mean of such values that a t-test at 5 % finds 4 times in 5.

    The sum of two quantiles, as for normal values, comes within 6 % of what the noncentral t
    distribution says of three values, and nearer with more.
    """
    return _half(values, LEVEL) + _half(values, 2 * MISSED)


def at_most_detectable(low: float, high: float) -> float:
    """Return what is surely detectable where no more is known than a 95 % interval.

    The fewer the degrees of freedom, the less is added to half of the interval: for many it is 43 %
    of it, for two 25 %.
    """
    return (high - low) / 2 * (1 + half_width(1, np.inf, 2 * MISSED) / half_width(1, np.inf))


def _half(values: np.ndarray, level: float) -> float:
    """Return half the width of the 1 - level t-interval of their mean; infinite for one value."""
    n = len(values)
    return half_width(values.std(ddof=1) / np.sqrt(n), n - 1, level) if n > 1 else float("inf")


def against_all(
    claim: str,
    where: str,
    measure: str,
    rivals: Mapping[str, np.ndarray],
    better: Literal["lower", "higher"],
) -> Claim:
    """Say whether a row beats every rival; rivals: as `advantages` returns them.

    To beat all, it must beat each at the 5 % level: no correction is needed for many rivals, since
    all tests must agree (Berger, Technometrics 24, 1982); the rival shown is where the interval
    reaches farthest. To be beaten by any, it must lose to one at 5 % divided by their number, which
    is then shown.
    """
    sign = -1 if better == "lower" else 1
    estimates = {name: mean_interval(sign * values) for name, values in rivals.items()}
    strict = LEVEL / len(estimates)
    beating = [
        name
        for name, values in rivals.items()
        if len(values) >= FEWEST and mean_interval(sign * values, strict)[2] < 0
    ]
    rival = min(beating or estimates, key=lambda name: estimates[name][0 if beating else 1])
    value, low, high = estimates[rival]
    ending = ended(low > 0, bool(beating), min(map(len, rivals.values())))
    if sign < 0:
        value, low, high = -value, -high, -low
    seen = detectable(rivals[rival])
    return Claim(claim, where, measure, rival, value, low, high, seen, ending, len(estimates))
