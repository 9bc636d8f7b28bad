"""How well a trial did: one number, smaller being better, with or without retrained models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from unlearnbench.evaluation.measure import Measurement
from unlearnbench.metrics.gaps import GROUP, with_gaps
from unlearnbench.planning.plan import ORIGINAL, Plan
from unlearnbench.storage.store import Store

LOST = ("retain_accuracy", "test_accuracy")
"""Accuracies that a request to forget should not cost."""


@dataclass(frozen=True)
class Criterion:
    """Name a way of choosing, for a table's heading and for the reader.

    value: of runs (one row each, as `measure` returns them) and the terms of the average gap, the
    value of each run in points; NaN where something it needs is lacking.
    """

    heading: str
    words: str
    value: Callable[[pd.DataFrame, list[str]], pd.Series[float]]
    retrains: bool


def measure(plan: Plan, store: Store) -> pd.DataFrame:
    """Return one row a finished cell of the plan: label, setting, seeds, run and metrics."""
    found = Measurement(plan, store, []).run().cells
    return pd.DataFrame(
        {
            "label": cell.label,
            "access": cell.access,
            "fraction": cell.fraction,
            "request": cell.request,
            "original_seed": cell.seeds[0] if len(cell.seeds) == 3 else None,
            "forget_seed": cell.seeds[-2],
            "run": cell.run,
            **evaluation.values,
        }
        for cell, evaluation in found.items()
    )


def gap(runs: pd.DataFrame, terms: list[str]) -> pd.Series[float]:
    """Return each run's average gap to the models retrained on its forget set."""
    return with_gaps(runs, terms)["avg_gap"]


def blind(runs: pd.DataFrame, terms: list[str]) -> pd.Series[float]:
    """Return what can be said of each run without retraining: a mean of three numbers in points.

    How far FT AUC is from 50, where an attack that guesses is, and what is lost of retain and of
    test accuracy against the original; what is gained counts as nothing lost. Forget accuracy is
    not among them: where it should be, only retraining tells. `terms` play no part.
    """
    keys = [*GROUP, "original_seed", "forget_seed"]
    originals = runs[runs["label"] == ORIGINAL].set_index(keys)[list(LOST)]
    before = runs[keys].join(originals, on=keys)[list(LOST)]
    lost = (before - runs[list(LOST)]).clip(lower=0)
    attacked = runs.get("ft_auc", pd.Series(np.nan, runs.index))
    return ((attacked - 50).abs() + lost.sum(axis=1, skipna=False)) / (1 + len(LOST))


GAP = Criterion(
    "Avg gap ↓", "smallest average gap to the models retrained on these seeds", gap, retrains=True
)
BLIND = Criterion(
    "Blind score ↓",
    "blind, no model was retrained for it: smallest mean of the distance of FT AUC to 50 and of"
    " the points of retain and validation accuracy lost against the original",
    blind,
    retrains=False,
)
