"""AMUN (Ebrahimpour-Boroojeny et al., arXiv 2503.00917): its claims, tested by our runs."""

from collections.abc import Iterator

from unlearnbench.audits.attacks import attack_title
from unlearnbench.evaluation.findings import Condition, Findings
from unlearnbench.papers import (
    Claim,
    advantages,
    against_all,
    at_most_detectable,
    detectable,
    ended,
    mean_interval,
)
from unlearnbench.planning.plan import RETRAIN

TITLE = "What the AMUN paper claims"
NOTE = (
    "Average gaps are worked out from each run's own columns; the paper's printed ones contradict"
    " their columns in places. AUCs, also those in average gaps, are by the headline attack of each"
    " benchmark, where the paper has an attack of its own (rmia-paper)."
)
AMUN, ADAPTIVE = "amun", "amun-adaptive"
WRONG = ("adv-rs", "adv-rl", "orig-rl", "orig-advl")
"""Stand-ins for D_A that hold a wrong label where none belongs: all but the duplicates of D_F."""


def claims(findings: Findings) -> Iterator[Claim]:
    """Look for every claim that the rows of a benchmark can say something about."""
    for condition in findings.conditions:
        if findings.benchmark.forget.requests == 1:
            yield from _smallest_gap(condition)
            yield from _told_from_retrain(condition)
        yield from _only_adversarial(condition)
        yield from _mask(condition)
    yield from _adaptive(findings)


def _smallest_gap(condition: Condition) -> Iterator[Claim]:
    """AMUN's average gap is the smallest of all methods', under either access."""
    rows = condition.benchmark.methods
    others = [
        label
        for label in condition.sound
        if (rows[label].method if label in rows else label) not in (AMUN, ADAPTIVE)
    ]
    gaps = advantages(condition.runs, "avg_gap", AMUN, others)
    if gaps:
        given = "with" if condition.access == "full" else "without"
        claim = f"AMUN has the smallest average gap {given} the retain set"
        measure = "AMUN's average gap minus the rival's"
        yield against_all(claim, condition.heading, measure, gaps, "lower")


def _told_from_retrain(condition: Condition) -> Iterator[Claim]:
    """Membership attacks find as much in AMUN's model as in a retrained one."""
    verdict = condition.verdicts().get(AMUN)
    if verdict and verdict.finding and verdict.gap:
        headline, limits = condition.benchmark.headline, condition.benchmark.limits
        margin = verdict.finding.margin or limits.margins.get(headline)
        within = f"within {margin:.1f} points" if margin else "equivalent"
        rule = ", by the rule of 0.1.0" if condition.old else ""
        attack = attack_title(headline)
        claim = f"AMUN's FT AUC is close to retrain's, by {attack} alone"
        measure = f"FT AUC minus retrain's; confirmed: {within}{rule}"
        low, high = verdict.gap.interval()
        numbers = verdict.gap.value, low, high, at_most_detectable(low, high)
        ending = ended(verdict.word == "equivalent", verdict.word == "different", verdict.sets)
        yield Claim(claim, condition.heading, measure, RETRAIN, *numbers, ending)


def _only_adversarial(condition: Condition) -> Iterator[Claim]:
    """Of all sets with wrong labels only true adversarial pairs keep test accuracy."""
    for shown, sets in ((True, "with the forget set"), (False, "without the forget set")):
        labels = {
            str(row.settings["pairs"]): label
            for label, row in condition.benchmark.methods.items()
            if row.method == AMUN and row.settings.get("with_forget") is shown
        }
        rivals = [labels[kind] for kind in WRONG if kind in labels]
        higher = advantages(condition.runs, "test_accuracy", labels.get("adv", ""), rivals)
        if higher:
            claim = "Only true adversarial pairs keep test accuracy"
            measure = "test accuracy of D_A minus the stand-in's"
            yield against_all(claim, f"{condition.heading}, {sets}", measure, higher, "higher")


def _mask(condition: Condition) -> Iterator[Claim]:
    """SalUn's mask makes AMUN better without the retain set, and no better with it."""
    plain = condition.benchmark.methods.get(AMUN)
    for label, row in condition.benchmark.methods.items():
        if plain is None or row.method != AMUN:
            continue
        others = {name for name, value in row.settings.items() if value != plain.settings.get(name)}
        if others != {"keep"}:
            continue
        measure = "average gap with the mask minus without"
        gap = advantages(condition.runs, "avg_gap", label, [AMUN]).get(AMUN)
        if gap is None:
            continue
        value, low, high = mean_interval(gap)
        if condition.access == "full":
            band = condition.band("avg_gap")
            ending = ended(low > -band, high < 0, len(gap))
            claim = "SalUn's mask does not help AMUN with the retain set"
            measure += f"; confirmed: no more than {band:.1f} below"
        else:
            ending = ended(high < 0, low > 0, len(gap))
            claim = "SalUn's mask helps AMUN without the retain set"
        numbers = value, low, high, detectable(gap)
        yield Claim(claim, condition.heading, measure, label, *numbers, ending)


def _adaptive(findings: Findings) -> Iterator[Claim]:
    """AMUN-adaptive is the best over requests in a row: FR AUC minus FT AUC, from the second on."""
    if "fr_auc" not in findings.runs:
        return
    runs = findings.runs[findings.runs["request"] > 1]
    runs = runs.assign(apart=runs["fr_auc"] - runs["ft_auc"])
    methods: dict[tuple[str, float], list[str]] = {}
    for condition in findings.conditions:
        if condition.request > 1:
            methods.setdefault(condition.key[:2], []).extend(condition.methods)
    for (access, fraction), labels in methods.items():
        own = runs[(runs["access"] == access) & (runs["fraction"] == fraction)]
        others = [label for label in dict.fromkeys(labels) if label != ADAPTIVE]
        apart = advantages(own, "apart", ADAPTIVE, others)
        if apart:
            where = f"{100 * fraction:g} % a request, {access} access, from the second request on"
            measure = "FR AUC - FT AUC of AMUN-adaptive minus the rival's"
            claim = "AMUN-adaptive is best over requests in a row"
            yield against_all(claim, where, measure, apart, "higher")
