"""The toy that closed forms are known for: phi = mu + delta * trained-on + noise."""

from __future__ import annotations

import numpy as np

from unlearnbench.audits.references import ReferenceModels
from unlearnbench.audits.roc import Part, placements
from unlearnbench.data.splits import reference_members


def toy(n: int, k: int, *, seed: int, delta: float = 1.0) -> tuple[np.ndarray, ReferenceModels]:
    """Return the target's margins [2n], of n members and then n others, and k references.

    Each sample has its own level mu ~ N(0, 2^2); noise of every model is N(0, 1).
    """
    draw = np.random.default_rng(seed)
    mu = draw.normal(0, 2, 2 * n)
    member = reference_members(2 * n, k, seed=seed)
    margin = mu + delta * member + draw.normal(0, 1, (k, 2 * n))
    trained = np.arange(2 * n) < n
    target = mu + delta * trained + draw.normal(0, 1, 2 * n)
    return target, ReferenceModels(margin, margin, member)


def part(
    positive: np.ndarray,
    negative: np.ndarray,
    forget_set: int = 0,
    forget: np.ndarray | None = None,
) -> Part:
    """Place scores of a forget set and of non-members who are the same in every part."""
    index = np.arange(len(positive)) + 10_000 * forget_set if forget is None else forget
    others = np.arange(len(negative))
    return Part(forget_set, index, others, *placements(positive, negative))
