"""Which of two rows is nearer to retrain, and which places rows may have."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from unlearnbench.audits.roc import Null
from unlearnbench.verdicts.audit import Trials, differences, model_of, retrain_values
from unlearnbench.verdicts.inference import LEVEL, Estimate, Joint, combine, holm, ranks


def compare_pairs(
    trials: Trials,
    retrain: str,
    labels: Sequence[str],
    null: Null | None = None,
    *,
    one_set: bool = False,
) -> list[dict[str, Any]]:
    """Compare rows in pairs on the runs and samples they share, by their distance to retrain.

    With gaps a and b, row A is nearer only if both b - a and b + a differ from zero, with the same
    sign: |b| > |a| says just that, whichever side of retrain the two are on. The p-value of a pair
    is the larger of the two (intersection-union), Holm-adjusted for the number of pairs. Returns
    rows of `Findings.pairs`: the one that looks nearer, the other, by how much nearer it is, in
    points, with an interval, and p before and after that adjustment. null: see `differences`;
    one_set: see `Rule`.
    """
    apart = differences(trials, retrain, null)
    retrains = retrain_values(trials, retrain, null, one_set=one_set)
    parts = {label: own for label, own in apart.items() if label in labels}
    far = {label: combine(list(own.values())).value for label, own in parts.items() if own}
    pairs: list[tuple[str, str, Estimate, float]] = []
    for pair in combinations([label for label in labels if label in far], 2):
        nearer, farther = sorted(pair, key=lambda label: abs(far[label]))
        shared = [seeds for seeds in parts[nearer] if seeds in parts[farther]]
        if shared:
            both = [(parts[nearer][seeds], parts[farther][seeds]) for seeds in shared]
            models = [(model_of(nearer, seeds), model_of(farther, seeds)) for seeds in shared]
            distance, p = _nearer(Joint.of(both, models, retrains))
            pairs.append((nearer, farther, distance, p))
    raw = [p if apart.decides else 1.0 for _, _, apart, p in pairs]
    return [
        {"nearer": nearer, "farther": farther, "difference": apart.value}
        | {"sampling_error": apart.sampling, "seed_error": apart.seeds}
        | dict(zip(("low", "high"), apart.interval(), strict=True))
        | {"p_raw": p, "p": p_all}
        for (nearer, farther, apart, _), p, p_all in zip(pairs, raw, holm(raw), strict=True)
    ]


def _nearer(joint: Joint) -> tuple[Estimate, float]:
    """Return by how much nearer the first of two rows is, and the p-value of its being so.

    joint: their gaps. The distance is taken with the signs that the two gaps seem to have.
    """
    a, b = joint.values
    side = 1.0 if b >= 0 else -1.0
    difference, total = joint.along(-1.0, 1.0), joint.along(1.0, 1.0)
    agree = difference.value * side > 0 and total.value * side > 0
    p = max(difference.p_zero, total.p_zero) if agree else 1.0
    return joint.along(-side if a * side >= 0 else side, side), p


def against(
    compared: Sequence[Mapping[str, Any]], label: str, *, named: bool
) -> list[dict[str, Any]]:
    """Compare every other row with one.

    compared: pairs as `compare_pairs` returns them; named: whether the row was named by who asks,
    so that p is Holm-adjusted for these comparisons alone. One that the data chose, as the nearest
    of all, might have been any: p is then that of all pairs. Returns of each other row its label,
    by how much farther from retrain it is than `label`, in points, with an interval, and p.
    """
    own = [pair for pair in compared if label in (pair["nearer"], pair["farther"])]
    adjusted = holm([pair["p_raw"] for pair in own]) if named else [pair["p"] for pair in own]
    return [_seen_from(label, pair) | {"p": p} for pair, p in zip(own, adjusted, strict=True)]


def _seen_from(label: str, pair: Mapping[str, Any]) -> dict[str, Any]:
    """Return the other row of a pair, and by how much farther it is than this one."""
    errors = {name: pair[name] for name in ("sampling_error", "seed_error", "p_raw")}
    difference, low, high = pair["difference"], pair["low"], pair["high"]
    if pair["nearer"] != label:
        difference, low, high = -difference, -high, -low
    other = pair["farther"] if pair["nearer"] == label else pair["nearer"]
    return {"label": other, "difference": difference, "low": low, "high": high} | errors


def places(
    far: Mapping[str, float], compared: Sequence[Mapping[str, Any]], labels: Sequence[str]
) -> dict[str, tuple[int, int]]:
    """Return the first and last place each row may have by its distance to retrain, `far`."""
    apart = {frozenset((pair["nearer"], pair["farther"])) for pair in compared if pair["p"] < LEVEL}
    return ranks(sorted((label for label in labels if label in far), key=far.__getitem__), apart)
