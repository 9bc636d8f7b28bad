"""RMIA, robust membership inference (Zarifzadeh et al., arXiv 2312.03262)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unlearnbench.metrics.roc import auc

Floats = NDArray[np.float64]
Members = NDArray[np.bool_]

GAMMA = 2.0
"""How many times likelier than a population sample; RMIA's and AMUN's value for CIFAR-10."""
DEFAULT_A = 0.3
"""The offline constant for CIFAR-10 in RMIA's code, for a bank too small to choose from."""
ATTACKED = 4
"""How many reference models are attacked to choose the offline constant."""


def online(probability: Floats, member: Members) -> Floats:
    """Return P(x), [n]: the mean of the means over models trained on x and over the others.

    probability, member: [k, n]. One mean over all k models would be the same for a balanced bank,
    and would leak which model was left out of an unbalanced one.
    """
    mean: Floats = (mean_over(member, probability) + mean_over(~member, probability)) / 2
    return mean


def offline(probability: Floats, member: Members, a: float) -> Floats:
    """Return P(x), [n], from models not trained on x, the others' share being a * out + 1 - a."""
    mean: Floats = ((1 + a) * mean_over(~member, probability) + 1 - a) / 2
    return mean


def choose_a(probability: Floats, member: Members) -> float:
    """Choose the offline constant by attacking references, whose members are known.

    Each of the first few is attacked with the rest of the bank; the best mean AUC over the grid
    0, 0.1, ... 1 wins, the smaller value at a tie. The model under attack is never looked at.
    """
    k = len(member)
    if k <= ATTACKED:
        return DEFAULT_A
    grid = np.linspace(0, 1, 11)
    found = np.zeros(len(grid))
    for target in range(ATTACKED):
        rest = np.arange(k) != target
        inside = member[target]
        for i, a in enumerate(grid):
            ratio = probability[target] / offline(probability[rest], member[rest], float(a))
            found[i] += auc(ratio[inside], ratio[~inside])
    return round(float(grid[np.argmax(found)]), 1)


def score(ratio: Floats, population: Floats, *, gamma: float, strict: bool = False) -> Floats:
    """Return the share of population ratios z with ratio / z >= gamma (> if strict), in [0, 1].

    By sorted search, O((n + |z|) log |z|); equal to the outer product, to the last bit where
    dividing by gamma is exact. The score is an empirical distribution function of the ratio, so it
    ranks samples as the ratio does, up to ties, which the ratio is spared: gamma and population
    only calibrate thresholds.
    """
    side: Literal["left", "right"] = "left" if strict else "right"
    share: Floats = np.searchsorted(np.sort(population), ratio / gamma, side=side) / len(population)
    return share


def mean_over(chosen: Members, probability: Floats) -> Floats:
    """Return each sample's mean over the models chosen for it, [n]."""
    mean: Floats = np.where(chosen, probability, 0).sum(0) / chosen.sum(0)
    return mean
