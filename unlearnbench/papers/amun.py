"""AMUN (Ebrahimpour-Boroojeny et al., arXiv 2503.00917): what it claims, and whether it is seen."""

from collections.abc import Iterator

from unlearnbench.evaluation.findings import Condition, Findings
from unlearnbench.papers import Claim, Ending, advantages, against_all, mean_interval
from unlearnbench.planning.plan import RETRAIN
from unlearnbench.verdicts.inference import FEWEST

TITLE = "What the AMUN paper claims"
NOTE = (
    "Average gaps are worked out from each run's own columns; the paper's printed ones contradict"
    " their columns in places."
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
    if findings.benchmark.forget.requests > 1:
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
        yield against_all(
            f"AMUN has the smallest average gap {given} the retain set",
            condition.heading,
            "AMUN's average gap minus the rival's",
            gaps,
            better="lower",
        )


def _told_from_retrain(condition: Condition) -> Iterator[Claim]:
    """Attacks find as much in AMUN's model as in a retrained one."""
    verdict = condition.verdicts().get(AMUN)
    if verdict is None or verdict.gap is None:
        return
    endings: dict[str | None, Ending] = {"equivalent": "seen", "different": "not seen"}
    yield Claim(
        "AMUN's FT AUC cannot be told from retrain's",
        condition.heading,
        f"FT AUC minus retrain's; seen: within {condition.benchmark.limits.equivalence:g}",
        RETRAIN,
        verdict.gap.value,
        *verdict.gap.interval(),
        endings.get(verdict.word, "inconclusive"),
    )


def _only_adversarial(condition: Condition) -> Iterator[Claim]:
    """Of all sets with wrong labels only true adversarial pairs keep test accuracy."""
    for shown, sets in ((True, "with D_F"), (False, "without D_F")):
        labels = {
            str(row.settings["pairs"]): label
            for label, row in condition.benchmark.methods.items()
            if row.method == AMUN and row.settings.get("with_forget") is shown
        }
        rivals = [labels[kind] for kind in WRONG if kind in labels]
        kept = advantages(condition.runs, "test_accuracy", labels.get("adv", ""), rivals)
        if kept:
            yield against_all(
                "Only true adversarial pairs keep test accuracy",
                f"{condition.heading}, {sets}",
                "test accuracy of D_A minus the stand-in's",
                kept,
                better="higher",
            )


def _mask(condition: Condition) -> Iterator[Claim]:
    """SalUn's mask makes AMUN better without the retain set, and no better with it."""
    rows = condition.benchmark.methods
    for label, row in rows.items():
        if row.method != AMUN or AMUN not in rows:
            continue
        plain = rows[AMUN].settings
        if {name for name, value in row.settings.items() if value != plain.get(name)} != {"keep"}:
            continue
        measure = "average gap with the mask minus without"
        gap = advantages(condition.runs, "avg_gap", label, [AMUN]).get(AMUN)
        if gap is None:
            continue
        value, low, high = mean_interval(gap)
        if condition.access == "full":
            band = condition.band("avg_gap")
            ending: Ending = "seen" if low > -band else "not seen" if high < 0 else "inconclusive"
            claim = "SalUn's mask does not help AMUN with the retain set"
            measure += f"; seen: no more than {band:.1f} below"
        else:
            ending = "seen" if high < 0 else "not seen" if low > 0 else "inconclusive"
            claim = "SalUn's mask helps AMUN without the retain set"
        if len(gap) < FEWEST:
            ending = "inconclusive"
        yield Claim(claim, condition.heading, measure, label, value, low, high, ending)


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
