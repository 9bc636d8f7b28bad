"""Tables for whoever audits: every attack, distances, controls, methods in pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from unlearnbench.evaluation.findings import Findings, lines
from unlearnbench.evaluation.judge import ULIRA
from unlearnbench.evaluation.settings import Group, by_attack, heading, select, suffix
from unlearnbench.metrics.attacks import ATTACKS, HEADLINE
from unlearnbench.metrics.compute import FPRS, METRICS
from unlearnbench.metrics.distances import KLOM_MODELS
from unlearnbench.metrics.gaps import level_band
from unlearnbench.metrics.gates import LOST, NO_OP
from unlearnbench.metrics.roc import needed_negatives
from unlearnbench.planning.plan import HELD_OUT, ORIGINAL, RETRAIN
from unlearnbench.report.tables.table import ABSENT, BAND, Table, marked, spread, with_band

Row = dict[str, Any]

SIGNS = {"equivalent": "=", "different": "≠", "inconclusive": "?"}
TIERS = ((128, "paper"), (64, "GPU"), (16, "CPU"), (0, "smoke"))
LAST = ("tow", "privleak", "swap_auc")
"""Distances that follow from what other tables show, or from runs of their own."""
DISTANCES = [n for n, m in METRICS.items() if m.kind == "distance" and n not in ("avg_gap", *LAST)]
DISTANCES += LAST


def title(attack: str) -> str:
    """Name an attack for people."""
    return "U-LiRA" if attack == ULIRA else ATTACKS[attack].title


def tier(findings: Findings, attack: str) -> str:
    """Say how many models an attack rests on, and what that number is usual for."""
    if attack == ULIRA:
        return f"{findings.benchmark.ulira.shadows} shadow worlds"
    if not ATTACKS[attack].references:
        return "no references"
    count = findings.benchmark.references.count
    name = next(name for least, name in TIERS if count >= least)
    return f"{count} references, {name} tier"


def shown_attacks(findings: Findings, group: Group) -> list[str]:
    """List the attacks that tables show, in the order asked for."""
    found = findings.judged.get(group, {})
    return [name for name in [*findings.benchmark.attacks, ULIRA] if name in found]


def attacks_table(findings: Findings, group: Group) -> Table | None:
    """Show the FT AUC of every row by every attack; None before there is any."""
    found = {name: by_attack(findings, group, name) for name in shown_attacks(findings, group)}
    if not found:
        return None
    labels = dict.fromkeys(label for rows in found.values() for label in rows)
    rows = [[label, *(_cell(found[name].get(label)) for name in found)] for label in labels]
    rows.insert(
        list(labels).index(RETRAIN) + 1 if RETRAIN in labels else 0, _band(findings, group, found)
    )
    power = [next(iter(judged.values()))["power"] for judged in found.values()]
    rows.append(["power", *("yes" if one else "none" for one in power)])
    margin = findings.benchmark.limits.equivalence
    tiers = "; ".join(f"{title(name)}: {tier(findings, name)}" for name in found)
    caption = (
        f"{heading(group, findings.benchmark)}. AUC % of each attack, forget samples against"
        f" non-members, with its 95 % interval over samples and seeds. To retrain: = equivalent"
        f" within {margin:g} points, ≠ different, ? inconclusive. Power: whether the attack tells"
        f" the original's members; one without says nothing. {tiers}."
    )
    return Table(f"attacks{suffix(group)}", caption, ["Method", *map(title, found)], rows)


def _band(findings: Findings, group: Group, attacks: Iterable[str]) -> list[str]:
    runs = select(findings.runs, group)
    columns = [f"auc: {name}" for name in attacks]
    bands = [level_band(runs, column) if column in runs else np.nan for column in columns]
    return [BAND, *(f"±{band:.1f}" if np.isfinite(band) else ABSENT for band in bands)]


def _cell(row: Row | None) -> str:
    if row is None:
        return ABSENT
    return f"{_interval(row, 'auc', '')} {SIGNS.get(row['verdict'], '')}".rstrip()


def _interval(row: Row, name: str, sign: str) -> str:
    low, high = (
        ("low", "high") if name in ("auc", "difference") else (f"{name}_low", f"{name}_high")
    )
    return f"{row[name]:{sign}.1f} [{row[low]:{sign}.1f}, {row[high]:{sign}.1f}]"


def _p(row: Row) -> str:
    return f"{row['p']:.3f}" if row["p"] >= 0.001 else "< 0.001"


def _errors(row: Row) -> list[str]:
    seeds = "?" if row["seed_error"] is None else f"{row['seed_error']:.1f}"
    return [f"{row['sampling_error']:.1f}", seeds]


def attack_table(findings: Findings, group: Group, attack: str) -> Table:
    """Show all that one attack says, with both kinds of error apart."""
    rows = []
    for label, row in by_attack(findings, group, attack).items():
        gap = [ABSENT] * 4
        if row["gap"] is not None:
            gap = [_interval(row, "gap", "+"), f"{row['attainable']:.1f}", _p(row), row["verdict"]]
        rates = [_rate(row, fpr) for fpr in FPRS]
        balanced = ABSENT if row["balanced"] is None else f"{row['balanced']:.1f}"
        rows.append([label, _interval(row, "auc", ""), *_errors(row), *gap, *rates, balanced])
        rows[-1].append(row["flags"] or ABSENT)
        if label == RETRAIN:
            rows.append([*_band(findings, group, [attack]), *[ABSENT] * (len(rows[-1]) - 2)])
    columns = ["Method", "AUC % [95 %]", "SE samples", "SE seeds", "Gap to retrain [95 %]"]
    columns += ["Smallest margin", "p", "Verdict"]
    columns += [f"TPR % at {100 * fpr:g} % FPR" for fpr in FPRS] + ["Balanced acc %", "Flags"]
    about = (
        "shadow models passed through the same method, fitted and scored apart"
        if attack == ULIRA
        else ATTACKS[attack].about
    )
    if attack == "rmia-offline" and findings.offline_a is not None:
        about += f", a = {findings.offline_a:g}"
    caption = (
        f"{title(attack)} ({about}; {tier(findings, attack)}):"
        f" {heading(group, findings.benchmark)}. SE: standard error from samples, models given, and"
        " from the scatter between forget sets. Smallest margin: the one at which no difference at"
        " all would be found equivalent in 4 of 5 cases. p: adjusted for the number of methods"
        " (Holm). " + _rates_caption()
    )
    return Table(f"attack-{attack}{suffix(group)}", caption, columns, rows)


def _rates_caption() -> str:
    needs = " and ".join(f"{needed_negatives(fpr):,} at {100 * fpr:g} %" for fpr in FPRS)
    return f"TPR: exact 95 % interval; n/a with fewer than {needs} non-members."


def _rate(row: Row, fpr: float) -> str:
    name = f"tpr_{100 * fpr:g}"
    return "n/a" if row[name] is None else _interval(row, name, "")


def distance_table(findings: Findings, group: Group) -> Table:
    """Show how far outputs are from retrain's, beyond accuracy."""
    runs = select(findings.runs, group)
    names = [name for name in DISTANCES if name in runs and runs[name].notna().any()]
    caption = (
        f"{heading(group, findings.benchmark)}. Mean ± std over runs of the mean distance to the"
        " retrains on the same forget set, on forget (F) and test samples (T): Wasserstein-1 and"
        " Kolmogorov-Smirnov of the margin, agreement of predictions, Jensen-Shannon divergence in"
        " bits; ToW, PrivLeak. Retrain's own row: each against the others."
    )
    if "klom" not in names:
        caption += f" KLoM: n/a, it needs {KLOM_MODELS} runs and retrains on a forget set."
    columns = ["Method", *(METRICS[name].heading for name in names)]
    rows = with_band(findings, group, names)
    table = Table(f"distances{suffix(group)}", caption, columns, rows, ["", *names])
    return marked(findings, group, table)


def pairs_table(findings: Findings, group: Group) -> Table | None:
    """Show which methods can be told apart; None for fewer than two."""
    pairs = select(findings.pairs, group)
    if pairs.empty:
        return None
    rows = [
        [row["nearer"], row["farther"], _interval(row, "difference", "+"), *_errors(row), _p(row)]
        for row in lines(pairs[pairs["attack"] == HEADLINE])
    ]
    columns = ["Nearer to retrain", "Farther", "Difference of FT AUC [95 %]"]
    columns += ["SE samples", "SE seeds", "p"]
    caption = (
        f"{heading(group, findings.benchmark)}. Methods in pairs on the same samples and seeds"
        " (paired DeLong, and over forget sets); p adjusted for the number of pairs (Holm). Flagged"
        " methods are left out."
    )
    return Table(f"pairs{suffix(group)}", caption, columns, rows)


def control_table(findings: Findings, group: Group) -> Table | None:
    """Show whether the controls came out as they must; None before any has run."""
    runs = select(findings.runs, group)
    rows = []
    for label, must, bad in outcomes(findings, group):
        own = runs[runs["label"] == label]
        outcome = f"NO: {'; '.join(bad)}" if bad else "ok"
        rows.append([label, must, outcome, spread(own, "test_accuracy"), spread(own, "ft_auc")])
    if not rows:
        return None
    columns = ["Control", "What must come out", "Did it?", "Test acc %", "FT AUC %"]
    caption = f"{heading(group, findings.benchmark)}. Rows whose outcome is known beforehand."
    return Table(f"controls{suffix(group)}", caption, columns, rows)


def outcomes(findings: Findings, group: Group) -> list[tuple[str, str, list[str]]]:
    """Return, for each control that has run: its label, what must come out, and what did not."""
    found = {name: by_attack(findings, group, name) for name in shown_attacks(findings, group)}
    main = by_attack(findings, group)
    made = []
    for label, must, check in CHECKS:
        if label in main:
            own = {title(name): rows[label] for name, rows in found.items() if label in rows}
            made.append((label, must, check(own, main[label])))
    return made


Check = Callable[[dict[str, Row], Row], list[str]]


def _tells_members(shown: dict[str, Row], main: Row) -> list[str]:
    return [] if main["power"] else [f"{title(HEADLINE)} cannot tell them"]


def _not_different(shown: dict[str, Row], main: Row) -> list[str]:
    return [f"different by {name}" for name, row in shown.items() if row["verdict"] == "different"]


def _flagged(flag: str) -> Check:
    return lambda shown, main: [] if flag in main["flags"] else [f"not flagged '{flag}'"]


def _found(shown: dict[str, Row], main: Row) -> list[str]:
    return [f"missed by {name}" for name, row in shown.items() if not (row["gap_low"] or 0) > 0]


CHECKS: tuple[tuple[str, str, Check], ...] = (
    (ORIGINAL, "its members are told", _tells_members),
    (HELD_OUT, "not different by any attack", _not_different),
    ("do-nothing", f"flagged '{NO_OP}'", _flagged(NO_OP)),
    ("destroyed", f"flagged '{LOST}'", _flagged(LOST)),
    ("planted-leak", "found by every attack", _found),
)
