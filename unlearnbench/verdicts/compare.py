"""What an attack says of every row: how sure its AUC is, how far from retrain, which rank."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from unlearnbench.audits.attacks import FPRS, Attacked
from unlearnbench.audits.roc import Part, mean_part, rate
from unlearnbench.verdicts.inference import FEWEST, LEVEL, Estimate, combine, holm, judge, ranks
from unlearnbench.verdicts.verdict import Uncertain, Verdict

Rows = Mapping[str, Mapping[tuple[int, ...], Attacked]]
"""What an attack finds, by label and by the seeds of a run, by which runs are paired."""


def judge_rows(trials: Rows, retrain: str, family: Sequence[str], margin: float) -> list[Verdict]:
    """Judge every row under one attack; places and flags are still to come.

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
    verdicts = []
    for label, own in trials.items():
        gap = gaps.get(label)
        p = adjusted.get(label, gap.p_zero) if gap else None
        parts = [found.part for found in own.values()]
        auc = combine(parts)
        verdicts.append(
            Verdict(
                label,
                len(own),
                auc.sets,
                Uncertain.of(auc),
                float(np.std([part.value for part in parts], ddof=1)) if len(own) > 1 else np.nan,
                Uncertain.of(gap) if gap else None,
                gap.attainable if gap else None,
                p,
                judge(gap, p, margin) if gap and p is not None else None,
                {fpr: _mean_rate([*own.values()], fpr) for fpr in FPRS},
                float(np.mean([found.balanced for found in own.values()])),
            )
        )
    return verdicts


def differences(trials: Rows, retrain: str) -> dict[str, dict[tuple[int, ...], Part]]:
    """Return each run's difference to the mean of the retrains on the same samples, by seeds."""
    retrains: dict[object, list[Part]] = {}
    for found in trials.get(retrain, {}).values():
        retrains.setdefault(found.part.forget_set, []).append(found.part)
    ideal = {forget_set: mean_part(parts) for forget_set, parts in retrains.items()}
    return {
        label: {
            seeds: found.part.minus(ideal[found.part.forget_set])
            for seeds, found in own.items()
            if found.part.forget_set in ideal
        }
        for label, own in trials.items()
        if label != retrain
    }


@dataclass(frozen=True)
class Pair:
    """Hold two rows, the one nearer to retrain first, and by how much their AUCs differ, in points.

    sampling_error, seed_error, low, high: see `Estimate`; p is Holm-adjusted for the number of
    pairs.
    """

    nearer: str
    farther: str
    difference: float
    sampling_error: float
    seed_error: float
    low: float
    high: float
    p: float


def compare_pairs(trials: Rows, retrain: str, labels: Sequence[str]) -> list[Pair]:
    """Compare rows in pairs on the runs and samples they share (paired DeLong, and over seeds).

    A row on either side of retrain differs from one on the other without being farther away; but
    what is surely and well below is not ranked, see `flags`.
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
    return [
        Pair(nearer, farther, apart.value, apart.sampling, apart.seeds, *apart.interval(), p)
        for (nearer, farther, apart), p in zip(pairs, adjusted, strict=True)
    ]


def places(
    verdicts: Sequence[Verdict], compared: Sequence[Pair], labels: Sequence[str]
) -> dict[str, tuple[int, int]]:
    """Return the first and last place each row may have by its AUC's distance to retrain's."""
    gaps = {verdict.label: abs(verdict.gap.value) for verdict in verdicts if verdict.gap}
    apart = {frozenset((pair.nearer, pair.farther)) for pair in compared if pair.p < LEVEL}
    return ranks(sorted((label for label in labels if label in gaps), key=gaps.__getitem__), apart)


def _mean_rate(runs: Sequence[Attacked], fpr: float) -> Uncertain | None:
    """Average a rate over runs; its interval counts each forget sample once, however many runs."""
    known = [share for found in runs if (share := found.rates[fpr]) is not None]
    if len(known) < len(runs):
        return None
    mean, distinct = np.mean(known), len(np.unique(np.concatenate([r.part.forget for r in runs])))
    exact = rate(round(mean / 100 * distinct), distinct)
    return Uncertain(float(mean), exact.low, exact.high)
