"""Verdicts over audits: shares of the leak, power, the rule, and who is nearer to retrain."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.toys import part
from unlearnbench.audits.roc import Part, mean_of
from unlearnbench.verdicts.audit import (
    Finding,
    Rule,
    Uncertain,
    look_for,
    misses,
    overall,
    strongest,
    worded,
)
from unlearnbench.verdicts.inference import Joint, combine, half_width, ratio_interval, within
from unlearnbench.verdicts.pairs import compare_pairs

RNG = np.random.default_rng
RULE = Rule(1 / 3, {}, "retrain", "original", "held-out retrain", "rmia")
Runs = dict[tuple[int, ...], Part]


def constant(forget_set: int, value: float, spread: float, draw: np.random.Generator) -> Part:
    """Return a part of 40 forget samples, each set having samples of its own."""
    index = np.arange(40) + 40 * forget_set
    return mean_of(f"set {forget_set}", value + draw.normal(0, spread, 40), index)


def trials(gaps: dict[str, float], sets: int = 6, spread: float = 5.0) -> dict[str, Runs]:
    draw = RNG(0)
    rows: dict[str, Runs] = {label: {} for label in gaps}
    for s in range(sets):
        for label, gap in gaps.items():
            rows[label][s, s, s] = constant(s, 50 + gap, spread, draw)
        rows.setdefault("retrain", {}).update(
            {(s, r): constant(s, 50, spread, draw) for r in range(3)}
        )
    return rows


def test_a_weighted_sum_is_what_the_sum_itself_gives() -> None:
    draw = RNG(1)
    runs = [
        [part(draw.normal(size=30), draw.normal(size=50), s) for _ in range(2)] for s in range(4)
    ]
    joint = Joint.of(runs)
    for weight in (-0.4, 1.0, 3.0):
        summed = [
            replace(
                a,
                at_forget=a.at_forget + weight * b.at_forget,
                at_others=a.at_others + weight * b.at_others,
            )
            for a, b in runs
        ]
        own, direct = joint.along(1.0, weight), combine(summed)
        for name in ("value", "sampling", "seeds", "error", "freedom"):
            assert getattr(own, name) == pytest.approx(getattr(direct, name)), name


def test_a_mean_over_samples_that_all_runs_share_keeps_their_noise() -> None:
    values, index = RNG(2).normal(50, 10, 400), np.arange(400)
    shared = [mean_of(s, values, index, shared=True) for s in range(5)]
    assert combine(shared).error == pytest.approx(values.std(ddof=1) / 20)
    own = [mean_of(s, values, index + 400 * s) for s in range(5)]
    assert combine(own).error == pytest.approx(values.std(ddof=1) / 20 / math.sqrt(5))


def test_ratio_interval_is_fiellers() -> None:
    draw = RNG(3)
    runs = [[constant(0, 4.0, 8.0, draw), constant(0, 12.0, 8.0, draw)]]
    joint = Joint.of(runs)
    (a, b), c = joint.values, joint.of_forget
    t2 = half_width(1.0, math.inf) ** 2
    roots = np.roots([b**2 - t2 * c[1, 1], -2 * (a * b - t2 * c[0, 1]), a**2 - t2 * c[0, 0]])
    assert ratio_interval(joint) == pytest.approx(sorted(roots))
    faint = Joint.of([[constant(0, 4.0, 8.0, draw), constant(0, 0.1, 8.0, draw)]])
    assert ratio_interval(faint) == (-math.inf, math.inf), "of nothing there is no share"


@pytest.mark.parametrize("share", [1.0, 0.1, 0.3, 1 / 3])
def test_a_share_without_error_is_its_own_interval(share: float) -> None:
    """As of a row that is the original itself, which rounding may put beside its own share."""
    none = np.zeros((2, 2))
    joint = Joint(np.array([share * 11.7, 11.7]), none, none, none, 1, 4)
    assert ratio_interval(joint) == pytest.approx((share, share), abs=1e-12)


def test_a_gap_is_small_against_the_original_whatever_its_sign() -> None:
    draw = RNG(4)
    for sign in (1, -1):
        for gap, small in ((1.0, True), (6.0, False)):
            runs = [
                [constant(s, sign * gap, 3.0, draw), constant(s, sign * 15.0, 3.0, draw)]
                for s in range(5)
            ]
            found, attainable = within(Joint.of(runs), None, 1 / 3)
            assert found is small and 0 < attainable < 5


def test_shares_words_and_power() -> None:
    gaps = {"original": 15.0, "held-out retrain": 0.0, "good": 0.0, "half": 7.5, "all": 15.0}
    found = look_for("rmia", trials(gaps), RULE)
    assert all(one.power for one in found.values()), "the audit's, not the row's"
    words = {one.label: one.word for one in worded(found.values(), ["good", "half", "all"])}
    assert words["good"] == words["held-out retrain"] == "equivalent"
    assert words["half"] == words["all"] == words["original"] == "different"
    half = found["half"]
    assert half.share and half.share.value == pytest.approx(0.5, abs=0.1)
    assert half.share.low < 0.5 < half.share.high and half.margin == pytest.approx(5, abs=0.5)
    blind = look_for("rmia", trials(dict.fromkeys(gaps, 0.0)), RULE)
    assert not any(one.power for one in blind.values()), "with no leak there is nothing to find"
    assert all(one.share is None and not one.small for one in blind.values())
    lenient = replace(RULE, margins={"rmia": 30.0})
    passed = look_for("rmia", trials(gaps), lenient)
    assert passed["original"].small and not passed["good"].power, "the original would earn it"


@pytest.mark.parametrize("sign", [1, -1])
def test_an_audit_that_misses_the_planted_leak_has_no_power(sign: int) -> None:
    """It must be on the side of the original's."""
    gaps = {"original": sign * 15.0, "held-out retrain": 0.0, "good": 0.0}
    rule = replace(RULE, leaks=["planted-leak"])
    assert all(one.power for one in look_for("rmia", trials(gaps), rule).values()), "not run"
    for planted, power in ((20.0, True), (0.0, False), (-20.0, False)):
        found = look_for("rmia", trials(gaps | {"planted-leak": sign * planted}), rule)
        assert {one.power for one in found.values()} == {power}
        assert misses(found, "planted-leak", "original") is not power
    blind = look_for("rmia", trials(dict.fromkeys([*gaps, "planted-leak"], 0.0)), rule)
    assert not misses(blind, "planted-leak", "original"), "there is nothing that it finds"


def test_a_known_null_stands_for_retrains() -> None:
    found = look_for("u-lira", trials({"original": 15.0, "good": 0.0}), RULE, null=lambda _: 50.0)
    assert found["retrain"].gap.value == pytest.approx(0, abs=2)
    assert found["original"].gap.value == pytest.approx(15, abs=2)


def finding(audit: str, *, small: bool = True, power: bool = True, p: float = 0.5) -> Finding:
    gap = Uncertain(0.0, -1.0, 1.0)
    return Finding(audit, "x", 5, gap, None, 2.0, 1.0, small, p, p_all=p, power=power)


@pytest.mark.parametrize(
    ("findings", "word"),
    [
        ([finding("rmia"), finding("relearning-auc")], "equivalent"),
        ([finding("rmia")], "inconclusive"),
        ([finding("rmia"), finding("relearning-confidence")], "inconclusive"),
        ([finding("rmia"), finding("relearning-lite-auc")], "inconclusive"),
        ([finding("rmia"), finding("relearning-auc", power=False)], "inconclusive"),
        ([finding("rmia", power=False), finding("relearning-auc")], "inconclusive"),
        (
            [finding("rmia"), finding("relearning-auc"), finding("loss", small=False)],
            "inconclusive",
        ),
        (
            [
                finding("rmia"),
                finding("relearning-auc"),
                finding("memorised", small=False, power=False),
            ],
            "equivalent",
        ),
        ([finding("rmia"), finding("relearning-auc", p=0.01)], "different"),
        ([finding("rmia"), finding("lira", p=0.01, power=False)], "different"),
    ],
)
def test_the_rule(findings: list[Finding], word: str) -> None:
    assert overall(findings, RULE) == word
    assert strongest(findings).p == min(one.p for one in findings)


def test_without_relearning_the_best_word_is_no_difference_found() -> None:
    blind = replace(RULE, relearning=False)
    assert overall([finding("rmia")], blind) == "no difference found"
    assert overall([finding("rmia", small=False)], blind) == "inconclusive"


def test_a_row_that_an_audit_has_missed_is_not_equivalent() -> None:
    row = [finding("rmia"), finding("relearning-auc")]
    assert overall(row, RULE, {"rmia", "relearning-auc"}) == "equivalent"
    assert overall(row, RULE, {"rmia", "relearning-auc", "lira"}) == "inconclusive"


def test_without_power_no_audit_calls_a_row_equivalent() -> None:
    (one,) = worded([finding("rmia", power=False)], ["x"])
    assert one.small and one.word == "inconclusive"


def test_nearer_is_said_of_distances_and_not_of_values() -> None:
    def pair(a: float, b: float) -> dict[str, object]:
        (found,) = compare_pairs(trials({"a": a, "b": b}, 8, 3.0), "retrain", ["a", "b"])
        return found

    apart = pair(-6.0, 6.2)
    assert apart["p"] == 1.0 or float(str(apart["p"])) > 0.2, "on either side, as far"
    assert abs(float(str(apart["difference"]))) < 1
    clear = pair(-1.0, 8.0)
    assert clear["nearer"] == "a" and float(str(clear["p"])) < 0.01
    assert float(str(clear["difference"])) == pytest.approx(7, abs=1)
    below = pair(-2.0, -9.0)
    assert below["nearer"] == "a" and float(str(below["p"])) < 0.01
