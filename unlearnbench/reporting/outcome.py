"""What came out for one condition, in sentences: who won, how sure that is, and what it cost."""

from collections.abc import Iterator
from itertools import repeat

from unlearnbench.audits.attacks import ULIRA, attack_title
from unlearnbench.audits.parts import audit_title
from unlearnbench.evaluation.findings import Condition
from unlearnbench.planning.plan import ORIGINAL, RETRAIN
from unlearnbench.reporting.tables.rows import OLD
from unlearnbench.units import are, count
from unlearnbench.verdicts.audit import RELEARNT
from unlearnbench.verdicts.inference import LEVEL
from unlearnbench.verdicts.verdict import flags_said


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
        return (
            f"{said} By itself that audit finds a difference; of {len(condition.single_audits)}"
            " audits together it does not stand (Holm). More retrained models make the verdict"
            " surer."
        )
    return said


def _who(condition: Condition) -> str:
    """Name the methods by verdict, from what a reader looks for to what is to be left."""
    rows: dict[str, list[str]] = {}
    for label in condition.by_verdict:
        rows.setdefault(condition.word(label) or "", []).append(label)
    note = "" if condition.old or ULIRA in condition.audits else f" ({audit_title(ULIRA)} not run)"
    said = [
        f"{word}: {', '.join(rows[word])}{note}"
        for word in ("equivalent", "no difference found")
        if word in rows
    ]
    said = said or ["no method was shown to be equivalent to retraining"]
    said += [
        f"{len(rows[word])} {called}: {', '.join(rows[word])}"
        for word, called in (("different", "shown to be different"), ("inconclusive", "undecided"))
        if word in rows
    ]
    void: dict[str, list[str]] = {}
    for label, judged in condition.verdicts().items():
        if judged.flags and label in condition.methods:
            void.setdefault(flags_said(judged.flags), []).append(label)
    if flagged := [f"{', '.join(labels)} ({why})" for why, labels in void.items()]:
        said.append(f"not ranked: {'; '.join(flagged)}")
    return " ".join(f"{line[:1].upper()}{line[1:]}." for line in said)


def _leak(condition: Condition) -> str:
    """Say what the attack behind FT AUC finds in the original and in retrain."""
    verdicts = condition.verdicts()
    there = [label for label in (ORIGINAL, RETRAIN) if label in verdicts]
    levels = ", ".join(f"{verdicts[label].auc.value:.1f} % for {label}" for label in there)
    attack = attack_title(condition.benchmark.headline)
    return f"FT AUC of the membership attack {attack}: {levels}; 50 % is guessing."


def _sureness(condition: Condition) -> str:
    """Say which audits have data enough to call anything equivalent."""
    headline = condition.benchmark.headline
    every = condition.single_audits
    weak = [audit for audit in condition.powerless if audit in (headline, RELEARNT)]
    if not every:
        return ""
    if not weak:
        able = len(every) - len(condition.powerless)
        said = f"{able} of {len(every)} audits have the power to show that a gap is small."
        undecided = "inconclusive" in map(condition.word, condition.methods)
        return f"{said} An undecided method passes only some of these." if undecided else said
    needs = [
        f"{audit_title(audit)} only if gaps of {needed:.1f} points still counted as small (the"
        f" limit is {allowed:.1f})"
        for audit in weak
        for allowed, needed in [condition.margins(audit)]
        if allowed is not None and needed is not None
    ]
    why = f" Even exact unlearning would reliably pass {' and '.join(needs)}." if needs else ""
    return f"There is not enough data here to show that any method is equivalent.{why}"


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
    said = f"Smallest mean gap in FT AUC: {', then '.join(near)}."
    yield f"{said} {_order(condition, first)}".rstrip()


def _order(condition: Condition, first: str) -> str:
    """Say how far the order of the methods by their gaps can be relied on."""
    versus = condition.versus()
    if not len(versus):
        return ""
    farther = int(sum(versus["p"] < LEVEL))
    if not farther:
        sets = count(condition.verdicts()[first].sets, "forget set")
        return (
            f"This order is not sure: with {sets}, and after correction for all pairs, none of the"
            f" other {len(versus)} is shown to be farther from retraining than {first}."
        )
    return (
        f"Of the other {len(versus)}, {farther} {are(farther)} shown to be farther from retraining"
        f" than {first}, after correction for all pairs."
    )
