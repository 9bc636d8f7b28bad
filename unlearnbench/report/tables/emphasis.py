"""Which value of a column is best, and which cannot be told from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from unlearnbench.metrics.compute import METRICS
from unlearnbench.metrics.inference import FEWEST, LEVEL, holm, p_zero

Mark = Literal["best", "tied"]
Ranks = Mapping[str, tuple[float, float]]

CAPTION = (
    "Bold: best; underlined: not told from it by a t-test in pairs over forget sets (5 %, Holm; FT"
    " AUC: as ranked)."
)


def emphasise(
    runs: pd.DataFrame,
    sound: Sequence[str],
    labels: Sequence[str],
    keys: Sequence[str],
    ranked: Mapping[str, Ranks],
) -> dict[tuple[int, int], Mark]:
    """Mark cells by row and column.

    runs: of one setting, with gaps; sound: the labels that may be best; labels: of the table's
    rows; keys: the metric or cost of each column, "" for none. Best is what is nearest to retrain
    in a level metric, run by run, and what the metric's arrow asks for else. ranked: of a metric
    that has been judged already, by label the first place it may have and how
    far from retrain it is.
    """
    marks: dict[tuple[int, int], Mark] = {}
    for column, key in enumerate(keys):
        if not key:
            continue
        found = _as_ranked(ranked[key]) if key in ranked else _of_column(runs, sound, key)
        for row, label in enumerate(labels):
            if label in found:
                marks[row, column] = found[label]
    return marks


def _as_ranked(ranks: Ranks) -> dict[str, Mark]:
    """Mark the nearest, and those that nothing is surely nearer than."""
    if len(ranks) < 2:
        return {}
    first, least = min(ranks.values())
    return {
        label: "best" if far == least else "tied"
        for label, (rank, far) in ranks.items()
        if rank == first
    }


def _of_column(runs: pd.DataFrame, sound: Sequence[str], key: str) -> dict[str, Mark]:
    loss = badness(runs, key)
    if loss is None:
        return {}
    by_set = loss.groupby([runs["label"], runs["forget_seed"]]).mean().unstack()
    by_set = by_set.reindex(list(sound)).dropna(how="all")
    if len(by_set) < 2:
        return {}
    names = [str(label) for label in by_set.index]
    values = by_set.to_numpy(dtype=float)
    least = int(np.nanargmin(np.nanmean(values, axis=1)))
    others = [place for place in range(len(names)) if place != least]
    differences = [values[place] - values[least] for place in others]
    found: dict[str, Mark] = {names[least]: "best"}
    for place, difference, p in zip(
        others, differences, holm([_p(one) for one in differences]), strict=True
    ):
        if not difference.any():
            found[names[place]] = "best"
        elif p >= LEVEL:
            found[names[place]] = "tied"
    return found


def badness(runs: pd.DataFrame, key: str) -> pd.Series[float] | None:
    """Return how far each run is from what would be best; None if that cannot be said."""
    metric = METRICS.get(key)
    if metric is not None and metric.kind == "level":
        key = f"{key}_gap"
        return runs[key].abs() if key in runs else None
    if key not in runs:
        return None
    values = runs[key].astype(float)
    heading = metric.heading if metric else "↓"  # costs
    if heading.endswith("↑"):
        return -values
    ideal = heading.partition("→")[2]
    return (values - float(ideal)).abs() if ideal else values


def _p(difference: np.ndarray) -> float:
    """Return the two-sided p of no difference over forget sets; 1 where there are too few."""
    values = difference[np.isfinite(difference)]
    if len(values) < FEWEST:
        return 1.0
    return p_zero(values.mean(), values.std(ddof=1) / np.sqrt(len(values)), len(values) - 1)
