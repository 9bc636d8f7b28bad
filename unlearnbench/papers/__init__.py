"""What is known of papers: a file each, with its claims, and beside it the numbers it printed.

A file of this folder has the title of the table of claims (`TITLE`), what its caption must add
(`NOTE`), and a function `claims(findings)`, which yields each `Claim` that the rows of a benchmark
can say something about. The numbers, in a CSV file of the same name, are asked for by benchmark
files (see planning/benchmark.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import numpy as np
import pandas as pd

from unlearnbench.registry import discover
from unlearnbench.verdicts.inference import FEWEST, LEVEL, half_width

Ending = Literal["seen", "not seen", "inconclusive"]


@dataclass(frozen=True)
class Claim:
    """Hold one claim, where it was looked for, what was measured, and how it ends.

    measure: what the numbers are, in points; rival: the row that decides, of how many.
    """

    claim: str
    where: str
    measure: str
    rival: str
    value: float
    low: float
    high: float
    ending: Ending
    rivals: int = 1


def papers() -> dict[str, ModuleType]:
    """Import the papers there are, by name."""
    return discover(__name__)


def advantages(
    runs: pd.DataFrame, metric: str, label: str, others: Iterable[str]
) -> dict[str, np.ndarray]:
    """Return by rival how much higher a row's metric is, a value a forget set."""
    if metric not in runs:
        return {}
    means = runs.groupby(["label", "forget_seed"])[metric].mean().unstack()
    if label not in means.index:
        return {}
    by_rival = {name: means.loc[label] - means.loc[name] for name in others if name in means.index}
    return {name: values.dropna().to_numpy(dtype=float) for name, values in by_rival.items()}


def mean_interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float, float]:
    """Return a mean with its 1 - level t-interval."""
    n = len(values)
    mean = float(values.mean()) if n else float("nan")
    if n < 2:
        return mean, float("-inf"), float("inf")
    half = half_width(values.std(ddof=1) / np.sqrt(n), n - 1, level)
    return mean, mean - half, mean + half


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
    ending: Ending = "inconclusive"
    if min(len(values) for values in rivals.values()) >= FEWEST:
        ending = "not seen" if beating else "seen" if low > 0 else "inconclusive"
    if sign < 0:
        value, low, high = -value, -high, -low
    return Claim(claim, where, measure, rival, value, low, high, ending, len(estimates))
