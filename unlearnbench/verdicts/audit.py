"""What audits find: how far a row is from retrain, how much of the leak is left, in which word.

An audit is whatever tries to find what was to be forgotten. Each brings a `Part` a run: an estimate
in percent, sample by sample. How large a gap counts is tied to what there is to find: by default a
third of the original's own gap under the same audit.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np

from unlearnbench.audits.roc import Null, Part, mean_part
from unlearnbench.verdicts.inference import (
    LEVEL,
    Estimate,
    Joint,
    Models,
    combine,
    holm,
    ratio_interval,
    within,
)

Word = Literal["equivalent", "different", "inconclusive", "no difference found"]
WORDS: Sequence[Word] = ("equivalent", "no difference found", "inconclusive", "different")
"""Verdicts, from what a reader looks for to what is to be left."""
Runs = Mapping[tuple[int, ...], Part]
Trials = Mapping[str, Runs]
"""What an audit finds, by label and by the seeds of a run, by which runs are paired."""
RELEARNING = "relearning"
"""The audit of models without which nothing is called equivalent."""
RELEARNT = f"{RELEARNING}-auc"
"""What is found by it that must be small: the headline attack's AUC after relearning."""
ALL = "all"
"""The name of the verdict over all audits, among those of audits."""


@dataclass(frozen=True)
class Uncertain:
    """Hold a number with its 95 % interval, and its standard errors where they are known.

    sampling: from samples, models given; seeds: from the scatter between forget sets.
    """

    value: float
    low: float
    high: float
    sampling: float | None = None
    seeds: float | None = None

    @classmethod
    def of(cls, estimate: Estimate) -> Self:
        """Keep of an estimate what is shown."""
        return cls(estimate.value, *estimate.interval(), estimate.sampling, estimate.seeds)

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval."""
        return self.low, self.high


@dataclass(frozen=True)
class Finding:
    """Hold what one audit finds of one row.

    gap: to the mean of the retrains on the same samples, in points; share: of the original's gap
    that is left, 1 being all of it, None where the original's gap is not surely there; margin: how
    large a gap counts, in points; attainable: the smallest margin that so many samples and seeds
    can show; small: whether the gap is shown to be within the margin; p: of no gap, p_all: adjusted
    for all audits and methods (Holm); power: whether a perfect retrain would pass the audit four
    times in five; strongest: of the verdict over all audits, the audit that its numbers are of;
    decides: while it is judged, whether there are sets or retrains enough.
    """

    audit: str
    label: str
    sets: int
    gap: Uncertain
    share: Uncertain | None
    margin: float | None
    attainable: float | None
    small: bool
    p: float
    p_all: float = 1.0
    power: bool = False
    word: str = "inconclusive"
    strongest: str = ""
    decides: bool = False

    @classmethod
    def of(cls, row: Mapping[str, Any], audit: str) -> Self | None:
        """Read what `finding_columns` has written, by 0.1.0 too; None where there was nothing."""
        gap = uncertain(row, "gap")
        if gap is None:
            return None
        word, p = row["verdict"], row["p"]
        return cls(
            audit,
            row["label"],
            row["sets"],
            gap,
            uncertain(row, "share"),
            row.get("margin"),
            row["attainable"],
            word == "equivalent",
            p,
            row.get("p_all", p),
            bool(row.get("audit_power")),
            word,
            row.get("strongest") or "",
        )


def finding_columns(finding: Finding | None) -> dict[str, Any]:
    """Return what an audit finds as columns, all None where it finds nothing."""
    row = columns_of("gap", finding.gap if finding else None)
    row |= columns_of("share", finding.share if finding else None)
    names = {"margin": "margin", "attainable": "attainable", "p": "p", "p_all": "p_all"}
    names |= {"audit_power": "power", "verdict": "word"}
    return row | {name: finding and getattr(finding, own) for name, own in names.items()}


def columns_of(name: str, number: Uncertain | None) -> dict[str, float | None]:
    """Return a number and the ends of its interval as columns."""
    values = (number.value, *number.interval()) if number else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def uncertain(row: Mapping[str, Any], name: str) -> Uncertain | None:
    """Read what `columns_of` has written; None if there is no such number."""
    if row.get(name) is None:
        return None
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    unbounded = (-np.inf if low is None else low, np.inf if high is None else high)
    return Uncertain(row[name], *unbounded)


@dataclass(frozen=True)
class Rule:
    """Say what rows are held to: the same for all, whatever they are measured to be.

    share: of the original's gap under an audit that counts; margins: by audit, in points, in its
    place; retrain, original, held_out: labels of the yardstick, of what leaks, and of the retrain
    that is judged as a method is; headline: the audit that must have power for "equivalent";
    relearning: whether models are asked to relearn, which then must have power too; one_set:
    whether there is but one forget set, by intent: then retrains say what is chance; leaks: labels
    of rows that an audit must find to have power.
    """

    share: float
    margins: Mapping[str, float]
    retrain: str
    original: str
    held_out: str
    headline: str
    relearning: bool = True
    one_set: bool = False
    leaks: Collection[str] = ()


def differences(
    trials: Trials, retrain: str, null: Null | None = None
) -> dict[str, dict[tuple[int, ...], Part]]:
    """Return each run's difference to the mean of the retrains on the same samples, by seeds.

    null: what retraining gives by construction, in place of that mean.
    """
    if null is not None:
        return {
            label: {seeds: part.less(null(part)) for seeds, part in own.items()}
            for label, own in trials.items()
        }
    retrains: dict[object, list[Part]] = {}
    for part in trials.get(retrain, {}).values():
        retrains.setdefault(part.forget_set, []).append(part)
    ideal = {forget_set: mean_part(parts) for forget_set, parts in retrains.items()}
    return {
        label: {
            seeds: part.minus(ideal[part.forget_set])
            for seeds, part in own.items()
            if part.forget_set in ideal
        }
        for label, own in trials.items()
        if label != retrain
    }


def retrain_values(
    trials: Trials, retrain: str, null: Null | None = None, *, one_set: bool = False
) -> dict[Hashable, list[float]]:
    """Return what an audit finds of each retrain, by forget set.

    Nothing where no retrain is compared with, nor of a single set that is not meant to be the only
    one (see `Rule`): others may follow, and the scatter between them is what counts.
    """
    values: dict[Hashable, list[float]] = {}
    for part in trials.get(retrain, {}).values() if null is None else ():
        values.setdefault(part.forget_set, []).append(part.value)
    return values if one_set or len(values) > 1 else {}


def model_of(label: str, seeds: tuple[int, ...]) -> Models:
    """Name the model of a run; runs of a row that began with the same original count as one."""
    return frozenset([(label, *(seeds[:1] if len(seeds) > 2 else seeds))])


def _with_originals(
    label: str, own: Runs, original: str, originals: Runs
) -> tuple[list[tuple[Part, Part]], list[tuple[Models, Models]]]:
    """Return each run's part with that of the original which it began with, and of which models.

    The two have seeds of original and forget set in common. A retrain has but seeds of forget set
    and run: beside it stands the mean of the originals on its forget set.
    """
    alike: dict[Hashable, dict[Models, Part]] = {}
    for seeds, part in originals.items():
        alike.setdefault(part.forget_set, {})[model_of(original, seeds)] = part
    means = {
        name: (frozenset[Hashable]().union(*of), mean_part([*of.values()]))
        for name, of in alike.items()
    }
    begun = {seeds[:2]: seeds for seeds in originals if len(seeds) > 2}
    paired: list[tuple[Part, Part]] = []
    models: list[tuple[Models, Models]] = []
    for seeds, part in own.items():
        first = begun.get(seeds[:2]) if len(seeds) > 2 else None
        leak = means.get(part.forget_set)
        if first:
            leak = model_of(original, first), originals[first]
        if leak:
            paired.append((part, leak[1]))
            models.append((model_of(label, seeds), leak[0]))
    return paired, models


def look_for(
    audit: str, trials: Trials, rule: Rule, null: Null | None = None
) -> dict[str, Finding]:
    """Return what an audit finds of every row that has retrains to be compared with, by label."""
    apart = differences(trials, rule.retrain, null)
    originals = apart.get(rule.original, {})
    retrains = retrain_values(trials, rule.retrain, null, one_set=rule.one_set)
    margin, found = rule.margins.get(audit), {}
    for label, own in apart.items():
        paired, models = _with_originals(label, own, rule.original, originals)
        if not own:
            continue
        if not paired:
            alone = combine([*own.values()], [model_of(label, seeds) for seeds in own], retrains)
            found[label] = _alone(audit, label, alone, margin)
            continue
        joint = Joint.of(paired, models, retrains)
        gap = joint.along(1.0, 0.0)
        small, attainable = within(joint, margin, rule.share)
        leaks = joint.along(0.0, 1.0).p_zero < LEVEL
        left = joint.values[0] / joint.values[1] if leaks else np.nan
        found[label] = Finding(
            audit,
            label,
            gap.sets,
            Uncertain.of(gap),
            Uncertain(left, *ratio_interval(joint)) if leaks else None,
            rule.share * abs(float(joint.values[1])) if margin is None else margin,
            attainable,
            small and gap.decides,
            gap.p_zero if gap.decides else 1.0,
            decides=gap.decides,
        )
    return _with_power(found, rule)


def _alone(audit: str, label: str, gap: Estimate, margin: float | None) -> Finding:
    """Return a finding without an original to compare with: only a declared margin counts."""
    low, high = gap.interval(2 * LEVEL)
    small = margin is not None and gap.decides and -margin < low and high < margin
    p = gap.p_zero if gap.decides else 1.0
    shown = Uncertain.of(gap), None, margin, gap.attainable
    return Finding(audit, label, gap.sets, *shown, small, p, decides=gap.decides)


def _with_power(found: dict[str, Finding], rule: Rule) -> dict[str, Finding]:
    """Say of an audit whether it has power: the same for all rows, or noise would be a merit.

    An audit that would pass the original, or cannot tell it from retrain, has none; nor has one
    that misses a planted leak.
    """
    leak = found.get(rule.original)
    told = leak is not None and leak.p < LEVEL and not leak.small
    told = told and not any(misses(found, label, rule.original) for label in rule.leaks)
    perfect = nearest_to_perfect(found, rule.original, rule.held_out)
    power = (
        told
        and perfect is not None
        and perfect.decides
        and perfect.margin is not None
        and perfect.attainable is not None
        and perfect.attainable <= perfect.margin
    )
    return {label: replace(one, power=power) for label, one in found.items()}


def misses(found: Mapping[str, Finding], planted: str, original: str) -> bool:
    """Say whether an audit that finds the original does not find a planted leak on the same side.

    found: by label. It misses nothing where either is not there.
    """
    leak, own = found.get(original), found.get(planted)
    if leak is None or own is None or leak.p >= LEVEL:
        return False
    return own.p >= LEVEL or own.gap.value * leak.gap.value < 0


def nearest_to_perfect(
    found: Mapping[str, Finding], original: str, held_out: str
) -> Finding | None:
    """Return the row that shows what a perfect retrain attains under an audit, if there is any.

    It is the held-out retrain, or else the row that is known best; found: by label.
    """
    rows = [one for label, one in found.items() if label != original]
    return found.get(held_out) or min(
        rows, key=lambda one: np.inf if one.attainable is None else one.attainable, default=None
    )


def worded(findings: Iterable[Finding], methods: Sequence[str]) -> list[Finding]:
    """Adjust p-values for all audits and methods, and say each audit's word on each row.

    Rows that are no methods (original, held-out retrain, controls) are no part of that family: each
    is adjusted for the audits of its own, and called different by an audit at 5 % unadjusted. An
    audit without power calls nothing equivalent.
    """
    families: dict[str, list[Finding]] = {}
    for one in findings:
        families.setdefault("" if one.label in methods else one.label, []).append(one)
    done = []
    for family, members in families.items():
        adjusted = holm([one.p for one in members])
        for one, p_all in zip(members, adjusted, strict=True):
            decisive = one.p if family else p_all
            alike = "equivalent" if one.small and one.power else "inconclusive"
            word = "different" if decisive < LEVEL else alike
            done.append(replace(one, p_all=p_all, word=word))
    return done


def overall(findings: Sequence[Finding], rule: Rule, powered: Collection[str] = ()) -> Word:
    """Return the verdict on one row over all audits.

    powered: those with power that every row of the table has been through. Different if any audit
    finds a difference. Equivalent if every audit with power has been made of the row and finds the
    gap small, among them the headline attack and relearning (intersection-union: no correction is
    needed); where models are not asked to relearn, no difference found. Else inconclusive.
    """
    if any(one.p_all < LEVEL for one in findings):
        return "different"
    own = [one for one in findings if one.power]
    names = {one.audit for one in own}
    needed = {*powered, rule.headline, *([RELEARNT] if rule.relearning else [])}
    if not (needed <= names and all(one.small for one in own)):
        return "inconclusive"
    return "equivalent" if rule.relearning else "no difference found"


def strongest(findings: Sequence[Finding]) -> Finding:
    """Return what the strongest audit finds of a row: that which is surest of a difference."""
    return min(findings, key=lambda one: (one.p, -abs(one.gap.value)))
