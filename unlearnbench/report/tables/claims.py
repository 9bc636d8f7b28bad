"""What the AMUN paper claims, and whether it is seen in a benchmark's runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.settings import Group, by_attack, groups, heading, select, sound
from unlearnbench.metrics.gaps import noise_band
from unlearnbench.metrics.inference import FEWEST, LEVEL, half_width
from unlearnbench.planning.plan import CONTROLS, HELD_OUT, ORIGINAL, RETRAIN
from unlearnbench.report.tables.table import Table

AMUN, ADAPTIVE = "amun", "amun-adaptive"
WRONG = ("adv-rs", "adv-rl", "orig-rl", "orig-advl")
"""Stand-ins for D_A that hold a wrong label where none belongs: all but the duplicates of D_F."""

Verdict = Literal["seen", "not seen", "inconclusive"]
CAPTION = (
    "Seen: against each rival the 95 % interval of the mean over forget sets leaves no room for"
    " anything else. Not seen: the contrary is shown, at 5 % divided by the number of rivals. The"
    " rival shown is the one that decides. Methods that are not ranked are no rivals in gaps. FT"
    " AUC ends as in the table of attacks: seen where two one-sided tests at 5 % find it within the"
    " margin (a 90 % interval), not seen where it differs after Holm's correction for all methods."
    " With fewer than three forget sets all is inconclusive. Average gaps are worked out from each"
    " run's own columns; the paper's printed ones contradict their columns in places."
)


@dataclass(frozen=True)
class Claim:
    """Hold one claim, where it was looked for, what was measured, and how it ends.

    measure: what the numbers are, in points; rival: the row that decides, of how many.
    """

    claim: str
    where: str
    measure: str
    rival: str
    value: float
    low: float
    high: float
    verdict: Verdict
    rivals: int = 1


def claims(findings: Findings) -> list[Claim]:
    """Look for every claim that the rows of a benchmark can say something about."""
    found: list[Claim] = []
    for group in groups(findings):
        runs = select(findings.runs, group)
        where = heading(group, findings.benchmark)
        found += _smallest_gap(findings, group, runs, where)
        found += _told_from_retrain(findings, group, where)
        found += _only_adversarial(findings, runs, where)
        found += _mask(findings, group, runs, where)
    return [*found, *_adaptive(findings)]


def claims_table(found: Mapping[str, Sequence[Claim]]) -> Table | None:
    """Show claims by benchmark; None if there are none."""
    rows = [
        [one.claim, f"{name}: {one.where}", one.measure, _rival(one), _interval(one), one.verdict]
        for name, claimed in found.items()
        for one in claimed
    ]
    columns = [
        "The paper's claim",
        "Where",
        "Measured",
        "Rival",
        "Points [95 %]",
        "Verdict",
    ]
    return Table("claims", CAPTION, columns, sorted(rows, key=lambda row: row[0])) if rows else None


def _rival(one: Claim) -> str:
    return one.rival if one.rivals == 1 else f"{one.rival}, of {one.rivals}"


def _interval(one: Claim) -> str:
    return f"{one.value:+.1f} [{one.low:+.1f}, {one.high:+.1f}]"


def _smallest_gap(
    findings: Findings, group: Group, runs: pd.DataFrame, where: str
) -> Iterator[Claim]:
    """AMUN's average gap is the smallest of all methods', under either access."""
    if findings.benchmark.forget.requests > 1:
        return
    ranked = set(sound(findings, group))
    others = [
        name
        for name in _methods(findings, runs)
        if name in ranked and _method(findings, name) not in (AMUN, ADAPTIVE)
    ]
    gaps = _differences(runs, "avg_gap", AMUN, others)
    if gaps:
        given = "with" if group[0] == "full" else "without"
        yield _against_all(
            f"AMUN has the smallest average gap {given} the retain set",
            where,
            "AMUN's average gap minus the rival's",
            gaps,
            better="low",
        )


def _told_from_retrain(findings: Findings, group: Group, where: str) -> Iterator[Claim]:
    """Attacks find as much in AMUN's model as in a retrained one."""
    row = by_attack(findings, group).get(AMUN)
    if row is None or row["gap"] is None or findings.benchmark.forget.requests > 1:
        return
    ends: dict[str, Verdict] = {"equivalent": "seen", "different": "not seen"}
    margin = findings.benchmark.limits.equivalence
    yield Claim(
        "AMUN's FT AUC cannot be told from retrain's",
        where,
        f"FT AUC minus retrain's; seen: within {margin:g}",
        RETRAIN,
        row["gap"],
        row["gap_low"],
        row["gap_high"],
        ends.get(str(row["verdict"]), "inconclusive"),
    )


def _only_adversarial(findings: Findings, runs: pd.DataFrame, where: str) -> Iterator[Claim]:
    """Of all sets with wrong labels only true adversarial pairs keep test accuracy."""
    for shown, sets in ((True, "with D_F"), (False, "without D_F")):
        rows = {
            str(entry["pairs"]): label
            for label, entry in findings.benchmark.methods.items()
            if entry.get("method") == AMUN and entry.get("with_forget") is shown
        }
        rivals = [rows[kind] for kind in WRONG if kind in rows]
        if "adv" in rows and rivals:
            yield _against_all(
                "Only true adversarial pairs keep test accuracy",
                f"{where}, {sets}",
                "test accuracy of D_A minus the stand-in's",
                _differences(runs, "test_accuracy", rows["adv"], rivals),
                better="high",
            )


def _mask(findings: Findings, group: Group, runs: pd.DataFrame, where: str) -> Iterator[Claim]:
    """SalUn's mask makes AMUN better without the retain set, and no better with it."""
    plain = findings.benchmark.methods.get(AMUN, {})
    for label, entry in findings.benchmark.methods.items():
        if {name for name in entry if entry[name] != plain.get(name)} != {"keep"}:
            continue
        measure = "average gap with the mask minus without"
        (gap,) = _differences(runs, "avg_gap", label, [AMUN]).values() or [np.empty(0)]
        value, low, high = _mean(gap)
        if group[0] == "full":
            band = noise_band(runs, "avg_gap")
            verdict: Verdict = "seen" if low > -band else "not seen" if high < 0 else "inconclusive"
            claim = "SalUn's mask does not help AMUN with the retain set"
            measure += f"; seen: no more than {band:.1f} below"
        else:
            verdict = "seen" if high < 0 else "not seen" if low > 0 else "inconclusive"
            claim = "SalUn's mask helps AMUN without the retain set"
        few = len(gap) < FEWEST
        yield Claim(
            claim, where, measure, label, value, low, high, "inconclusive" if few else verdict
        )


def _adaptive(findings: Findings) -> Iterator[Claim]:
    """AMUN-adaptive is the best over requests in a row: FR AUC minus FT AUC, from the second on."""
    runs = findings.runs
    if findings.benchmark.forget.requests == 1 or "fr_auc" not in runs:
        return
    runs = runs[runs["request"] > 1].assign(apart=runs["fr_auc"] - runs["ft_auc"])
    for access, fraction in dict.fromkeys(group[:2] for group in groups(findings)):
        own = runs[(runs["access"] == access) & (runs["fraction"] == fraction)]
        others = [name for name in _methods(findings, own) if name != ADAPTIVE]
        differences = _differences(own, "apart", ADAPTIVE, others)
        if differences:
            where = f"{100 * fraction:g} % a request, {access} access, from the second request on"
            measure = "FR AUC - FT AUC of AMUN-adaptive minus the rival's"
            yield _against_all(
                "AMUN-adaptive is best over requests in a row", where, measure, differences, "high"
            )


def _methods(findings: Findings, runs: pd.DataFrame) -> list[str]:
    """List the rows that are methods."""
    outside = (ORIGINAL, RETRAIN, HELD_OUT, *CONTROLS)
    return [str(label) for label in dict.fromkeys(runs["label"]) if label not in outside]


def _method(findings: Findings, label: str) -> str:
    entry: dict[str, Any] = findings.benchmark.methods.get(label, {})
    return str(entry.get("method", label))


def _differences(
    runs: pd.DataFrame, metric: str, label: str, others: Iterable[str]
) -> dict[str, np.ndarray]:
    """Return by rival how much higher a row's metric is, a value a forget set."""
    if metric not in runs:
        return {}
    means = runs.groupby(["label", "forget_seed"])[metric].mean().unstack()
    if label not in means.index:
        return {}
    found = {name: means.loc[label] - means.loc[name] for name in others if name in means.index}
    return {name: values.dropna().to_numpy(dtype=float) for name, values in found.items()}


def _mean(values: np.ndarray, level: float = LEVEL) -> tuple[float, float, float]:
    """Return a mean with its 1 - level t-interval."""
    n = len(values)
    mean = float(values.mean()) if n else float("nan")
    if n < 2:
        return mean, float("-inf"), float("inf")
    half = half_width(values.std(ddof=1) / np.sqrt(n), n - 1, level)
    return mean, mean - half, mean + half


def _against_all(
    claim: str,
    where: str,
    measure: str,
    differences: Mapping[str, np.ndarray],
    better: Literal["low", "high"],
) -> Claim:
    """Say whether a row beats every rival.

    To beat all, it must beat each at the 5 % level: no correction is needed for many rivals, since
    all tests must agree (Berger, Technometrics 24, 1982); the rival shown is where the interval
    reaches farthest. To be beaten by any, it must lose to one at 5 % divided by their number, which
    is then shown.
    """
    sign = -1 if better == "low" else 1
    estimates = {name: _mean(sign * values) for name, values in differences.items()}
    strict = LEVEL / len(estimates)
    beating = [n for n, values in differences.items() if _surely_negative(sign * values, strict)]
    rival = min(beating or estimates, key=lambda name: estimates[name][0 if beating else 1])
    value, low, high = estimates[rival]
    verdict: Verdict = "inconclusive"
    if min(len(values) for values in differences.values()) >= FEWEST:
        verdict = "not seen" if beating else "seen" if low > 0 else "inconclusive"
    if sign < 0:
        value, low, high = -value, -high, -low
    return Claim(claim, where, measure, rival, value, low, high, verdict, len(estimates))


def _surely_negative(values: np.ndarray, level: float) -> bool:
    return len(values) >= FEWEST and _mean(values, level)[2] < 0
