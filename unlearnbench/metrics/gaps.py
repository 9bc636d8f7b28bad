"""Distances to retraining, and their summary over runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from unlearnbench.metrics.compute import METRICS

GROUP = ["access", "fraction", "request"]
FORGET_SET = [*GROUP, "forget_seed"]


def yardstick(runs: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return, beside each run, the mean of the retrains on its forget set; NaN if there is none."""
    retrain = runs[runs["label"] == "retrain"].groupby(FORGET_SET)[columns].mean()
    return runs[FORGET_SET].join(retrain, on=FORGET_SET)[columns]


def with_gaps(runs: pd.DataFrame, terms: list[str]) -> pd.DataFrame:
    """Add to each run its signed distance to the mean of the retrains on the same forget set.

    runs: one row a run; columns label, access, fraction, request, forget_seed, and one a metric.
    Adds `<metric>_gap` for each metric, and `avg_gap`: the mean over `terms` of the absolute gaps,
    run by run, as the paper's code does; a mean of absolute values is never below the gap of means.
    A forget set without a finished retrain has no gaps (NaN).
    """
    metrics = [name for name in METRICS if name in runs]
    gaps = (runs[metrics] - yardstick(runs, metrics)).add_suffix("_gap")
    average = (
        gaps.reindex(columns=[f"{term}_gap" for term in terms]).abs().mean(axis=1, skipna=False)
    )
    return pd.concat([runs, gaps, average.rename("avg_gap")], axis=1)


def summarise(runs: pd.DataFrame) -> pd.DataFrame:
    """Reduce runs with gaps to one row a method and metric.

    Columns: label, access, fraction, request, metric, n, mean, std (over runs, ddof 1), low and
    high (95 % t-interval of the mean over runs), gap (mean signed distance to retrain).
    """
    rows = []
    for keys, group in runs.groupby(["label", *GROUP], sort=False, observed=True):
        for metric in [name for name in METRICS if name in group]:
            values = group[metric].dropna()
            n = len(values)
            mean, std = values.mean(), values.std(ddof=1)
            half = float(stdtrit(n - 1, 0.975)) * std / np.sqrt(n) if n > 1 else np.nan
            gap = group[f"{metric}_gap"].mean() if f"{metric}_gap" in group else np.nan
            rows.append((*keys, metric, n, mean, std, mean - half, mean + half, gap))
    columns = ["label", *GROUP, "metric", "n", "mean", "std", "low", "high", "gap"]
    return pd.DataFrame(rows, columns=columns)
