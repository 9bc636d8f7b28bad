"""Verdicts computed again from stored signals in plain numpy, as their definitions say it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.recomputing import Mean, Shares, World, adjusted
from tests.test_evaluation import planned, write_store
from unlearnbench.evaluation.collect import collect
from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.frames import as_rows

METHODS = {"ft": 0.0, "ga": 0.12, "scrub": -0.12, "rl": 0.6, "ssd": 1.0}
"""Shares of the leak that the rows written leave; a negative one is on the other side."""
MARGINS = {"loss": 6.0}
ROWS = ["original", "held-out retrain", *METHODS]
AUDITS = ["rmia", "tpr-rmia", "loss", "tpr-loss", "memorised", "forget-confidence"]
AUDITS += ["test-confidence"]
OF_MODELS = ["relearning-auc", "relearning-accuracy", "relearning-confidence"]
OF_MODELS += ["probe-accuracy", "probe-confidence"]
Row = dict[str, Any]


def close(value: Any) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-9)


@dataclass
class Case:
    """A store, what the package found in it, and what the verdicts in it are about."""

    world: World
    findings: Findings
    audits: list[str]
    sets: dict[str, int]
    """Forget sets by what made the models, "" for the runs themselves."""

    def rows(self) -> dict[tuple[str, str], Row]:
        lines = as_rows(self.findings.verdicts)
        return {(row["label"], row["audit"]): row for row in lines}


def written(
    factory: pytest.TempPathFactory, size: tuple[int, int], audits: list[str], **asked: Any
) -> Case:
    """Write a store of so many training and test samples, and let the package judge it."""
    plan = planned(
        1,
        [*METHODS],
        attacks=["rmia", "loss", "class"],
        limits={"margins": MARGINS, "because": "a test"},
        **asked,
    )
    store = write_store(factory.mktemp("store"), plan, *size, left=METHODS)
    of_models = {name: row["sets"] for name, row in asked.get("model_audits", {}).items()}
    sets = {"": len(asked["seeds"]["forget"])} | of_models
    return Case(World(plan.plan, store, *size), collect(plan, store), audits, sets)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Two originals on each of four forget sets; no models are asked to relearn."""
    seeds: dict[str, Any] = {"originals": [1, 2], "forget": [1, 2, 3, 4], "runs": [1]}
    seeds |= {"pairing": "product", "retrains": 3}
    return written(tmp_path_factory, (600, 1000), AUDITS, seeds=seeds)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Eight forget sets of 200, relearning and a probe on seven and five of them."""
    seeds = {key: [*range(1, 9)] for key in ("originals", "forget", "runs")}
    return written(
        tmp_path_factory,
        (2000, 2000),
        AUDITS + OF_MODELS,
        seeds=seeds | {"pairing": "zip", "retrains": 3},
        model_audits={"relearning": {"sets": 7}, "probe": {"sets": 5}},
    )


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Three classes that are forgotten, and eight worlds of U-LiRA for two of the methods."""
    seeds = {key: [1, 2, 3] for key in ("originals", "forget", "runs")}
    return written(
        tmp_path_factory,
        (600, 400),
        ["rmia", "loss", "class", "u-lira"],
        seeds=seeds | {"pairing": "zip", "retrains": 3},
        forget={"kind": "class", "fractions": [1.0]},
        ulira={"shadows": 8, "methods": ["ft", "rl"]},
    )


@dataclass
class Judged:
    """A row under one audit: its margin, what it attains, and whether its gap is small."""

    margin: float
    attainable: float
    small: bool


@pytest.mark.slow
@pytest.mark.parametrize("name", ["small", "large"])
def test_every_number_of_a_verdict(name: str, request: pytest.FixtureRequest) -> None:
    case: Case = request.getfixturevalue(name)
    rows, judged = case.rows(), dict[tuple[str, str], Judged]()
    assert set(rows) == {(label, audit) for label in ROWS for audit in [*case.audits, "all"]}
    for label in ROWS:
        for audit in case.audits:
            sets = case.sets.get(audit.rpartition("-")[0], case.sets[""])
            judged[label, audit] = _check_numbers(case.world, rows[label, audit], sets)
    for audit in case.audits:
        one = judged["held-out retrain", audit]
        told = rows["original", audit]["p"] < 0.05 and not judged["original", audit].small
        power = told and one.attainable <= one.margin
        assert {rows[label, audit]["audit_power"] for label in ROWS} == {power}
    best = {"small": "no difference found", "large": "equivalent"}[name]
    _check_words(case, rows, judged, best)
    words = {rows[label, "all"]["verdict"] for label in ROWS}
    assert words == {"different", best} | ({"inconclusive"} if name == "small" else set())


@pytest.mark.slow
def test_the_numbers_of_the_class_attack_and_of_u_lira(classes: Case) -> None:
    rows, seen = classes.rows(), set[tuple[str, str]]()
    for (label, audit), row in rows.items():
        if audit in classes.audits:
            _check_numbers(classes.world, row, 8 if audit == "u-lira" else 3)
            seen.add((label, audit))
    audited = {(label, "u-lira") for label in ("original", "retrain", "ft", "rl")}
    assert {pair for pair in seen if pair[1] == "u-lira"} == audited
    assert seen - audited == {(n, audit) for n in ROWS for audit in ("rmia", "loss", "class")}
    assert rows["original", "u-lira"]["gap"] > 10 > abs(rows["ft", "u-lira"]["gap"])


def _check_numbers(world: World, row: Row, sets: int) -> Judged:
    """Check what an audit says of a row, but for what depends on other rows."""
    label, audit = row["label"], row["audit"]
    gap, whole = world.weighted(audit, label, 1, 0), world.weighted(audit, label, 0, 1)
    assert row["sets"] == sets
    assert row["gap"] == close(gap.value)
    assert row["gap_low"] == close(gap.value - gap.half(0.05))
    assert row["gap_high"] == close(gap.value + gap.half(0.05))
    assert row["p"] == pytest.approx(gap.p, rel=1e-7, abs=1e-12)
    _check_share(world, label, audit, row, whole.p < 0.05)
    if audit in MARGINS:
        tests, margin = [gap, gap], MARGINS[audit]
        is_small = abs(gap.value) + gap.half(0.1) < margin
    else:
        sign, margin = math.copysign(1, whole.value), abs(whole.value) / 3
        tests = [world.weighted(audit, label, 1, side * sign / 3) for side in (-1, 1)]
        is_small = tests[0].value + tests[0].half(0.1) < 0
        is_small &= tests[1].value - tests[1].half(0.1) > 0
    attainable = max(test.half(0.1) + test.half(0.2) for test in tests)
    assert row["margin"] == close(margin)
    assert row["attainable"] == close(attainable)
    return Judged(margin, attainable, is_small)


def _check_share(world: World, label: str, audit: str, row: Row, leaks: bool) -> None:
    """Check the share of the leak left; just beyond its ends, and not before, it is refuted."""

    def refuted(share: float) -> bool:
        difference = world.weighted(audit, label, 1, -share)
        return abs(difference.value) > difference.half(0.05)

    if not leaks:
        assert row["share"] is None
        return
    gaps = [world.weighted(audit, label, *one).value for one in ((1, 0), (0, 1))]
    share = gaps[0] / gaps[1]
    assert row["share"] == close(share)
    if label != "original":
        for end, outward in ((row["share_low"], -1e-9), (row["share_high"], 1e-9)):
            assert refuted(end + outward) and not refuted(end - outward)
            assert not refuted((share + end) / 2)


def _check_words(
    case: Case, rows: dict[tuple[str, str], Row], judged: dict[tuple[str, str], Judged], best: str
) -> None:
    """Check Holm over audits and methods, each audit's word, and the verdict over all."""
    every = [(label, audit) for label in METHODS for audit in case.audits]
    families = [every] + [[(label, audit) for audit in case.audits] for label in ROWS[:2]]
    for family in families:
        for key, p in zip(family, adjusted([rows[key]["p"] for key in family]), strict=True):
            assert rows[key]["p_all"] == close(p)
            decisive = p if family is every else rows[key]["p"]
            alike = judged[key].small and rows[key]["audit_power"]
            word = "equivalent" if alike else "inconclusive"
            assert rows[key]["verdict"] == ("different" if decisive < 0.05 else word)
    needed = {"rmia", "relearning-auc"}.intersection(case.audits)
    for label in ROWS:
        own = [rows[label, audit] for audit in case.audits]
        powered = {row["audit"] for row in own if row["audit_power"]}
        passed = needed <= powered and all(judged[label, audit].small for audit in powered)
        whole, surest = rows[label, "all"], min(own, key=lambda row: (row["p"], -abs(row["gap"])))
        different = any(row["p_all"] < 0.05 for row in own)
        word = best if passed else "inconclusive"
        assert whole["verdict"] == ("different" if different else word)
        assert whole["strongest"] == surest["audit"] and whole["gap"] == surest["gap"]


@pytest.mark.slow
def test_against_the_best_and_against_a_row_that_is_named(small: Case) -> None:
    pairs = as_rows(small.findings.pairs)
    pairs = [pair for pair in pairs if pair["attack"] == "rmia"]
    gaps = {label: small.world.weighted("rmia", label, 1, 0).value for label in METHODS}
    compared = {pair[side] for pair in pairs for side in ("nearer", "farther")}
    nearest = min(compared, key=lambda label: abs(gaps[label]))
    by_pair = {frozenset((pair["nearer"], pair["farther"])): pair for pair in pairs}
    (condition,) = small.findings.conditions
    for named in (None, *compared):
        label = named or nearest
        found = as_rows(condition.versus(named))
        own = [by_pair[frozenset((label, row["label"]))] for row in found]
        assert {row["label"] for row in found} == compared - {label}
        for row in found:
            farther = abs(gaps[row["label"]]) - abs(gaps[label])
            assert row["difference"] == close(farther)
            assert row["low"] < farther < row["high"]
        # Whichever row is best, the data chose it, so that any pair might have been looked at.
        expected = adjusted([pair["p_raw"] for pair in own]) if named else [p["p"] for p in own]
        assert [row["p"] for row in found] == close(expected)


@pytest.mark.slow
def test_every_pair(small: Case) -> None:
    world = small.world
    for name, frame in small.findings.pairs.groupby("attack"):
        attack = str(name)
        pairs = as_rows(frame)
        raw = []
        for pair in pairs:
            a, b = (
                np.array([world.weighted(attack, pair[name], 1, 0).value])
                for name in ("nearer", "farther")
            )
            assert abs(a[0]) <= abs(b[0])
            difference, total = (_both(world, attack, pair, sign) for sign in (-1, 1))
            right = difference.value * b[0] > 0 and total.value * b[0] > 0
            p = max(difference.p, total.p) if right else 1.0
            shown = difference if a[0] * b[0] >= 0 else total
            assert pair["difference"] == close(abs(b[0]) - abs(a[0]))
            assert pair["low"] == close(pair["difference"] - shown.half(0.05))
            assert pair["high"] == close(pair["difference"] + shown.half(0.05))
            assert pair["p_raw"] == pytest.approx(p, rel=1e-7, abs=1e-12)
            raw.append(pair["p_raw"])
        assert [pair["p"] for pair in pairs] == close(adjusted(raw))
        labels = {pair[name] for pair in pairs for name in ("nearer", "farther")}
        assert len(pairs) == len([*combinations(labels, 2)]) >= 6
        assert min(raw) < 0.05 < max(raw)


def _both(world: World, attack: str, pair: dict[str, str], sign: int) -> Mean:
    """The mean of the farther row's gap plus sign times the nearer one's."""
    nearer = {cell.seeds: cell for cell in world.cells(attack, pair["nearer"])}
    runs, first, second = [], Shares(), Shares()
    for cell in world.cells(attack, pair["farther"]):
        other = nearer[cell.seeds]
        b, a = world.gap(attack, cell), world.gap(attack, other)
        runs.append((cell, (b[0] + sign * a[0], b[1] + sign * a[1])))
        first.add(cell, cell.seeds[-2])
        second.add(other, cell.seeds[-2])
    return world.mean(attack, runs, [(1, first), (sign, second)])


@pytest.mark.slow
def test_rates_and_their_intervals(small: Case) -> None:
    world = small.world
    for row in as_rows(small.findings.attacks):
        audit = f"tpr-{row['attack']}"
        cells = world.cells(audit, row["label"])
        rate = world.mean(audit, [(cell, world.brings(audit, cell)) for cell in cells])
        samples = len(np.unique(np.concatenate([world.forget(cell) for cell in cells])))
        exact = stats.binomtest(round(rate.value / 100 * samples), samples).proportion_ci(0.95)
        low, high = rate.value - rate.half(0.05), rate.value + rate.half(0.05)
        assert row["tpr_1"] == close(rate.value)
        assert row["tpr_1_low"] == close(max(min(low, 100 * exact.low), 0))
        assert row["tpr_1_high"] == close(min(max(high, 100 * exact.high), 100))
        assert row["tpr_0.1"] is None
