"""Judge every row of what was measured: by each attack, in pairs, and over all audits."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import pandas as pd

from unlearnbench.audits.attacks import ULIRA, Attacked
from unlearnbench.audits.parts import NULLS, of_attacks
from unlearnbench.audits.roc import Part
from unlearnbench.evaluation.measure import Measured
from unlearnbench.metrics.gaps import noise_band
from unlearnbench.metrics.metric import GROUP
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.plan import HELD_OUT, ORIGINAL, REFERENCE_ROWS, RETRAIN, same_runs
from unlearnbench.verdicts import verdict
from unlearnbench.verdicts.audit import (
    ALL,
    RELEARNING,
    Finding,
    Rule,
    Trials,
    finding_columns,
    look_for,
    overall,
    strongest,
    worded,
)
from unlearnbench.verdicts.pairs import compare_pairs, places


def judge_all(
    benchmark: Benchmark,
    measured: Measured,
    runs: pd.DataFrame,
    controls: Mapping[str, verdict.Expectation],
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Judge every row by every audit, and compare methods in pairs under each attack.

    controls: what must come out of rows that are no methods, by label. Returns three frames: one
    row a condition, attack and label, as in `Verdict.columns`; one a condition, attack and pair: by
    how much nearer to retrain one is; one a condition, label and audit, as in `Finding`, and one
    with audit "all".
    """
    by_row = {} if runs.empty else dict(list(runs.groupby([*GROUP, "label"])))
    attacks: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    verdicts: list[dict[str, Any]] = []
    attacked = _attacked(measured)
    for key, trials in _trials(measured, attacked).items():
        keys, rule = dict(zip(GROUP, key, strict=True)), _rule(benchmark, key[2])
        # A planted leak is one of membership, which other audits need not see.
        strict = replace(rule, leaks=[n for n, one in controls.items() if one.kind == "found"])
        lost = partial(loss_that_counts, benchmark, runs, key)
        examined = [
            finding
            for audit, parts in trials.items()
            for finding in look_for(
                audit, parts, strict if audit in attacked[key] else rule, NULLS.get(audit)
            ).values()
        ]
        # A row that is another's runs under a second name is judged, but is no test of its own.
        cells = [cell for cell in measured.cells if cell.condition == key]
        twins = same_runs((cell.label, cell.run) for cell in cells)
        no_methods = (*REFERENCE_ROWS, *controls, *twins)
        family = [one.label for one in examined if one.label not in no_methods]
        for attack, found in attacked[key].items():
            of_attack = [one for one in examined if one.audit == attack]
            told = {one.label: one for one in worded(of_attack, family)}
            judged = verdict.judge_rows(found, told)
            void = {v.label: _flags(lost, by_row.get((*key, v.label)), v) for v in judged}
            sound = [n for n in found if n in told and n not in no_methods and not void[n]]
            compared = compare_pairs(
                trials[attack], RETRAIN, sound, NULLS.get(attack), one_set=rule.one_set
            )
            far = {label: abs(finding.gap.value) for label, finding in told.items()}
            ranks = places(far, compared, sound)
            power = verdict.has_power(next((v for v in judged if v.label == ORIGINAL), None))
            lines: list[dict[str, Any]] = []
            for row in judged:
                flagged = ", ".join(void[row.label])
                full = replace(row, power=power, rank=ranks.get(row.label), flags=flagged)
                lines.append({"label": row.label} | keys | {"attack": attack} | full.columns())
            attacks += _with_twins(lines, twins)
            pairs += [keys | {"attack": attack} | pair for pair in compared]
        rows = list(_over_audits(worded(examined, family), rule))
        verdicts += [keys | row for row in _with_twins(rows, twins)]
    return pd.DataFrame(attacks), pd.DataFrame(pairs), pd.DataFrame(verdicts)


def _with_twins(rows: list[dict[str, Any]], twins: Mapping[str, str]) -> list[dict[str, Any]]:
    """Give each row that is another's runs under a second name what that one has, if anything."""
    first = {(row["label"], row.get("audit")): row for row in rows}
    return [
        first.get((twins.get(row["label"]), row.get("audit")), row) | {"label": row["label"]}
        for row in rows
    ]


def _over_audits(findings: list[Finding], rule: Rule) -> Iterator[dict[str, Any]]:
    """Yield, of each row, what each audit finds, and last the verdict over all of them."""
    by_label: dict[str, list[Finding]] = {}
    for one in findings:
        by_label.setdefault(one.label, []).append(one)
    # U-LiRA alone is made of the methods that a benchmark names.
    powered = {one.audit for one in findings if one.power} - NULLS.keys()
    for label, own in by_label.items():
        for one in own:
            yield {"label": label, "audit": one.audit, "sets": one.sets} | finding_columns(one)
        most, word = strongest(own), overall(own, rule, powered)
        row = {"label": label, "audit": ALL, "sets": most.sets} | finding_columns(most)
        yield row | {"verdict": word, "strongest": most.audit}


def _rule(benchmark: Benchmark, request: int) -> Rule:
    limits = benchmark.limits
    main = benchmark.headline
    last = request == benchmark.forget.requests  # only then models are asked to relearn
    relearning = last and RELEARNING in benchmark.model_audits
    one_set = len(set(benchmark.seeds.forget)) == 1 and benchmark.forget.requests == 1
    names = RETRAIN, ORIGINAL, HELD_OUT, main
    return Rule(limits.share, limits.margins, *names, relearning, one_set)


Attacks = dict[str, dict[str, dict[tuple[int, ...], Attacked]]]
"""What attacks found: by attack, label and seeds."""


def _attacked(measured: Measured) -> dict[tuple[str, float, int], Attacks]:
    """Sort what attacks found by access, fraction and request."""
    found: dict[tuple[str, float, int], Attacks] = {}
    for cell, evaluated in measured.cells.items():
        of_condition = found.setdefault(cell.condition, {})
        for attack, one in evaluated.attacks.items():
            of_condition.setdefault(attack, {}).setdefault(cell.label, {})[cell.seeds] = one
    for (access, fraction, label), worlds in measured.ulira.items():
        of_condition = found.setdefault((access, fraction, 1), {})
        rows = of_condition.setdefault(ULIRA, {})
        rows[label] = {(world,): one for world, one in enumerate(worlds)}
    return found


def _trials(
    measured: Measured, attacked: Mapping[tuple[str, float, int], Attacks]
) -> dict[tuple[str, float, int], dict[str, Trials]]:
    """Sort what audits bring, those of attacks first, by condition, audit, label and seeds."""
    audits: dict[tuple[str, float, int], dict[str, dict[str, dict[tuple[int, ...], Part]]]] = {}
    for key, attacks in attacked.items():
        audits[key] = {}
        for attack, rows in attacks.items():
            for label, runs in rows.items():
                for seeds, one in runs.items():
                    for name, part in of_attacks({attack: one}).items():
                        audits[key].setdefault(name, {}).setdefault(label, {})[seeds] = part
    for cell, parts in measured.parts():
        of_condition = audits.setdefault(cell.condition, {})
        for name, part in parts.items():
            of_condition.setdefault(name, {}).setdefault(cell.label, {})[cell.seeds] = part
    return cast("dict[tuple[str, float, int], dict[str, Trials]]", audits)


def loss_that_counts(
    benchmark: Benchmark, runs: pd.DataFrame, key: tuple[str, float, int], count: int
) -> float:
    """Return from which loss of test accuracy on a mean over `count` runs is not ranked, in points.

    That is no less than what retrains lose by chance; but half of retrain's accuracy always counts,
    since chance that two or three retrains show may be wider than all there is to lose.
    """
    own = runs[runs[GROUP].eq(list(key)).all(axis="columns")]
    half = own.loc[own["label"] == RETRAIN, "test_accuracy"].mean() / 2
    chance = min(noise_band(own, "test_accuracy", count), half)
    return float(np.nanmax([benchmark.limits.utility, chance]))


def _flags(
    counts: Callable[[int], float], runs: pd.DataFrame | None, row: verdict.Verdict
) -> list[str]:
    """List why a row is void, under its attack or altogether.

    counts: from which loss of test accuracy on, by the number of runs; runs: its own.
    """
    # U-LiRA's worlds may be there before the runs of the table are.
    if row.label in (ORIGINAL, RETRAIN) or runs is None:
        return []
    lost, no_op = float(runs["test_accuracy_gap"].mean()), bool(runs["no_op"].all())
    return verdict.flags(row, lost, no_op, counts(len(runs)))
