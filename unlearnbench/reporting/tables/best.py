"""Which row is best in a column: of all of them, or of those that a page shows."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd

from unlearnbench.evaluation.findings import Condition
from unlearnbench.evaluation.frames import as_rows
from unlearnbench.metrics.metric import known
from unlearnbench.verdicts.inference import FEWEST, LEVEL, holm, p_zero, ranks

Mark = Literal["best", "tied"]
DIGITS = 6
"""To which p-values and distances are written into a page."""


@dataclass(frozen=True)
class Contest:
    """Hold how far from best each row is in one column, and how sure it is that two rows differ.

    far: by label, the smaller the better; p: of no difference, of each pair, unadjusted, 1 where
    the forget sets that two rows share do not have them in the order of `far`; ranked:
    whether all pairs are tested together (Holm), and not only those with the best; same: rows whose
    runs are those of another, which they are no rivals of; different: rows that are different from
    retrain, which are never marked. The script of a page does what `marks` does.
    """

    name: str
    far: Mapping[str, float]
    p: Mapping[frozenset[str], float]
    ranked: bool = False
    same: Mapping[str, str] = field(default_factory=dict)
    different: Collection[str] = ()

    def marks(self, shown: Collection[str] | None = None) -> dict[str, Mark]:
        """Return what is best by label, and what is not shown to be worse; none where that is all.

        shown: the rows that are compared, by default all.
        """
        order = sorted(
            (n for n in self.far if shown is None or n in shown), key=self.far.__getitem__
        )
        open_to = [label for label in order if label not in self.different]
        if not open_to:
            return {}
        first = open_to[0]
        worse = self._worse(first, order)
        if not worse:
            return {}
        marks: dict[str, Mark] = {
            label: "best" if self.far[label] == self.far[first] else "tied"
            for label in open_to
            if label not in worse
        }
        marks |= {label: marks[one] for label, one in self.same.items() if one in marks}
        return marks

    def _worse(self, first: str, order: list[str]) -> set[str]:
        """Return those of the rows that are surely worse than `first`."""
        others = [label for label in order if label != first]
        if self.ranked:
            apart = self._apart(order)
            sure = [label for label in others if frozenset((first, label)) in apart]
        else:
            adjusted = holm([self.p[frozenset((first, other))] for other in others])
            sure = [n for n, p in zip(others, adjusted, strict=True) if p < LEVEL]
        return {label for label in sure if self.far[label] > self.far[first]}

    def _apart(self, order: list[str]) -> set[frozenset[str]]:
        """Return the pairs of rows that surely differ."""
        pairs = [pair for pair in map(frozenset, combinations(order, 2)) if pair in self.p]
        adjusted = zip(pairs, holm([self.p[pair] for pair in pairs]), strict=True)
        return {pair for pair, p in adjusted if p < LEVEL}

    def places(self, order: list[str]) -> dict[str, tuple[int, int]]:
        """Return the first and last place that each row may have among those named."""
        return ranks(order, self._apart(order))

    def as_data(self) -> dict[str, Any]:
        """Return it for the script of a page: p of pairs in the order of their labels."""
        labels = list(self.far)
        pairs = [self.p.get(frozenset(pair)) for pair in combinations(labels, 2)]
        return {
            "labels": labels,
            "far": [round(far, DIGITS) for far in self.far.values()],
            "p": [None if p is None else round(p, DIGITS) for p in pairs],
            "ranked": self.ranked,
            "same": dict(self.same),
            "different": list(self.different),
        }


def contest(condition: Condition, key: str) -> Contest | None:
    """Return how the methods of a condition that may be best compare in a metric or cost.

    None where that cannot be said. FT AUC is compared as ranks are, by its distance to retrain,
    paired over samples; any other by its runs, paired over forget sets.
    """
    labels = [label for label in condition.sound if label not in condition.same]
    if ranked := key == "ft_auc" and not condition.old:
        far, p = _by_samples(condition, labels)
    else:
        far, p = by_runs(condition.runs, labels, key)
    different = [label for label in condition.labels if condition.word(label) == "different"]
    name = f"{key}{condition.suffix}"
    return Contest(name, far, p, ranked, condition.same, different) if len(far) > 1 else None


def _by_samples(
    condition: Condition, labels: Sequence[str]
) -> tuple[dict[str, float], dict[frozenset[str], float]]:
    """Return how far FT AUC is from retrain's, and p of one row being nearer, of each pair."""
    judged, pairs = condition.verdicts(), condition.pairs
    gaps = {label: judged[label].gap for label in labels if label in judged}
    far = {label: abs(gap.value) for label, gap in gaps.items() if gap}
    if "p_raw" not in pairs:
        return {}, {}
    own = as_rows(pairs[pairs["attack"] == condition.benchmark.headline])
    return far, {frozenset((one["nearer"], one["farther"])): one["p_raw"] for one in own}


def by_runs(
    runs: pd.DataFrame, labels: Sequence[str], key: str
) -> tuple[dict[str, float], dict[frozenset[str], float]]:
    """Return how far from best rows are on average, and p of no difference of each pair.

    Where rows have different forget sets, as after failures, those that two share may order them
    otherwise than their averages do: then p is 1, or the better row might be called worse.
    """
    loss = badness(runs, key)
    if loss is None:
        return {}, {}
    by_set = loss.groupby([runs["label"], runs["forget_seed"]]).mean().unstack()
    by_set = by_set.reindex(list(labels)).dropna(how="all")
    means = by_set.mean(axis="columns")
    sets = {str(label): row.to_numpy(dtype=float) for label, row in by_set.iterrows()}
    far = {str(label): float(mean) for label, mean in means.items()}
    p = {
        frozenset((one, other)): _p(sets[one] - sets[other], far[one] - far[other])
        for one, other in combinations(sets, 2)
    }
    return far, p


def badness(runs: pd.DataFrame, key: str) -> "pd.Series[float] | None":
    """Return how far each run is from what would be best; None if that cannot be said."""
    metric = known(key)
    column = f"{key}_gap" if metric.kind == "level" else key
    if column not in runs:
        return None
    values = runs[column].astype(float)
    if metric.better:
        return -values if metric.better == "higher" else values
    return (values - (metric.ideal or 0.0)).abs()


def _p(difference: np.ndarray, of_means: float) -> float:
    """Return the two-sided p of no difference over forget sets; 1 where there are too few.

    of_means: the difference of the means of all sets; 1 too where its sign is another.
    """
    values = difference[np.isfinite(difference)]
    if len(values) < FEWEST or values.mean() * of_means < 0:
        return 1.0
    return p_zero(values.mean(), values.std(ddof=1) / np.sqrt(len(values)), len(values) - 1)
