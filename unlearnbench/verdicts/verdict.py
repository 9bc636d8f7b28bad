"""What an attack makes of a row, what makes its number void, and what must come out of some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unlearnbench.audits.attacks import FPRS, HEADLINE, Samples, attack_title
from unlearnbench.verdicts.inference import Estimate

NO_OP, OVER, LOST = "no-op", "over-forgets", "utility lost"


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
    def of(cls, estimate: Estimate) -> Uncertain:
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
        row |= {"sampling_error": auc.sampling, "seed_error": auc.seeds}
        row |= {"low": auc.low, "high": auc.high} | _columns("gap", self.gap)
        row |= {"attainable": self.attainable, "p": self.p, "verdict": self.word}
        for fpr, rate in self.rates.items():
            row |= _columns(f"tpr_{100 * fpr:g}", rate)
        row |= {"balanced": self.balanced, "power": self.power}
        return row | {"rank": first, "rank_last": last, "flags": self.flags}

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Verdict:
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


def _columns(name: str, number: Uncertain | None) -> dict[str, float | None]:
    values = (number.value, *number.interval()) if number else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def _uncertain(row: Mapping[str, Any], name: str) -> Uncertain | None:
    if row.get(name) is None:
        return None
    return Uncertain(row[name], row[f"{name}_low"], row[f"{name}_high"])


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
            return [] if main.power else [f"{attack_title(HEADLINE)} cannot tell them"]
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
    reasons = []
    if no_op:
        reasons.append(NO_OP)
    if verdict.gap and verdict.word == "different" and verdict.gap.value < -margin:
        reasons.append(OVER)
    if test_accuracy_gap < -utility:
        reasons.append(LOST)
    return reasons


def has_power(original: Verdict | None) -> bool:
    """Say whether an attack tells the original's members: surely better than it does retrain's.

    One that cannot says nothing about forgetting.
    """
    return original is not None and original.gap is not None and original.gap.low > 0
