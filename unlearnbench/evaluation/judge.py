"""From measurements to verdicts: every row under every attack, as data frames."""

from __future__ import annotations

from typing import Any

import pandas as pd

from unlearnbench.evaluation.measure import Measured
from unlearnbench.evaluation.settings import Group, select
from unlearnbench.metrics.gates import flags, has_power
from unlearnbench.metrics.judgement import (
    Compared,
    Judged,
    Trial,
    Trials,
    compare,
    judge_rows,
    rank,
)
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.plan import CONTROLS, HELD_OUT, ORIGINAL, RETRAIN

ULIRA = "u-lira"


def judge_all(
    benchmark: Benchmark, measured: Measured, runs: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Judge every row under every attack, and compare methods in pairs under each.

    Returns two frames. One row a setting, attack and label: auc, its std over runs, standard errors
    and 95 % interval; gap to retrain with its interval, the smallest margin it could be equivalent
    at, p and verdict; TPRs, balanced accuracy; power of the attack; first and last place it may
    have, and flags. One row a setting, attack and pair: by how much their AUCs differ.
    """
    rows: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    for (group, attack), trials in _trials(measured).items():
        labels = [label for label in trials if label not in (ORIGINAL, RETRAIN, *CONTROLS)]
        judged = judge_rows(trials, RETRAIN, labels, benchmark.limits.equivalence)
        found = {row.label: _flags(benchmark, runs, group, row) for row in judged}
        sound = [label for label in labels if label != HELD_OUT and not found[label]]
        compared = compare(trials, RETRAIN, sound)
        places = rank(judged, compared, sound)
        power = has_power(next((row for row in judged if row.label == ORIGINAL), None))
        keys = dict(zip(("access", "fraction", "request"), group, strict=True))
        for row in judged:
            rows.append(
                {"label": row.label, **keys, "attack": attack}
                | _columns(row)
                | {"power": power}
                | dict(zip(("rank", "rank_last"), places.get(row.label, (None, None)), strict=True))
                | {"flags": ", ".join(found[row.label])}
            )
        pairs += [{**keys, "attack": attack} | _pair(one) for one in compared]
    return pd.DataFrame(rows), pd.DataFrame(pairs)


def _trials(measured: Measured) -> dict[tuple[Group, str], Trials]:
    """Sort what was found by setting and attack, then by label."""
    sorted_: dict[tuple[Group, str], dict[str, list[Trial]]] = {}
    for cell, evaluation in measured.cells.items():
        group = (cell.access, cell.fraction, cell.request)
        for attack, found in evaluation.attacks.items():
            own = sorted_.setdefault((group, attack), {})
            own.setdefault(cell.label, []).append(Trial(cell.seeds, found))
    for (access, fraction), by_label in measured.ulira.items():
        own = sorted_.setdefault(((access, fraction, 1), ULIRA), {})
        for label, worlds in by_label.items():
            own[label] = [Trial((world,), found) for world, found in enumerate(worlds)]
    return dict(sorted_)


def _flags(benchmark: Benchmark, runs: pd.DataFrame, group: Group, row: Judged) -> list[str]:
    """List why a row is void, under its attack or altogether."""
    if row.label in (ORIGINAL, RETRAIN):
        return []
    here = select(runs, group)
    own = here[here["label"] == row.label]
    if own.empty:  # U-LiRA's worlds may be there before the runs of the table are
        return []
    limits = benchmark.limits
    lost = float(own["test_accuracy_gap"].mean())
    return flags(row, lost, bool(own["no_op"].all()), limits.equivalence, limits.utility)


def _columns(row: Judged) -> dict[str, Any]:
    low, high = row.auc.interval()
    columns: dict[str, Any] = {
        "n": row.runs,
        "sets": row.auc.sets,
        "auc": row.auc.value,
        "std": row.std,
        "sampling_error": row.auc.sampling,
        "seed_error": row.auc.seeds,
        "low": low,
        "high": high,
    }
    gap = dict.fromkeys(("gap", "gap_low", "gap_high", "attainable", "p", "verdict"))
    if row.gap is not None:
        gap_low, gap_high = row.gap.interval()
        values = (row.gap.value, gap_low, gap_high, row.gap.attainable, row.p, row.verdict)
        gap = dict(zip(gap, values, strict=True))
    columns |= gap
    for fpr, rate in row.rates.items():
        name = f"tpr_{100 * fpr:g}"
        found = (None, None, None) if rate is None else tuple(rate)
        columns |= dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True))
    return columns | {"balanced": row.balanced}


def _pair(one: Compared) -> dict[str, Any]:
    low, high = one.difference.interval()
    return {
        "nearer": one.nearer,
        "farther": one.farther,
        "difference": one.difference.value,
        "sampling_error": one.difference.sampling,
        "seed_error": one.difference.seeds,
        "low": low,
        "high": high,
        "p": one.p,
    }
