"""Verdicts computed again from stored signals in plain numpy, as their definitions say it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.test_evaluation import planned, write_store
from unlearnbench.evaluation.collect import collect
from unlearnbench.evaluation.findings import as_rows
from unlearnbench.planning.expansion import Planned
from unlearnbench.planning.plan import Cell
from unlearnbench.storage.store import Store

TRAIN, TEST, SHARE = 600, 1000, 1 / 3
METHODS = {"ft": 0.0, "ga": 0.12, "scrub": -0.12, "rl": 0.6, "ssd": 1.0}
"""Shares of the leak that the rows written leave; a negative one is on the other side."""
MARGINS = {"loss": 6.0}
SEEDS = {"originals": [1, 2], "forget": [1, 2, 3, 4], "runs": [1]}
Row = dict[str, Any]
Numbers = tuple[np.ndarray, np.ndarray]
"""What each forget sample and each non-member brings of one model, [forget] and [test]."""


def close(value: Any) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-9)


@dataclass
class Mean:
    """A mean over runs: its value, and the errors and degrees of freedom of its two t-tests."""

    value: float
    tests: list[tuple[float, float]]

    def half(self, level: float) -> float:
        return max(stats.t.ppf(1 - level / 2, df) * error for error, df in self.tests)

    @property
    def p(self) -> float:
        def one(error: float, df: float) -> float:
            if error == 0:
                return float(self.value == 0)
            return float(2 * stats.t.sf(abs(self.value) / error, df))

        return max(one(*test) for test in self.tests)


class World:
    """What audits see of every model of a store, and means of it."""

    def __init__(self, plan: Planned, store: Store) -> None:
        self.cells: dict[str, list[Cell]] = {}
        for cell in plan.plan.cells:
            self.cells.setdefault(cell.label, []).append(cell)
        self.store, self.n = store, TRAIN + TEST
        bank = [store.signals(run) for run in plan.plan.references]
        sure = [1 / (1 + np.exp(-one["margin"].astype(float))) for one in bank]
        self.inside, self.outside = (
            np.array(
                [
                    np.mean(
                        [c[i] for c, one in zip(sure, bank, strict=True) if one["member"][i] == m]
                    )
                    for i in range(self.n)
                ]
            )
            for m in (True, False)
        )
        self.seen: dict[tuple[str, str], Numbers] = {}

    def forget(self, cell: Cell) -> np.ndarray:
        return self.store.split(cell.split)["forget"]

    def tenth(self, cell: Cell) -> np.ndarray:
        """Mark the tenth of the forget samples that references memorise most."""
        forget = self.forget(cell)
        order = np.argsort((self.inside - self.outside)[forget], kind="stable")
        marked = np.zeros(len(forget), dtype=bool)
        marked[order[math.ceil(0.9 * len(forget)) :]] = True
        return marked

    def brings(self, audit: str, cell: Cell) -> Numbers:
        key = audit, cell.run + cell.split
        if key not in self.seen:
            self.seen[key] = self._brings(audit, cell)
        return self.seen[key]

    def _brings(self, audit: str, cell: Cell) -> Numbers:
        margin = self.store.signals(cell.run)["margin"].astype(float)
        sure, forget = 1 / (1 + np.exp(-margin)), self.forget(cell)
        scores = margin if "loss" in audit else 2 * sure / (self.inside + self.outside)
        ours, theirs = scores[forget], scores[TRAIN:]
        if audit == "forget-confidence":
            return 100 * sure[forget], np.empty(0)
        if audit == "test-confidence":
            return np.empty(0), 100 * sure[TRAIN:]
        if audit.startswith("tpr-"):

            def rate(fpr: float) -> tuple[float, np.ndarray]:
                allowed = [t for t in theirs if (theirs > t).sum() <= fpr * TEST + 1e-9]
                hits = ours > min(allowed)
                return min(allowed), 100.0 * hits

            threshold, hits = rate(0.01)
            slope = (rate(0.015)[1].mean() - rate(0.005)[1].mean()) / 0.01
            above = (theirs > threshold).astype(float)
            return hits, hits.mean() - slope * (above - above.mean())
        if audit == "memorised":
            ours = ours[self.tenth(cell)]
        wins = 100 * ((ours[:, None] > theirs) + 0.5 * (ours[:, None] == theirs))
        return wins.mean(axis=1), wins.mean(axis=0)

    def gap(self, audit: str, cell: Cell) -> Numbers:
        """What a model brings less the mean of what the retrains on its forget set bring."""
        own, seed = self.brings(audit, cell), cell.seeds[-2]
        alike = [self.brings(audit, one) for one in self.cells["retrain"] if one.seeds[-2] == seed]
        assert len(alike) == 2
        return own[0] - sum(one[0] for one in alike) / 2, own[1] - sum(one[1] for one in alike) / 2

    def original(self, cell: Cell) -> list[Cell]:
        """The original a run began with, or, for a retrain, all that are seen on its forget set."""
        originals = self.cells["original"]
        if len(cell.seeds) > 2:
            return [one for one in originals if one.seeds[:2] == cell.seeds[:2]]
        return [one for one in originals if one.seeds[1] == cell.seeds[0]]

    def weighted(self, audit: str, label: str, a: float, b: float) -> Mean:
        """The mean of a times a row's gap and b times that of the originals."""
        runs = []
        for cell in self.cells[label]:
            own = self.gap(audit, cell)
            leaks = [self.gap(audit, one) for one in self.original(cell)]
            whole = [sum(leak[side] for leak in leaks) / len(leaks) for side in (0, 1)]
            runs.append((cell, (a * own[0] + b * whole[0], a * own[1] + b * whole[1])))
        return self.mean(audit, runs)

    def mean(self, audit: str, runs: list[tuple[Cell, Numbers]]) -> Mean:
        """Average over runs, with the noise of samples, counted once each, and of forget sets."""
        influence, fewest = np.zeros((2, self.n)), [math.inf, math.inf]
        by_set: dict[int, list[float]] = {}
        for cell, values in runs:
            forget = self.forget(cell)
            at = (forget[self.tenth(cell)] if audit == "memorised" else forget), np.arange(TEST)
            for side in (0, 1):
                if len(values[side]):
                    centred = (values[side] - values[side].mean()) / len(values[side])
                    influence[side][at[side] + (0, TRAIN)[side]] += centred / len(runs)
                    fewest[side] = min(fewest[side], len(values[side]))
            filled = values[0] if len(values[0]) else values[1]
            by_set.setdefault(cell.seeds[-2], []).append(float(filled.mean()))
        of_forget, of_others = (
            (row**2).sum() * (m / (m - 1) if m < math.inf else 0)
            for row, m in zip(influence, fewest, strict=True)
        )
        means, sets = [np.mean(values) for values in by_set.values()], len(by_set)
        between = float(np.var(means, ddof=1) / sets)
        total = max(between, of_forget) + of_others
        df = (sets - 1) * (total / between) ** 2 if between > 0 else math.inf
        value = float(np.mean([value for values in by_set.values() for value in values]))
        return Mean(value, [(math.sqrt(total), df), (math.sqrt(between), sets - 1)])


def adjusted(p: list[float]) -> list[float]:
    """Holm by its definition: p_all is the largest of (m - k) p_(k) up to its own place."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    return [
        min(1.0, max((len(p) - k) * p[j] for k, j in enumerate(order) if k <= order.index(i)))
        for i in range(len(p))
    ]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, dict[str, pd.DataFrame]]:
    """Write a store of two originals on four forget sets, and let the package judge it."""
    plan = planned(
        1,
        [*METHODS],
        seeds=SEEDS | {"pairing": "product", "retrains": 3},
        attacks=["rmia", "loss"],
        limits={"margins": MARGINS, "because": "a test"},
    )
    store = write_store(tmp_path_factory.mktemp("store"), plan, TRAIN, TEST, left=METHODS)
    findings = collect(plan, store)
    frames = {name: getattr(findings, name) for name in ("verdicts", "attacks", "pairs")}
    return World(plan, store), frames


AUDITS = ["rmia", "tpr-rmia", "loss", "tpr-loss", "memorised", "forget-confidence"]
AUDITS += ["test-confidence"]
ROWS = ["original", "held-out retrain", *METHODS]


@pytest.mark.slow
def test_every_number_of_a_verdict(found: tuple[World, dict[str, pd.DataFrame]]) -> None:
    world, frames = found
    rows = {(row["label"], row["audit"]): row for row in as_rows(frames["verdicts"])}
    assert set(rows) == {(label, audit) for label in ROWS for audit in [*AUDITS, "all"]}
    attainable, margins, small = {}, {}, {}
    for label in ROWS:
        for audit in AUDITS:
            row, gap = rows[label, audit], world.weighted(audit, label, 1, 0)
            whole = world.weighted(audit, label, 0, 1)
            assert row["sets"] == 4
            assert row["gap"] == close(gap.value)
            assert row["gap_low"] == close(gap.value - gap.half(0.05))
            assert row["gap_high"] == close(gap.value + gap.half(0.05))
            assert row["p"] == pytest.approx(gap.p, rel=1e-7, abs=1e-12)
            _check_share(world, label, audit, row, whole.p < 0.05)
            key, sign = (label, audit), math.copysign(1, whole.value)
            if audit in MARGINS:
                tests, margins[key] = [gap, gap], MARGINS[audit]
                small[key] = abs(gap.value) + gap.half(0.1) < MARGINS[audit]
            else:
                tests = [world.weighted(audit, label, 1, side * sign / 3) for side in (-1, 1)]
                margins[key] = abs(whole.value) / 3
                small[key] = tests[0].value + tests[0].half(0.1) < 0
                small[key] &= tests[1].value - tests[1].half(0.1) > 0
            attainable[key] = max(test.half(0.1) + test.half(0.2) for test in tests)
            assert row["margin"] == close(margins[key])
            assert row["attainable"] == close(attainable[key])
    for audit in AUDITS:
        perfect = "held-out retrain", audit
        told = rows["original", audit]["p"] < 0.05 and not small["original", audit]
        power = told and attainable[perfect] <= margins[perfect]
        assert {rows[label, audit]["audit_power"] for label in ROWS} == {power}
    _check_words(rows, small)


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


def _check_words(rows: dict[tuple[str, str], Row], small: dict[tuple[str, str], bool]) -> None:
    """Check Holm over audits and methods, each audit's word, and the verdict over all."""
    every = [(label, audit) for label in METHODS for audit in AUDITS]
    families = [every] + [[(label, audit) for audit in AUDITS] for label in ROWS[:2]]
    for family in families:
        for key, p in zip(family, adjusted([rows[key]["p"] for key in family]), strict=True):
            assert rows[key]["p_all"] == close(p)
            decisive = p if family is every else rows[key]["p"]
            alike = small[key] and rows[key]["audit_power"]
            word = "equivalent" if alike else "inconclusive"
            assert rows[key]["verdict"] == ("different" if decisive < 0.05 else word)
    for label in ROWS:
        own = [rows[label, audit] for audit in AUDITS]
        powered = {row["audit"] for row in own if row["audit_power"]}
        passed = "rmia" in powered and all(small[label, audit] for audit in powered)
        word = "no difference found" if passed else "inconclusive"
        whole, surest = rows[label, "all"], min(own, key=lambda row: (row["p"], -abs(row["gap"])))
        different = any(row["p_all"] < 0.05 for row in own)
        assert whole["verdict"] == ("different" if different else word)
        assert whole["strongest"] == surest["audit"] and whole["gap"] == surest["gap"]
    words = {rows[label, "all"]["verdict"] for label in ROWS}
    assert words == {"different", "inconclusive", "no difference found"}, "all are seen"


@pytest.mark.slow
def test_every_pair(found: tuple[World, dict[str, pd.DataFrame]]) -> None:
    world, frames = found
    for name, frame in frames["pairs"].groupby("attack"):
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
    nearer = {cell.seeds: cell for cell in world.cells[pair["nearer"]]}
    runs = []
    for cell in world.cells[pair["farther"]]:
        b, a = world.gap(attack, cell), world.gap(attack, nearer[cell.seeds])
        runs.append((cell, (b[0] + sign * a[0], b[1] + sign * a[1])))
    return world.mean(attack, runs)


@pytest.mark.slow
def test_rates_and_their_intervals(found: tuple[World, dict[str, pd.DataFrame]]) -> None:
    world, frames = found
    for row in as_rows(frames["attacks"]):
        audit, cells = f"tpr-{row['attack']}", world.cells[row["label"]]
        rate = world.mean(audit, [(cell, world.brings(audit, cell)) for cell in cells])
        samples = len(np.unique(np.concatenate([world.forget(cell) for cell in cells])))
        exact = stats.binomtest(round(rate.value / 100 * samples), samples).proportion_ci(0.95)
        low, high = rate.value - rate.half(0.05), rate.value + rate.half(0.05)
        assert row["tpr_1"] == close(rate.value)
        assert row["tpr_1_low"] == close(max(min(low, 100 * exact.low), 0))
        assert row["tpr_1_high"] == close(min(max(high, 100 * exact.high), 100))
        assert row["tpr_0.1"] is None
