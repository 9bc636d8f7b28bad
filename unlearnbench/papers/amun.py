"""AMUN (Ebrahimpour-Boroojeny et al., arXiv 2503.00917): its claims, tested by our runs."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from unlearnbench.audits.attacks import attack_title
from unlearnbench.evaluation.findings import Condition, Findings
from unlearnbench.papers import (
    Claim,
    advantages,
    against_all,
    against_one,
    at_most_detectable,
    beside_zero,
)
from unlearnbench.planning.benchmark import Row
from unlearnbench.planning.plan import RETRAIN

TITLE = "What the AMUN paper claims"
NOTE = (
    "Claims are tested where the paper makes them: for samples that are forgotten at random,"
    " against the methods that it compares with, even those that are not ranked here. AMUN with"
    " SalUn's mask counts as AMUN, not as a rival. Average gaps are worked out from each run's own"
    " columns; the paper's printed ones contradict their columns in places. AUCs, also those in"
    " average gaps, are by the headline attack of each benchmark, where the paper has an attack of"
    " its own (rmia-paper)."
)
AMUN, ADAPTIVE = "amun", "amun-adaptive"
RIVALS = ("ft", "rl", "ga", "boundary-shrink", "l1-sparse", "salun")
"""The methods of its Tables 1, 2, 10 and 11."""
WRONG = ("adv-rs", "adv-rl", "orig-rl", "orig-advl")
"""Stand-ins for D_A that hold a wrong label where none belongs: all but the duplicates of D_F."""
TUNED = ("lr", "decay_every")
"""Settings that the paper chose for each row by itself."""
POINT = 1.0
"""Fewer points than this count as none: AMUN's lead over the next in its Table 1 is as large."""
WITH_MIS = "gap with MIS"
TERMS = ("forget_accuracy", "retain_accuracy", "test_accuracy", "mis")


def claims(findings: Findings) -> Iterator[Claim]:
    """Look for every claim that the rows of a benchmark can say something about."""
    if findings.benchmark.forget.kind != "random":
        return
    for condition in findings.conditions:
        if findings.benchmark.forget.requests == 1:
            yield from _smallest_gap(condition)
            yield from _nearest_auc(condition)
            yield from _told_from_retrain(condition)
            yield from _examples(condition)
            yield from _mask(condition)
        yield from _only_adversarial(condition)
    yield from _adaptive(findings)


def _rivals(condition: Condition) -> list[str]:
    rows = condition.benchmark.methods
    return [
        label
        for label in condition.methods
        if (rows[label].method if label in rows else label) in RIVALS
    ]


def _given(condition: Condition) -> str:
    return "with" if condition.access == "full" else "without"


def _smallest_gap(condition: Condition) -> Iterator[Claim]:
    """AMUN's average gap is the smallest of its methods', under either access (Tables 1, 2).

    Also with MIS in place of FT AUC (Tables 10, 11).
    """
    terms = [f"{term}_gap" for term in TERMS]
    runs = condition.runs
    if set(terms) <= set(runs):
        runs = runs.assign(**{WITH_MIS: runs[terms].abs().mean(axis=1, skipna=False)})
    for metric, which in (("avg_gap", ""), (WITH_MIS, ", with MIS in place of FT AUC")):
        gaps = advantages(runs, metric, AMUN, _rivals(condition))
        if gaps:
            claim = f"AMUN has the smallest average gap {_given(condition)} the retain set{which}"
            measure = "AMUN's average gap minus the rival's"
            yield against_all(claim, condition.heading, measure, gaps, "lower")


def _nearest_auc(condition: Condition) -> Iterator[Claim]:
    """Of its methods, AMUN's FT AUC is nearest to retrain's with the retain set (Table 1).

    Not without: in Table 2 GA's is nearer at 10 %, its model being ruined.
    """
    if condition.access != "full" or "ft_auc_gap" not in condition.runs:
        return
    runs = condition.runs.assign(far=condition.runs["ft_auc_gap"].abs())
    distances = advantages(runs, "far", AMUN, _rivals(condition))
    if distances:
        attack = attack_title(condition.benchmark.headline)
        claim = "AMUN's FT AUC is nearest to retrain's with the retain set"
        measure = f"distance of FT AUC ({attack}) to retrain's minus the rival's"
        yield against_all(claim, condition.heading, measure, distances, "lower")


def _told_from_retrain(condition: Condition) -> Iterator[Claim]:
    """With D_R, membership attacks find no more in AMUN's model than in a retrained one."""
    verdict = condition.verdicts().get(AMUN)
    if condition.access == "full" and verdict and verdict.gap:
        attack = attack_title(condition.benchmark.headline)
        claim = f"{attack} finds no more in AMUN's model than in a retrained one"
        measure = f"FT AUC minus retrain's; confirmed: surely less than {POINT:g} point more"
        low, high = verdict.gap.interval()
        ending = beside_zero(low, high, "lower", POINT, verdict.sets)
        seen = at_most_detectable(low, high)
        numbers = verdict.gap.value, low, high, seen, seen
        yield Claim(claim, condition.heading, measure, RETRAIN, *numbers, ending)


def _examples(condition: Condition) -> Iterator[Claim]:
    """Examples made on another model, or by a weaker search, are worse (Tables 8, 9)."""
    for setting, value, named in (
        ("source", "other", "transferred from another model"),
        ("search", "one-step", "of a weaker search"),
    ):
        for label in _differing(condition, {setting}):
            if condition.benchmark.methods[label].settings.get(setting) == value:
                gap = _more_than_amun(condition.runs, label)
                if gap is not None:
                    claim = f"Adversarial examples {named} are worse"
                    measure = f"average gap of {label} minus AMUN's"
                    where = condition.heading
                    yield against_one(claim, where, measure, AMUN, gap, "higher")


def _differing(condition: Condition, names: set[str]) -> list[str]:
    """List AMUN's rows that differ from AMUN in these settings, and at most in tuned ones too."""
    rows = condition.benchmark.methods
    plain = rows.get(AMUN)
    return [
        label
        for label, row in rows.items()
        if plain and row.method == AMUN and _differences(row, plain) - {*TUNED} == names
    ]


def _differences(row: Row, other: Row) -> set[str]:
    names = row.settings.keys() | other.settings.keys()
    return {name for name in names if row.settings.get(name) != other.settings.get(name)}


def _more_than_amun(runs: pd.DataFrame, label: str) -> np.ndarray | None:
    return advantages(runs, "avg_gap", label, [AMUN]).get(AMUN)


def _only_adversarial(condition: Condition) -> Iterator[Claim]:
    """Of all sets with wrong labels only true adversarial pairs keep test accuracy (Figure 1)."""
    rows = {n: row for n, row in condition.benchmark.methods.items() if row.method == AMUN}
    for label, row in rows.items():
        if row.settings.get("pairs") != "adv":
            continue
        rivals = [
            other
            for other, stand_in in rows.items()
            if stand_in.settings.get("pairs") in WRONG and _differences(stand_in, row) == {"pairs"}
        ]
        higher = advantages(condition.runs, "test_accuracy", label, rivals)
        if higher:
            sets = "with" if row.settings.get("with_forget", True) else "without"
            claim = "Only true adversarial pairs keep test accuracy"
            where = f"{condition.heading}, {sets} the forget set"
            measure = f"test accuracy of {label} minus the stand-in's"
            yield against_all(claim, where, measure, higher, "higher")


def _mask(condition: Condition) -> Iterator[Claim]:
    """SalUn's mask makes AMUN better without the retain set, and no better with it."""
    for label in _differing(condition, {"keep"}):
        gap = _more_than_amun(condition.runs, label)
        if gap is None:
            continue
        measure = "average gap with the mask minus without"
        if condition.access == "full":
            claim = "SalUn's mask does not help AMUN with the retain set"
            measure += f"; confirmed: surely less than {POINT:g} point lower"
            yield against_one(claim, condition.heading, measure, label, gap, "higher", POINT)
        else:
            claim = "SalUn's mask helps AMUN without the retain set"
            yield against_one(claim, condition.heading, measure, label, gap, "lower")


def _adaptive(findings: Findings) -> Iterator[Claim]:
    """AMUN-adaptive is the best over requests in a row: FR AUC minus FT AUC, from the second on.

    AMUN itself is a rival here.
    """
    if "fr_auc" not in findings.runs:
        return
    runs = findings.runs[findings.runs["request"] > 1]
    runs = runs.assign(apart=runs["fr_auc"] - runs["ft_auc"])
    methods: dict[tuple[str, float], list[str]] = {}
    for condition in findings.conditions:
        if condition.request > 1:
            methods.setdefault(condition.key[:2], [AMUN]).extend(_rivals(condition))
    for (access, fraction), labels in methods.items():
        own = runs[(runs["access"] == access) & (runs["fraction"] == fraction)]
        apart = advantages(own, "apart", ADAPTIVE, dict.fromkeys(labels))
        if apart:
            where = f"{100 * fraction:g} % a request, {access} access, from the second request on"
            measure = "FR AUC - FT AUC of AMUN-adaptive minus the rival's"
            claim = "AMUN-adaptive is best over requests in a row"
            yield against_all(claim, where, measure, apart, "higher")
