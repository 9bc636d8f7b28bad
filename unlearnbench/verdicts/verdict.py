"""What an attack makes of every row: how sure its AUC is, how far from retrain, which rank.

And what makes its number void, and what must come out of some rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from unlearnbench.audits.attacks import FPRS, Attacked, Samples, attack_title
from unlearnbench.audits.roc import Part, mean_part, rate
from unlearnbench.verdicts.inference import FEWEST, LEVEL, Estimate, combine, holm, judge, ranks

NO_OP, OVER, LOST = "no-op", "over-forgets", "utility lost"
Trials = Mapping[str, Mapping[tuple[int, ...], Attacked]]
"""What an attack finds, by label and by the seeds of a run, by which runs are paired."""


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
class Verdict:
    """Hold what one attack makes of one row.

    auc: in percent; std: over runs, NaN for one; gap: of the AUC to the mean of the retrains on the
    same samples, in points, None for retrain itself and where there are none; attainable: the
    smallest margin that so many samples and seeds can show; p: of no gap, adjusted for the number
    of methods (Holm), but for the original and the controls; word: equivalent, different or
    inconclusive; rates: TPR in percent by FPR, None where there are too few non-members; power:
    whether the attack tells the original's members; rank: first and last place the row may have,
    None if it has none; flags: why it is void, "" if it is not.
    """

    label: str
    runs: int
    sets: int
    auc: Uncertain
    std: float | None
    gap: Uncertain | None
    attainable: float | None
    p: float | None
    word: str | None
    rates: Mapping[float, Uncertain | None]
    balanced: float | None
    attack: str = ""
    power: bool = False
    rank: tuple[int, int] | None = None
    flags: str = ""

    def columns(self) -> dict[str, Any]:
        """Return its numbers as a row of `Findings.attacks`."""
        auc, (first, last) = self.auc, self.rank or (None, None)
        row: dict[str, Any] = {"n": self.runs, "sets": self.sets, "auc": auc.value, "std": self.std}
        row |= _errors(auc) | _columns("gap", self.gap)
        row |= {"attainable": self.attainable, "p": self.p, "verdict": self.word}
        for fpr, found in self.rates.items():
            row |= _columns(f"tpr_{100 * fpr:g}", found)
        row |= {"balanced": self.balanced, "power": self.power}
        return row | {"rank": first, "rank_last": last, "flags": self.flags}

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of `Findings.attacks`."""
        errors = row["sampling_error"], row["seed_error"]
        return cls(
            row["label"],
            row["n"],
            row["sets"],
            Uncertain(row["auc"], row["low"], row["high"], *errors),
            row["std"],
            _uncertain(row, "gap"),
            row["attainable"],
            row["p"],
            row["verdict"],
            {fpr: _uncertain(row, f"tpr_{100 * fpr:g}") for fpr in FPRS},
            row["balanced"],
            row["attack"],
            bool(row["power"]),
            None if row["rank"] is None else (int(row["rank"]), int(row["rank_last"])),
            row["flags"] or "",
        )


def _errors(number: Uncertain) -> dict[str, float | None]:
    errors = {"sampling_error": number.sampling, "seed_error": number.seeds}
    return errors | {"low": number.low, "high": number.high}


def _columns(name: str, number: Uncertain | None) -> dict[str, float | None]:
    values = (number.value, *number.interval()) if number else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def _uncertain(row: Mapping[str, Any], name: str) -> Uncertain | None:
    if row.get(name) is None:
        return None
    return Uncertain(row[name], row[f"{name}_low"], row[f"{name}_high"])


def judge_rows(trials: Trials, retrain: str, family: Sequence[str], margin: float) -> list[Verdict]:
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


def differences(trials: Trials, retrain: str) -> dict[str, dict[tuple[int, ...], Part]]:
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


def compare_pairs(trials: Trials, retrain: str, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Compare rows in pairs on the runs and samples they share (paired DeLong, and over seeds).

    A row on either side of retrain differs from one on the other without being farther away; but
    what is surely and well below is not ranked, see `flags`. Returns rows of `Findings.pairs`: the
    one nearer to retrain, the other, by how much their AUCs differ, in points, and p, Holm-adjusted
    for the number of pairs.
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
        {"nearer": nearer, "farther": farther, "difference": apart.value}
        | _errors(Uncertain.of(apart))
        | {"p": p}
        for (nearer, farther, apart), p in zip(pairs, adjusted, strict=True)
    ]


def places(
    verdicts: Sequence[Verdict], compared: Sequence[Mapping[str, Any]], labels: Sequence[str]
) -> dict[str, tuple[int, int]]:
    """Return the first and last place each row may have by its AUC's distance to retrain's."""
    gaps = {verdict.label: abs(verdict.gap.value) for verdict in verdicts if verdict.gap}
    apart = {frozenset((pair["nearer"], pair["farther"])) for pair in compared if pair["p"] < LEVEL}
    return ranks(sorted((label for label in labels if label in gaps), key=gaps.__getitem__), apart)


def _mean_rate(runs: Sequence[Attacked], fpr: float) -> Uncertain | None:
    """Average a rate over runs; its interval counts each forget sample once, however many runs."""
    known = [share for found in runs if (share := found.rates[fpr]) is not None]
    if len(known) < len(runs):
        return None
    mean, distinct = np.mean(known), len(np.unique(np.concatenate([r.part.forget for r in runs])))
    exact = rate(round(mean / 100 * distinct), distinct)
    return Uncertain(float(mean), exact.low, exact.high)


@dataclass(frozen=True)
class Expectation:
    """Say what must come out of a row whose outcome is known beforehand.

    told: the attack behind FT AUC tells its members; alike: no attack calls it different from
    retrain; flagged: it bears this flag; found: every attack finds it, surely above retrain.
    """

    kind: Literal["told", "alike", "flagged", "found"]
    flag: str = ""

    @property
    def must(self) -> str:
        """What must come out, for people."""
        return {
            "told": "its members are told",
            "alike": "not different by any attack",
            "flagged": f"flagged '{self.flag}'",
            "found": "found by every attack",
        }[self.kind]

    def problems(self, main: Verdict, shown: Mapping[str, Verdict]) -> list[str]:
        """List what came out otherwise: by the attack behind FT AUC, or by those that are shown."""
        if self.kind == "told":
            return [] if main.power else [f"{attack_title(main.attack)} cannot tell them"]
        if self.kind == "flagged":
            return [] if self.flag in main.flags else [f"not flagged '{self.flag}'"]
        titles = {attack_title(attack): verdict for attack, verdict in shown.items()}
        if self.kind == "alike":
            return [f"different by {n}" for n, v in titles.items() if v.word == "different"]
        return [f"missed by {n}" for n, v in titles.items() if v.gap is None or v.gap.low <= 0]


def flagged(flag: str) -> Expectation:
    """Expect a row to be void for this reason, see `flags`."""
    return Expectation("flagged", flag)


FOUND = Expectation("found")


def broken(signals: Mapping[str, NDArray[Any]], samples: Samples, *, unlearned: bool) -> str | None:
    """Say why a run's signals cannot be used; None if they can.

    unlearned: whether the model must not count its forget samples among those it was trained on.
    """
    for name, values in signals.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            return f"its {name} is not finite"
    trained = np.concatenate((samples.forget, samples.retain))
    if np.bincount(np.concatenate((trained, samples.test))).max() > 1:
        return "its forget, retain and test sets overlap"
    if np.isin(samples.others, trained, kind="table").any():
        return "its non-members are among the forget or retain samples"
    if unlearned and signals["member"][np.concatenate((samples.forget, samples.others))].any():
        return "it was trained on samples it must not have seen"
    return None


def flags(
    verdict: Verdict, test_accuracy_gap: float, no_op: bool, margin: float, utility: float
) -> list[str]:
    """List why a row is not ranked.

    no-op: its outputs are those of the model it was given; over-forgets: its AUC is below
    retrain's by more than the margin, and surely below, which gives forgotten samples away as well;
    utility lost: its test accuracy is below retrain's by more than `utility` points.
    """
    over = verdict.gap and verdict.word == "different" and verdict.gap.value < -margin
    found = {NO_OP: no_op, OVER: over, LOST: test_accuracy_gap < -utility}
    return [reason for reason, holds in found.items() if holds]


def has_power(original: Verdict | None) -> bool:
    """Say whether an attack tells the original's members: surely better than it does retrain's.

    One that cannot says nothing about forgetting.
    """
    return original is not None and original.gap is not None and original.gap.low > 0
