"""Tables for auditors: every attack, methods in pairs, controls."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from unlearnbench.audits.attacks import ATTACKS, FPRS, HEADLINE, ULIRA, attack_title
from unlearnbench.audits.roc import needed_negatives
from unlearnbench.evaluation.findings import Condition
from unlearnbench.metrics.gaps import level_band
from unlearnbench.planning.plan import RETRAIN
from unlearnbench.reporting.tables import register
from unlearnbench.reporting.tables.rows import BAND, LABEL, kind, mean_and_std
from unlearnbench.reporting.tables.table import (
    ABSENT,
    Column,
    Entry,
    Table,
    averaged,
    interval,
    number,
    text,
)

SIGNS = {"equivalent": "=", "different": "≠", "inconclusive": "?"}
TIERS = ((128, "paper"), (64, "GPU"), (16, "CPU"), (0, "smoke"))
ERRORS = (
    number("SE samples", "sampling_error", ".1f"),
    number("SE seeds", "seed_error", ".1f", absent="?"),
)
P_VALUE = Column("p", lambda row: _p(row["p"]))
SHOWN = ["label", "kind", "auc", "auc_low", "auc_high", "sampling_error", "seed_error"]
SHOWN += ["gap", "gap_low", "gap_high", "attainable", "p", "verdict"]
RATES = {fpr: f"tpr_{100 * fpr:g}" for fpr in FPRS}


def tier(condition: Condition, attack: str) -> str:
    """Say how many models an attack rests on, and what that number is usual for."""
    if attack == ULIRA:
        return f"{condition.benchmark.ulira.shadows} shadow worlds"
    if not ATTACKS[attack].references:
        return "no references"
    count = condition.benchmark.references.count
    name = next(name for least, name in TIERS if count >= least)
    return f"{count} references, {name} tier"


@register("attacks", "Attack by attack", place=30)
def attacks_table(condition: Condition) -> Table | None:
    """Show the FT AUC of every row by every attack; None before there is any."""
    attacks = condition.attacks
    if not attacks:
        return None
    frames = {attack: _of_attack(condition, attack) for attack in attacks}
    names = ["auc", "auc_low", "auc_high", "verdict"]
    frame = pd.concat([own[names].add_prefix(f"{a}_") for a, own in frames.items()], axis=1)
    kinds = [kind(condition, str(label)) for label in frame.index]
    frame = frame.reindex([*frame.index, "power"]).rename_axis("label").reset_index()
    frame.insert(1, "kind", [*kinds, "power"])
    for attack, own in frames.items():
        frame.loc[frame["kind"] == "power", f"{attack}_auc"] = float(own["power"].iloc[0])
    margin = condition.benchmark.limits.equivalence
    tiers = "; ".join(f"{attack_title(attack)}: {tier(condition, attack)}" for attack in attacks)
    caption = (
        f"{condition.heading}. AUC % of each attack, forget samples against"
        f" non-members, with its 95 % interval over samples and seeds. To retrain: = equivalent"
        f" within {margin:g} points, ≠ different, ? inconclusive. Power: whether the attack tells"
        f" the original's members; one without says nothing. {tiers}."
    )
    columns = [Column(attack_title(attack), partial(_judged, attack)) for attack in attacks]
    return Table(caption, frame, [LABEL, *columns])


def _of_attack(condition: Condition, attack: str) -> pd.DataFrame:
    """Return what an attack says of each row, by label, with the noise band below retrain."""
    frame = condition.select(condition.findings.attacks)
    frame = frame[frame["attack"] == attack].set_index("label")
    frame = frame.rename(columns={"low": "auc_low", "high": "auc_high"})
    if RETRAIN in frame.index:
        labels = list(frame.index)
        labels.insert(labels.index(RETRAIN) + 1, BAND)
        frame, runs, column = frame.reindex(labels), condition.every_run, f"auc: {attack}"
        frame.loc[BAND, "auc"] = level_band(runs, column) if column in runs else np.nan
    return frame


def _judged(attack: str, row: Entry) -> str:
    if row["kind"] == "power":
        return "yes" if row[f"{attack}_auc"] else "none"
    auc = interval("", f"{attack}_auc").write(row)
    return f"{auc} {SIGNS.get(row[f'{attack}_verdict'], '')}".rstrip()


def _p(p: float | None) -> str:
    return ABSENT if p is None else f"{p:.3f}" if p >= 0.001 else "< 0.001"


def attack_table(condition: Condition, attack: str) -> Table | None:
    """Show all that one attack says, with both kinds of error apart; None if it was not made."""
    if attack not in condition.attacks:
        return None
    frame = _of_attack(condition, attack).reset_index()
    frame.insert(1, "kind", [kind(condition, label) for label in frame["label"]])
    columns = [
        LABEL,
        interval("AUC % [95 %]", "auc"),
        *ERRORS,
        interval("Gap to retrain [95 %]", "gap", "+"),
        number("Smallest margin", "attainable", ".1f"),
        P_VALUE,
        text("Verdict", "verdict"),
        *(
            interval(f"TPR % at {100 * fpr:g} % FPR", name, absent="n/a")
            for fpr, name in RATES.items()
        ),
        number("Balanced acc %", "balanced", ".1f"),
        text("Flags", "flags"),
    ]
    about = (
        "shadow models passed through the same method, fitted and scored apart"
        if attack == ULIRA
        else ATTACKS[attack].about
    )
    if attack == "rmia-offline" and condition.findings.offline_a is not None:
        about += f", a = {condition.findings.offline_a:g}"
    needs = " and ".join(f"{needed_negatives(fpr):,} at {100 * fpr:g} %" for fpr in FPRS)
    caption = (
        f"{attack_title(attack)} ({about}; {tier(condition, attack)}): {condition.heading}. SE:"
        " standard error from samples, models given, and from the scatter between forget sets."
        " Smallest margin: the one at which no difference at all would be found equivalent in 4 of"
        " 5 cases. p: adjusted for the number of methods (Holm). TPR: exact 95 % interval; n/a"
        f" with fewer than {needs} non-members."
    )
    more = [f"{name}{end}" for name in RATES.values() for end in ("", "_low", "_high")]
    return Table(caption, frame[[*SHOWN, *more, "balanced", "flags"]], columns)


for _attack in (*ATTACKS, ULIRA):
    register(f"attack-{_attack}", "One attack in full", place=100, detail=True)(
        partial(attack_table, attack=_attack)
    )


@register("pairs", "Methods in pairs", place=200, detail=True)
def pairs_table(condition: Condition) -> Table | None:
    """Show which methods can be told apart; None for fewer than two."""
    pairs = condition.pairs
    if pairs.empty:
        return None
    names = {"low": "difference_low", "high": "difference_high"}
    frame = pairs[pairs["attack"] == HEADLINE].rename(columns=names)
    order = ["nearer", "farther", "difference", *names.values()]
    columns = [
        text("Nearer to retrain", "nearer"),
        text("Farther", "farther"),
        interval("Difference of FT AUC [95 %]", "difference", "+"),
        *ERRORS,
        P_VALUE,
    ]
    caption = (
        f"{condition.heading}. Methods in pairs on the same samples and seeds"
        " (paired DeLong, and over forget sets); p adjusted for the number of pairs (Holm). Flagged"
        " methods are left out."
    )
    return Table(caption, frame[[*order, "sampling_error", "seed_error", "p"]], columns)


@register("controls", "Controls", place=40)
def control_table(condition: Condition) -> Table | None:
    """Show whether the controls came out as they must; None before any has run."""
    runs = condition.every_run
    rows = []
    for label, must, problems in condition.controls():
        row: dict[str, Any] = {"label": label, "kind": kind(condition, label), "must": must}
        row |= {"came_out": not problems, "problems": "; ".join(problems)}
        rows.append(row | mean_and_std(runs[runs["label"] == label], ["test_accuracy", "ft_auc"]))
    columns = [
        text("Control", "label"),
        text("What must come out", "must"),
        Column("Did it?", lambda r: "ok" if r["came_out"] else f"NO: {r['problems']}", side="l"),
        averaged("test_accuracy"),
        averaged("ft_auc"),
    ]
    caption = f"{condition.heading}. Rows whose outcome is known beforehand."
    return Table(caption, pd.DataFrame(rows), columns) if rows else None
