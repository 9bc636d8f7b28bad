"""What came out for one condition, in sentences: who won, how sure that is, and what it cost."""

from collections.abc import Iterator
from itertools import repeat

from unlearnbench.audits.attacks import ULIRA, attack_title
from unlearnbench.audits.parts import audit_title
from unlearnbench.evaluation.findings import Condition
from unlearnbench.planning.plan import ORIGINAL, RETRAIN
from unlearnbench.reporting.tables.rows import OLD
from unlearnbench.verdicts.audit import ALL, RELEARNT
from unlearnbench.verdicts.inference import LEVEL


def outcome(condition: Condition) -> Iterator[str]:
    """Say in three sentences what came out for one condition, how sure it is, and what it cost.

    Of an audit of models made elsewhere: the verdict on each of them, and how sure that is.
    """
    verdicts = condition.verdicts()
    if condition.benchmark.given:
        yield from map(verdict_said, repeat(condition), condition.methods)
        if RETRAIN in verdicts:
            yield f"{_leak(condition)} {_sureness(condition)}".rstrip()
        return
    if RETRAIN not in verdicts:
        yield f"{condition.heading}: no verdicts yet."
        return
    if condition.voided:
        failed = ", ".join(condition.voided)
        yield f"{condition.heading}: no verdict, since controls failed ({failed})."
    else:
        yield f"{condition.heading}: {_who(condition)}"
    yield f"{_leak(condition)} {_sureness(condition)}".rstrip()
    if not condition.voided:
        yield from _smallest(condition)
        if condition.old:
            yield OLD


def verdict_said(condition: Condition, label: str) -> str:
    """Say the verdict on one model, and what it rests on."""
    word, found = condition.word(label) or "none", condition.overall(label)
    if found is None:
        return f"Verdict on {label}: {word}, as there is no retrained model to compare it with."
    low, high = found.gap.interval()
    gap = f"gap to retrain {found.gap.value:+.1f} [{low:+.1f}, {high:+.1f}] points"
    said = f"Verdict on {label}: {word}; surest audit: {audit_title(found.strongest)}, {gap}."
    if word == "inconclusive" and found.p < LEVEL:
        count = len([audit for audit in condition.audits if audit != ALL])
        return (
            f"{said} By itself that audit finds a difference; of {count} audits together it does"
            " not stand (Holm). More retrained models make the verdict surer."
        )
    return said


def _who(condition: Condition) -> str:
    """Say which methods are shown equivalent, and how many are anything else."""
    words = {label: condition.word(label) for label in condition.methods}
    note = "" if condition.old or ULIRA in condition.audits else f" ({audit_title(ULIRA)} not run)"
    named = []
    for word in ("equivalent", "no difference found"):
        if labels := [label for label, found in words.items() if found == word]:
            named.append(f"{word}: {', '.join(labels)}{note}")
    parts = [] if named else ["no method is shown equivalent to retraining"]
    different = "different" if named else "different from it"
    for word, said in (("different", different), ("inconclusive", "inconclusive")):
        if count := sum(found == word for found in words.values()):
            parts.append(f"{count} {'is' if count == 1 else 'are'} {said}")
    void = {label: judged.flags for label, judged in condition.verdicts().items()}
    if flagged := [f"{label} ({void[label]})" for label in words if void.get(label)]:
        parts.append(f"not ranked: {', '.join(flagged)}")
    return "; ".join([*named, *parts]) + "."


def _leak(condition: Condition) -> str:
    """Say what the attack behind FT AUC finds in the original and in retrain."""
    verdicts = condition.verdicts()
    there = [label for label in (ORIGINAL, RETRAIN) if label in verdicts]
    levels = ", ".join(f"{label} {verdicts[label].auc.value:.1f} %" for label in there)
    return f"{attack_title(condition.benchmark.headline)}'s AUC is: {levels}; 50 % is guessing."


def _sureness(condition: Condition) -> str:
    """Say which audits have data enough to call anything equivalent."""
    headline = condition.benchmark.headline
    every = [audit for audit in condition.audits if audit != ALL]
    weak = [audit for audit in condition.powerless if audit in (headline, RELEARNT)]
    if not every:
        return ""
    if not weak:
        count = len(every) - len(condition.powerless)
        return f"{count} of {len(every)} audits have enough data to call a method equivalent."
    which = (
        "no audit"
        if len(condition.powerless) == len(every)
        else f"not {' and '.join(map(audit_title, weak))}"
    )
    needs = [
        f"{audit_title(audit)} {needed:.1f} points, allowed {allowed:.1f}"
        for audit in weak
        for allowed, needed in [condition.margins(audit)]
        if allowed is not None and needed is not None
    ]
    why = f" (margin needed: {'; '.join(needs)})" if needs else ""
    return f"No method can be called equivalent here: {which} has enough data{why}."


def _smallest(condition: Condition) -> Iterator[str]:
    """Say which methods are nearest to retrain on average, whether they are told apart, and cost.

    A row whose runs are another's is no rival of it.
    """
    gaps = {
        label: verdict.gap.value
        for label in condition.sound
        if label not in condition.same
        if (verdict := condition.verdicts().get(label)) and verdict.gap
    }
    if not gaps:
        return
    first, *others = sorted(gaps, key=lambda label: abs(gaps[label]))
    times = condition.runs.groupby("label")["time_ratio"].mean()
    cost = {label: f", {t:.2f} x retraining's time" for label, t in times.dropna().items()}
    near = [
        f"{label} ({gaps[label]:+.1f} points{cost.get(label, '')})"
        for label in (first, *others[:1])
    ]
    versus = condition.versus()
    told = sum(versus["p"] < LEVEL) if len(versus) else 0
    apart = f"; {len(versus) - told} of {len(versus)} others cannot be distinguished from {first}"
    yield f"Smallest mean gap in FT AUC: {', then '.join(near)}{apart if len(versus) else ''}."
