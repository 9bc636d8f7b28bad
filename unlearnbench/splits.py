"""Which samples are forgotten, and which ones a reference model is trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unlearnbench.errors import UserError
from unlearnbench.seeds import seed_for
from unlearnbench.spec import Split

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Indices:
    """Cut the training set in three: forgotten now, forgotten by earlier requests, retained."""

    forget: Index
    earlier: Index
    retain: Index


def cut(split: Split, labels: NDArray[np.int64]) -> Indices:
    """Draw a forget set from a training set with these labels. Raises UserError if it is empty."""
    n = len(labels)
    if split.kind == "random":
        size = round(split.fraction * n)
        if size == 0 or size * split.requests >= n:
            raise UserError(
                f"{split.requests} x {split.fraction:g} of {n} samples is not a forget set.",
                "Some samples must be forgotten and some must be left.",
            )
        drawn = np.random.RandomState(split.seed).choice(n, size * split.requests, replace=False)
        parts = list(drawn.reshape(split.requests, size))
    else:
        wanted = range(split.target, split.target + split.requests)
        parts = [_of_class(c, split, labels) for c in wanted]
    forget = np.sort(parts[split.request - 1])
    earlier = np.sort(np.concatenate([*parts[: split.request - 1], forget[:0]]))
    retain = np.setdiff1d(np.arange(n), np.concatenate((forget, earlier)))
    check(Indices(forget, earlier, retain), n)
    return Indices(forget, earlier, retain)


def _of_class(target: int, split: Split, labels: NDArray[np.int64]) -> Index:
    members = np.flatnonzero(labels == target)
    if not len(members):
        raise UserError(f"There is no class {target} in the training set.", "See forget.target.")
    size = max(1, round(split.fraction * len(members)))
    return np.random.RandomState(split.seed).choice(members, size, replace=False)


def check(indices: Indices, n: int) -> None:
    """Make sure the three parts are disjoint and are the training set, no more and no less."""
    together = np.sort(np.concatenate((indices.forget, indices.earlier, indices.retain)))
    if not np.array_equal(together, np.arange(n)):
        raise AssertionError("forget, earlier and retain sets do not partition the training set")


def reference_members(n: int, bank: int, seed: int) -> NDArray[np.bool_]:
    """Return [bank, n]: which of the pooled n samples each reference model is trained on.

    Every sample is in exactly half of the models (the balanced design of RMIA and LiRA), forget and
    test samples alike: references trained on halves of the training set alone would put an exactly
    retrained model's AUC far below 50.
    """
    draw = np.random.default_rng(seed_for(seed, "reference halves"))
    return draw.random((bank, n)).argsort(axis=0) < bank // 2
