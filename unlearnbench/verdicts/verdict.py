"""What an attack makes of every row: how sure its AUC is, how far from retrain, which rank.

And what makes its number void, and what must come out of some rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from unlearnbench.audits.attacks import FPRS, Attacked, Samples, attack_title
from unlearnbench.audits.parts import audit_title
from unlearnbench.audits.roc import rate
from unlearnbench.verdicts.audit import (
    Finding,
    Uncertain,
    columns_of,
    finding_columns,
    uncertain,
)
from unlearnbench.verdicts.inference import combine

NO_OP, OVER, LOST = "no-op", "over-forgets", "utility lost"
MEANING = {
    NO_OP: "it left the model unchanged",
    OVER: "too low an FT AUC gives its forget set away",
    LOST: "too much test accuracy is lost",
}
"""What each flag says, for people."""


@dataclass(frozen=True)
class Verdict:
    """Hold what one attack makes of one row.

    auc: in percent; std: over runs, NaN for one; rates: TPR in percent by FPR, None where there are
    too few non-members; balanced: balanced accuracy in percent; finding: what the AUC says as an
    audit, None for retrain itself and where there is none; power: whether the attack tells the
    original's members; rank: first and last place the row may have, None if it has none; flags: why
    it is void, "" if it is not.
    """

    label: str
    runs: int
    sets: int
    auc: Uncertain
    std: float | None
    rates: Mapping[float, Uncertain | None]
    balanced: float | None
    finding: Finding | None
    attack: str = ""
    power: bool = False
    rank: tuple[int, int] | None = None
    flags: str = ""

    @property
    def gap(self) -> Uncertain | None:
        """The AUC's distance to retrain's on the same samples, in points."""
        return self.finding.gap if self.finding else None

    @property
    def word(self) -> str | None:
        """What this one attack calls the row."""
        return self.finding.word if self.finding else None

    def columns(self) -> dict[str, Any]:
        """Return its numbers as a row of `Findings.attacks`."""
        auc, (first, last) = self.auc, self.rank or (None, None)
        row: dict[str, Any] = {"n": self.runs, "sets": self.sets, "auc": auc.value, "std": self.std}
        row |= {"sampling_error": auc.sampling, "seed_error": auc.seeds}
        row |= {"low": auc.low, "high": auc.high} | finding_columns(self.finding)
        for fpr, found in self.rates.items():
            row |= columns_of(f"tpr_{100 * fpr:g}", found)
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
            {fpr: uncertain(row, f"tpr_{100 * fpr:g}") for fpr in FPRS},
            row["balanced"],
            Finding.of(row, row["attack"]),
            row["attack"],
            bool(row["power"]),
            None if row["rank"] is None else (int(row["rank"]), int(row["rank_last"])),
            row["flags"] or "",
        )


def judge_rows(
    found: Mapping[str, Mapping[tuple[int, ...], Attacked]], findings: Mapping[str, Finding]
) -> list[Verdict]:
    """Say what one attack makes of every row; places, power and flags are still to come.

    found: by label and seeds; findings: what its AUC says as an audit, by label.
    """
    return [
        Verdict(
            label,
            len(runs),
            (auc := combine([one.part for one in runs.values()])).sets,
            Uncertain.of(auc),
            _spread([one.part.value for one in runs.values()]),
            _mean_rates([*runs.values()]),
            float(np.mean([one.balanced for one in runs.values()])),
            findings.get(label),
        )
        for label, runs in found.items()
    ]


def _spread(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else np.nan


def _mean_rates(runs: Sequence[Attacked]) -> dict[float, Uncertain | None]:
    """Average rates over runs, with the noise of samples, threshold and models.

    The interval is at least Clopper and Pearson's for the forget samples, each counted once: a rate
    of nought in every run is not sure to be nought.
    """
    rates: dict[float, Uncertain | None] = dict.fromkeys(FPRS)
    for fpr in FPRS:
        tails = [tail for one in runs if (tail := one.tails[fpr]) is not None]
        if len(tails) == len(runs):
            mean, distinct = (
                combine(tails),
                len(np.unique(np.concatenate([t.forget for t in tails]))),
            )
            exact, (low, high) = rate(round(mean.value / 100 * distinct), distinct), mean.interval()
            rates[fpr] = Uncertain(
                mean.value, max(min(low, exact.low), 0.0), min(max(high, exact.high), 100.0)
            )
    return rates


@dataclass(frozen=True)
class Expectation:
    """Say what must come out of a row whose outcome is known beforehand.

    told: the attack behind FT AUC tells its members; alike: it is not called different from
    retrain; flagged: it bears this flag; found: the attack behind FT AUC finds it, surely above
    retrain, and other attacks that miss it have no power (see `Rule`). sets: on how many forget
    sets the row is run, where a few will do; None: on all.
    """

    kind: Literal["told", "alike", "flagged", "found"]
    flag: str = ""
    sets: int | None = None

    @property
    def must(self) -> str:
        """What must come out, for people."""
        return {
            "told": "the attack detects its members",
            "alike": "not different from retrain",
            "flagged": f"flagged '{self.flag}'",
            "found": "found by the attack behind FT AUC",
        }[self.kind]

    def problems(
        self, main: Verdict, shown: Mapping[str, Verdict], overall: Finding | None
    ) -> list[str]:
        """List what came out otherwise.

        main: what the attack behind FT AUC makes of the row; shown: what those of the tables do;
        overall: the verdict over all audits, None in findings of 0.1.0, which asked each attack.
        """
        if self.kind == "told":
            return [] if main.power else [f"{attack_title(main.attack)} cannot detect them"]
        if self.kind == "flagged":
            return [] if self.flag in main.flags else [f"not flagged '{self.flag}'"]
        if self.kind == "alike" and overall:
            surest = audit_title(overall.strongest)
            return [f"different by {surest}"] if overall.word == "different" else []
        if self.kind == "alike":
            every = ((attack_title(name), one.word) for name, one in shown.items())
            return [f"different by {name}" for name, word in every if word == "different"]
        missed = main.power and (main.gap is None or main.gap.low <= 0)
        return [f"missed by {attack_title(main.attack)}"] if missed else []


def flagged(flag: str) -> Expectation:
    """Expect a row to be void for this reason, see `flags`."""
    return Expectation("flagged", flag)


FOUND = Expectation("found", sets=3)


def broken(signals: Mapping[str, NDArray[Any]], samples: Samples, *, unlearned: bool) -> str | None:
    """Say why a run's signals cannot be used; None if they can.

    unlearned: whether the model must not count its forget samples among those it was trained on.
    """
    if not np.isfinite(signals["margin"]).all():  # of others, attacks say themselves
        return "its margin is not finite"
    trained = np.concatenate((samples.forget, samples.retain))
    if np.bincount(np.concatenate((trained, samples.test))).max() > 1:
        return "its forget, retain and test sets overlap"
    if np.isin(samples.others, trained, kind="table").any():
        return "its non-members are among the forget or retain samples"
    if unlearned and signals["member"][np.concatenate((samples.forget, samples.others))].any():
        return "it was trained on samples it must not have seen"
    return None


def flags(verdict: Verdict, test_accuracy_gap: float, no_op: bool, utility: float) -> list[str]:
    """List why a row is not ranked.

    no-op: its outputs are those of the model it was given; over-forgets: its AUC is below
    retrain's by more than the margin, and surely below, which gives forgotten samples away as well;
    utility lost: its test accuracy is below retrain's by more than `utility` points.
    """
    gap, finding = verdict.gap, verdict.finding
    margin = finding.margin if finding and finding.margin is not None else 0.0
    over = gap is not None and verdict.word == "different" and gap.value < -margin
    found = {NO_OP: no_op, OVER: over, LOST: test_accuracy_gap < -utility}
    return [reason for reason, holds in found.items() if holds]


def flags_said(flags: str) -> str:
    """Write flags of a row, as they are stored, with what they mean."""
    return "; ".join(f"{flag}: {MEANING[flag]}" for flag in MEANING if flag in flags)


def has_power(original: Verdict | None) -> bool:
    """Say whether an attack tells the original's members: surely better than it does retrain's.

    One that cannot says nothing about forgetting.
    """
    return original is not None and original.gap is not None and original.gap.low > 0
