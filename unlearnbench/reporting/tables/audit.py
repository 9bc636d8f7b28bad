"""Tables for auditors: every attack, methods in pairs, controls."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from unlearnbench.audits.attacks import ATTACKS, FPRS, ULIRA, attack_title
from unlearnbench.audits.roc import needed_negatives
from unlearnbench.evaluation.findings import Condition
from unlearnbench.metrics.gaps import level_band
from unlearnbench.planning.plan import HELD_OUT, RETRAIN
from unlearnbench.reporting.tables import register, table
from unlearnbench.reporting.tables.rows import BAND, LABEL, kind, mean_and_std, voided

DETECTS = "detects original"
"""The row that says whether an attack tells the original from retrain."""
SIGNS = {"equivalent": "=", "different": "≠", "inconclusive": "?"}
ERRORS = (
    table.number("SE samples", "sampling_error", ".1f"),
    table.number("SE seeds", "seed_error", ".1f", absent="?"),
)
P_VALUE = table.Column("p", lambda row: p_text(row["p"]))
SHOWN = ["label", "kind", "auc", "auc_low", "auc_high", "sampling_error", "seed_error"]
SHOWN += ["gap", "gap_low", "gap_high", "attainable", "p", "verdict"]


def resting(condition: Condition, attack: str) -> str:
    """Say how many models an attack rests on."""
    if attack == ULIRA:
        return f"{condition.benchmark.ulira.shadows} shadow worlds"
    if not ATTACKS[attack].references:
        return "no references"
    return f"{condition.benchmark.references.count} references"


@register("attacks", "Attack by attack", place=30)
def attacks_table(condition: Condition) -> table.Table | None:
    """Show the FT AUC of every row by every attack; None before there is any."""
    attacks = condition.attacks
    if not attacks:
        return None
    frames = {attack: _of_attack(condition, attack) for attack in attacks}
    names = ["auc", "auc_low", "auc_high", "verdict"]
    frame = pd.concat([own[names].add_prefix(f"{a}_") for a, own in frames.items()], axis=1)
    frame.insert(0, "kind", [kind(condition, str(label)) for label in frame.index])
    power: dict[str, float] = {}
    if RETRAIN in frame.index:  # without which it is not known
        power = {f"{attack}_auc": float(own["power"].iloc[0]) for attack, own in frames.items()}
    frame = pd.concat([pd.DataFrame({"kind": "power"} | power, index=[DETECTS]), frame])
    # 0.1.0 had one margin for all attacks, which its file does not say any more.
    within = "" if condition.old else f" (within {condition.benchmark.limits.said})"
    caption = (
        f"{condition.heading}. {voided(condition)}AUC % of each attack, forget samples against"
        " non-members, with its 95 % interval over samples and seeds. Against retrain, by this"
        f" attack alone: = gap small enough{within}, ≠ different (5 %, Holm over methods), ?"
        " neither. 'Audit by audit' corrects over all audits and methods, so that its signs may"
        " differ."
        " Detects original: whether the attack tells the original from retrain; one that does not"
        f" says nothing. {_rest(condition, attacks)}."
    )
    columns = [
        table.Column(attack_title(attack), partial(_judged, attack), order="near retrain")
        for attack in attacks
    ]
    return table.Table(caption, frame.rename_axis("label").reset_index(), [LABEL, *columns])


def _rest(condition: Condition, attacks: Sequence[str]) -> str:
    """Say how many models attacks rest on, those that rest on as many together."""
    by_number: dict[str, list[str]] = {}
    for attack in attacks:
        by_number.setdefault(resting(condition, attack), []).append(attack_title(attack))
    return ". ".join(f"{'; '.join(titles)}: {number}" for number, titles in by_number.items())


def _of_attack(condition: Condition, attack: str) -> pd.DataFrame:
    """Return what an attack says of each row, by label, with the noise band below retrain."""
    frame = condition.select(condition.findings.attacks)
    frame = frame[frame["attack"] == attack].set_index("label")
    frame = frame.rename(columns={"low": "auc_low", "high": "auc_high"})
    if RETRAIN in frame.index:
        labels = list(frame.index)
        labels.insert(labels.index(RETRAIN) + 1, BAND)
        frame, runs, column = frame.reindex(labels), condition.every_run, f"auc: {attack}"
        known = column in runs
        frame.loc[BAND, "auc"] = level_band(runs, column, condition.usual) if known else np.nan
    return frame


def _judged(attack: str, row: table.Entry) -> str:
    if row["kind"] == "power":
        told = row.get(f"{attack}_auc")
        return table.ABSENT if told is None else "yes" if told else "no"
    auc = table.interval("", f"{attack}_auc", digits=0).write(row)
    return f"{auc} {SIGNS.get(row[f'{attack}_verdict'], '')}".rstrip()


def p_text(p: float | None) -> str:
    """Write a p-value, or that there is none."""
    return table.ABSENT if p is None else f"{p:.3f}" if p >= 0.001 else "< 0.001"


def attack_table(condition: Condition, attack: str) -> table.Table | None:
    """Show all that one attack says, with both kinds of error apart; None if it was not made."""
    if attack not in condition.attacks:
        return None
    frame = _of_attack(condition, attack).reset_index()
    frame.insert(1, "kind", [kind(condition, label) for label in frame["label"]])
    shares = [f"{100 * fpr:g}" for fpr in FPRS]
    columns = [
        LABEL,
        table.interval("AUC % [95 %]", "auc"),
        *ERRORS,
        table.interval("Gap to retrain [95 %]", "gap", "+"),
        table.number("Smallest margin", "attainable", ".1f"),
        P_VALUE,
        table.text("Verdict", "verdict"),
        *(
            table.interval(f"TPR % at {share} % FPR", f"tpr_{share}", absent="n/a")
            for share in shares
        ),
        table.number("Balanced acc %", "balanced", ".1f"),
        replace(table.text("Flags", "flags"), aside=True),
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
        f"{condition.heading}. {voided(condition)}{attack_title(attack)}: {about};"
        f" {resting(condition, attack)}. Verdict: by this attack alone (Holm over methods). SE:"
        " standard error from samples, models given, and from the scatter between forget sets."
        " Smallest margin: the one at which no difference at all would be found equivalent in 4 of"
        " 5 cases. p: adjusted for the number of methods (Holm). TPR: 95 % interval over"
        f" samples, threshold and forget sets; n/a with fewer than {needs} non-members."
    )
    names = [*SHOWN, *frame.filter(like="tpr_"), "balanced", "flags"]
    return table.Table(caption, frame[names], columns, title=attack_title(attack))


for _attack in (*ATTACKS, ULIRA):
    register(f"attack-{_attack}", "One attack in full", place=100, detail=True)(
        partial(attack_table, attack=_attack)
    )


@register("pairs", "Methods in pairs", place=200, detail=True)
def pairs_table(condition: Condition) -> table.Table | None:
    """Show which methods can be told apart; None for fewer than two, and where nobody knows.

    In a void condition nobody does. Pairs of 0.1.0 compared AUCs, which differ for two methods
    that are as far on opposite sides.
    """
    pairs = condition.pairs.rename(columns={"low": "difference_low", "high": "difference_high"})
    if pairs.empty or condition.old or condition.voided:
        return None
    columns = [
        table.text("Smaller mean gap", "nearer"),
        table.text("Larger mean gap", "farther"),
        table.interval("Difference [95 %]", "difference", "+"),
        *ERRORS,
        P_VALUE,
    ]
    caption = (
        f"{condition.heading}. By how much one method's FT AUC is nearer to retrain's than the"
        " other's, in points, on the same samples and seeds (paired DeLong, and over forget sets)."
        " Nearer is shown only if p < .05: then both the difference and the sum of the two gaps"
        " differ from zero with the same sign (intersection-union test), whichever side of retrain"
        " the two are on. p: the larger of the two, adjusted for the number of pairs (Holm). Left"
        " out: what is not ranked."
    )
    names = ["nearer", "farther", "difference", "difference_low", "difference_high"]
    names += ["sampling_error", "seed_error", "p"]
    return table.Table(
        caption, pairs.loc[pairs["attack"] == condition.benchmark.headline, names], columns
    )


@register("controls", "Controls", place=40)
def control_table(condition: Condition) -> table.Table | None:
    """Show whether the controls came out as they must; None before any has run."""
    runs = condition.every_run
    rows = []
    for label, must, problems in condition.controls():
        row: dict[str, Any] = {"label": label, "kind": kind(condition, label), "must": must}
        row |= {"came_out": not problems, "problems": "; ".join(problems)}
        if label == HELD_OUT:
            row |= dict(zip(("differing", "audits"), _differing(condition, label), strict=True))
        rows.append(row | mean_and_std(runs[runs["label"] == label], ["test_accuracy", "ft_auc"]))
    columns = [
        table.text("Control", "label"),
        table.text("Expected", "must"),
        table.Column("Came out", _came_out, side="l"),
        table.averaged("test_accuracy"),
        table.averaged("ft_auc"),
    ]
    caption = f"{condition.heading}. Rows whose outcome is known beforehand."
    return table.Table(caption, pd.DataFrame(rows), columns) if rows else None


def _came_out(row: table.Entry) -> str:
    outcome = "as expected" if row["came_out"] else f"NO: {row['problems']}"
    if not row.get("audits"):
        return outcome
    return (
        f"{outcome}; different by {row['differing']:.0f} of {row['audits']:.0f} audits (5 % each"
        " expected by chance)"
    )


def _differing(condition: Condition, label: str) -> tuple[int, int]:
    """Return how many audits call a row different, of how many: each at 5 % for a control."""
    every = condition.single_audits.values()
    own = [rows[label].word for rows in every if label in rows]
    return own.count("different"), len(own)
