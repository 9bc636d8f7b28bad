"""Distances to retraining, their summary over runs, and how much of them is noise."""

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd

from unlearnbench.metrics.metric import GROUP, METRICS, RETRAIN, OfRuns, Yardstick, of_kind, of_type
from unlearnbench.verdicts.inference import half_width

Interval = tuple[float, float]
"""Of an interval."""


def with_gaps(runs: pd.DataFrame, terms: list[str]) -> pd.DataFrame:
    """Add to each run its signed distance to the mean of the retrains on the same forget set.

    runs: one row a run, as in `Yardstick`. Adds `<metric>_gap` for each level, and the metrics that
    follow from gaps: `avg_gap` is the mean over `terms` of the absolute ones. A forget set without
    a finished retrain has none of them (NaN).
    """
    standard = Yardstick(runs, terms)
    gaps = standard.gaps([name for name in of_kind("level") if name in runs]).add_suffix("_gap")
    derived = {
        metric.name: metric.function(standard)
        for metric in of_type(OfRuns)
        if metric.name not in runs and set(metric.needs) <= set(runs)
    }
    return pd.concat([runs, gaps, pd.DataFrame(derived, index=runs.index)], axis=1)


def summarise(runs: pd.DataFrame, intervals: Mapping[tuple[Any, ...], Interval]) -> pd.DataFrame:
    """Reduce runs with gaps to one row a method and metric.

    intervals: ends that are known better, by access, fraction, request, label and metric: those of
    AUCs hold the noise of the samples too. Columns: label, access, fraction, request, metric, n,
    sets, mean, std (over runs, ddof 1), low and high (95 % t-interval of the mean over forget sets:
    runs on the same set are alike, and count as one), gap (mean signed distance to retrain), band
    (how large a gap a retrain has by chance as a mean over as many runs, see `noise_band`) and
    band_single (in a single run).
    """
    rows = []
    for keys, of_group in runs.groupby(GROUP, sort=False, observed=True):
        known = of_group.columns[of_group.notna().any()]
        metrics = [name for name in METRICS if name in known]
        band = cache(partial(noise_band, of_group))  # most rows have as many runs
        for label, group in of_group.groupby("label", sort=False, observed=True):
            for metric in metrics:
                values = group[metric].dropna()
                sets, *ends = set_interval(group, metric)
                low, high = intervals.get((*keys, label, metric), ends)
                gap = group[f"{metric}_gap"].mean() if f"{metric}_gap" in group else np.nan
                bands = (band(metric, max(n, 1)) for n in (len(values), 1))
                spread = (len(values), sets, values.mean(), values.std(ddof=1))
                rows.append((label, *keys, metric, *spread, low, high, gap, *bands))
    columns = ["label", *GROUP, "metric", "n", "sets", "mean", "std", "low", "high", "gap"]
    order = {label: place for place, label in enumerate(dict.fromkeys(runs["label"]))}
    frame = pd.DataFrame(rows, columns=[*columns, "band", "band_single"])
    return frame.sort_values("label", key=lambda c: c.map(order), kind="stable", ignore_index=True)


def set_interval(runs: pd.DataFrame, column: str) -> tuple[int, float, float]:
    """Return on how many forget sets a row has a metric, and the 95 % interval of its mean.

    A t-interval over the means of the sets; NaN for one set.
    """
    means = runs.dropna(subset=column).groupby("forget_seed")[column].mean()
    count, mean = len(means), means.mean()
    if count < 2:
        return count, np.nan, np.nan
    half = half_width(means.std(ddof=1) / np.sqrt(count), count - 1)
    return count, float(mean - half), float(mean + half)


def usual_number(runs: pd.DataFrame) -> int:
    """Return how many runs most rows have, or else on how many forget sets there are retrains.

    The fewest where several numbers are as usual: no row may narrow the band of another.
    """
    tested = runs[~runs["label"].isin([RETRAIN, "original"])]
    if len(tested):
        return int(tested.groupby("label").size().mode().min())
    return int(runs["forget_seed"].nunique())


def noise_band(runs: pd.DataFrame, metric: str, count: int) -> float:
    """Return how far from retrain a retrain is by chance, 95 %, as a mean over so many runs.

    runs: of one access, fraction and request. For a level metric as in `level_band`. For a
    distance, which chance keeps away from perfect: retrain's own, at the edge of its 95 % interval
    that is farther from perfect, or half that interval if perfect lies in its middle. NaN without
    two retrains on some forget set.
    """
    if METRICS[metric].kind == "level":
        return level_band(runs, metric, count)
    values = runs.loc[runs["label"] == RETRAIN, metric].dropna()
    if len(values) < 2:
        return np.nan
    half = half_width(values.std(ddof=1) / np.sqrt(count), len(values) - 1)
    if METRICS[metric].ideal is not None:
        return half
    return float(values.mean() + (-half if METRICS[metric].better == "higher" else half))


def level_band(runs: pd.DataFrame, column: str, count: int) -> float:
    """Return half the width of the band around a gap of zero in which a retrain lies by chance.

    From the scatter of the retrains within each forget set, for a mean over `count` runs, against
    the mean of those retrains. NaN without two retrains on some forget set.
    """
    own = runs[runs["label"] == RETRAIN].groupby("forget_seed")[column]
    repeated = own.count()[own.count() > 1]
    if repeated.empty:
        return np.nan
    freedom = int((repeated - 1).sum())
    variance = (own.var(ddof=1)[repeated.index] * (repeated - 1)).sum() / freedom
    error = np.sqrt(variance * (1 / count + 1 / repeated.sum()))
    return half_width(error, freedom)
