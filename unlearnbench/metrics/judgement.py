"""What an attack says of every row: how sure its AUC is, how far from retrain, which rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from unlearnbench.metrics.compute import FPRS, Attacked
from unlearnbench.metrics.inference import (
    FEWEST,
    LEVEL,
    Estimate,
    Part,
    Verdict,
    combine,
    holm,
    judge,
    mean_part,
    ranks,
)
from unlearnbench.metrics.roc import Rate, rate


@dataclass(frozen=True)
class Trial:
    """Hold what an attack finds in one run, and the run's seeds, by which runs are paired."""

    seeds: tuple[int, ...]
    found: Attacked


@dataclass(frozen=True)
class Judged:
    """Hold one row under one attack.

    auc: in percent; std: over runs (NaN for one); gap: to the mean of the retrains on the same
    samples, None for the retrains themselves and where there are none; p: Holm-adjusted for methods
    and the held-out retrain, plain for the original and the controls; rates: TPR by FPR.
    """

    label: str
    runs: int
    auc: Estimate
    std: float
    gap: Estimate | None
    p: float
    verdict: Verdict | None
    rates: dict[float, Rate | None]
    balanced: float


Trials = Mapping[str, Sequence[Trial]]


def judge_rows(trials: Trials, retrain: str, family: Sequence[str], margin: float) -> list[Judged]:
    """Judge every row under one attack.

    trials: by label; family: the labels that are tested together; margin: of equivalence, in
    points.
    """
    gaps = {
        label: combine(list(parts.values()))
        for label, parts in differences(trials, retrain).items()
        if parts
    }
    tested = [label for label in family if label in gaps]
    adjusted = dict(zip(tested, holm([gaps[label].p_zero for label in tested]), strict=True))
    rows = []
    for label, own in trials.items():
        gap = gaps.get(label)
        p = adjusted.get(label, gap.p_zero if gap else np.nan)
        values = [trial.found.part.value for trial in own]
        rows.append(
            Judged(
                label,
                len(own),
                combine([trial.found.part for trial in own]),
                float(np.std(values, ddof=1)) if len(own) > 1 else np.nan,
                gap,
                p,
                judge(gap, p, margin) if gap else None,
                {fpr: _mean_rate(own, fpr) for fpr in FPRS},
                float(np.mean([trial.found.balanced for trial in own])),
            )
        )
    return rows


def differences(trials: Trials, retrain: str) -> dict[str, dict[tuple[int, ...], Part]]:
    """Return each run's difference to the mean of the retrains on the same samples, by seeds."""
    found: dict[object, list[Part]] = {}
    for trial in trials.get(retrain, []):
        found.setdefault(trial.found.part.forget_set, []).append(trial.found.part)
    ideal = {forget_set: mean_part(parts) for forget_set, parts in found.items()}
    return {
        label: {
            trial.seeds: trial.found.part.minus(ideal[trial.found.part.forget_set])
            for trial in own
            if trial.found.part.forget_set in ideal
        }
        for label, own in trials.items()
        if label != retrain
    }


@dataclass(frozen=True)
class Compared:
    """Hold two rows, the one nearer to retrain first, and by how much their AUCs differ, in points.

    p is Holm-adjusted for the number of pairs.
    """

    nearer: str
    farther: str
    difference: Estimate
    p: float


def compare(trials: Trials, retrain: str, labels: Sequence[str]) -> list[Compared]:
    """Compare rows in pairs on the runs and samples they share (paired DeLong, and over seeds).

    A row on either side of retrain differs from one on the other without being farther away; but
    what is surely and well below is not ranked, see `gates.flags`.
    """
    parts = {label: own for label, own in differences(trials, retrain).items() if label in labels}
    far = {label: combine(list(own.values())).value for label, own in parts.items() if own}
    pairs: list[tuple[str, str, Estimate]] = []
    for pair in combinations([label for label in labels if label in far], 2):
        nearer, farther = sorted(pair, key=lambda label: abs(far[label]))
        shared = [seeds for seeds in parts[nearer] if seeds in parts[farther]]
        if shared:
            apart = combine([parts[farther][s].minus(parts[nearer][s]) for s in shared])
            pairs.append((nearer, farther, apart))
    adjusted = holm([d.p_zero if d.sets >= FEWEST else 1.0 for _, _, d in pairs])
    return [Compared(*pair, p) for pair, p in zip(pairs, adjusted, strict=True)]


def rank(
    rows: Sequence[Judged], compared: Sequence[Compared], labels: Sequence[str]
) -> dict[str, tuple[int, int]]:
    """Return the first and last place each row may have by its AUC's distance to retrain's."""
    gaps = {row.label: row.gap for row in rows if row.gap}
    order = sorted((n for n in labels if n in gaps), key=lambda n: abs(gaps[n].value))
    apart = {frozenset((c.nearer, c.farther)) for c in compared if c.p < LEVEL}
    return ranks(order, apart)


def _mean_rate(trials: Sequence[Trial], fpr: float) -> Rate | None:
    """Average a rate over runs; its interval counts each forget sample once, however many runs."""
    found = [trial.found.rates[fpr] for trial in trials]
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        return None
    distinct = len(np.unique(np.concatenate([trial.found.part.forget for trial in trials])))
    exact = rate(round(np.mean(known) / 100 * distinct), distinct)
    return Rate(float(np.mean(known)), exact.low, exact.high)
