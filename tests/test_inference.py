"""How sure means over runs are: errors, tests, verdicts and ranks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.toys import part
from unlearnbench.audits.attacks import Attacked, attacked
from unlearnbench.audits.roc import Part, mean_part
from unlearnbench.verdicts.inference import Estimate, combine, half_width, holm, judge, ranks
from unlearnbench.verdicts.verdict import compare_pairs, judge_rows, places

RNG = np.random.default_rng


def world(
    draw: np.random.Generator, sets: int, gaps: dict[str, float], m: int = 60, n: int = 400
) -> dict[str, dict[tuple[int, ...], Attacked]]:
    """Simulate scores of rows and of four retrains over forget sets, correlated between models."""
    level = draw.normal(size=n)
    trials: dict[str, dict[tuple[int, ...], Attacked]] = {label: {} for label in ("retrain", *gaps)}
    for s in range(sets):
        own = draw.normal(size=m)

        def scores(gap: float, own: np.ndarray = own, s: int = s) -> Attacked:
            forget = own + 0.5 * draw.normal(size=m) + gap + 0.05 * draw.normal()
            pool = np.concatenate((level + 0.5 * draw.normal(size=n), np.zeros(m * sets)))
            index = n + np.arange(m) + s * m
            pool[index] = forget
            return attacked(pool, index, np.arange(n), s)

        trials["retrain"] |= {(s, r): scores(0) for r in range(4)}
        for label, gap in gaps.items():
            trials[label][s, s, s] = scores(gap)
    return trials


def test_one_run_has_delongs_error_and_no_seed_error() -> None:
    draw = RNG(0)
    found = combine([part(draw.normal(size=100), draw.normal(size=200))])
    assert math.isnan(found.seeds) and found.error == found.sampling and found.sets == 1
    assert half_width(found.error, found.freedom) == pytest.approx(1.96 * found.error, rel=1e-3)


def test_listing_a_forget_set_twice_brings_nothing() -> None:
    draw = RNG(1)
    others = draw.normal(size=300)
    parts = [part(draw.normal(size=50), others, s) for s in range(4)]
    once, twice = combine(parts), combine(parts + parts)
    assert twice.value == pytest.approx(once.value) and twice.sets == once.sets == 4
    assert twice.sampling == pytest.approx(once.sampling)
    assert twice.error == pytest.approx(once.error) and twice.freedom == pytest.approx(once.freedom)


def test_a_sample_listed_twice_brings_nothing() -> None:
    draw = RNG(2)
    positive, negative = draw.normal(size=40), draw.normal(size=200)
    once = combine([part(positive, negative)])
    index = np.tile(np.arange(40), 2)
    twice = combine([part(np.tile(positive, 2), negative, forget=index)])
    assert twice.error == pytest.approx(once.error)


def test_non_members_that_all_runs_share_leave_a_floor() -> None:
    draw = RNG(3)
    others = draw.normal(size=100)
    many = combine([part(draw.normal(size=200), others, s) for s in range(30)])
    placed = placements_of(others)
    assert many.error > placed / math.sqrt(100) * 0.9, "more seeds cannot make more test samples"
    assert many.seeds < many.error


def placements_of(others: np.ndarray) -> float:
    """Return the spread, in points, of non-members' placements among standard normal scores."""
    from scipy.stats import norm

    return float(100 * norm.sf(others).std())


def test_pairing_takes_what_models_share_out_of_the_error() -> None:
    draw = RNG(4)
    own, level = draw.normal(size=500), draw.normal(size=500)

    def model() -> Part:
        noise = draw.normal(size=(2, 500))
        return part(own + 0.3 * noise[0], level + 0.3 * noise[1])

    one, other = model(), model()
    paired = combine([one.minus(other)]).error
    apart = math.hypot(combine([one]).error, combine([other]).error)
    assert paired < apart / 2.5
    with pytest.raises(ValueError, match="same samples"):
        one.minus(part(own[:400], level))
    assert mean_part([one, other]).value == pytest.approx((one.value + other.value) / 2)


def test_a_retrain_is_called_different_as_rarely_as_promised() -> None:
    draw = RNG(5)
    wrong = equivalent = 0
    for _ in range(120):
        trials = world(draw, 4, {"candidate": 0.0})
        (row,) = [r for r in judge_rows(trials, "retrain", ["candidate"], 9.0) if r.gap]
        wrong += row.word == "different"
        equivalent += row.word == "equivalent"
    assert wrong / 120 < 0.09
    assert equivalent / 120 > 0.6


def test_what_leaks_is_different_and_ranks_behind() -> None:
    trials = world(RNG(6), 5, {"good": 0.0, "fair": 0.0, "leaks": 1.5, "leaks more": 3.0})
    labels = ["good", "fair", "leaks", "leaks more"]
    rows = judge_rows(trials, "retrain", labels, 8.0)
    verdicts = {row.label: row.word for row in rows}
    assert verdicts["leaks"] == verdicts["leaks more"] == "different"
    assert verdicts["good"] != "different" and verdicts["retrain"] is None
    compared = compare_pairs(trials, "retrain", labels)
    assert len(compared) == 6
    expected = {"good": (1, 2), "fair": (1, 2), "leaks": (3, 3), "leaks more": (4, 4)}
    assert places(rows, compared, labels) == expected
    leaks = next(row for row in rows if row.label == "leaks")
    assert leaks.gap and leaks.gap.value > 15 and (leaks.auc.sampling or 0) > 0
    assert (leaks.auc.seeds or 0) > 0 and (leaks.balanced or 0) > 60


def test_two_forget_sets_decide_nothing() -> None:
    trials = world(RNG(7), 2, {"leaks": 3.0, "good": 0.0})
    rows = judge_rows(trials, "retrain", ["leaks", "good"], 8.0)
    assert {row.word for row in rows if row.gap} == {"inconclusive"}
    assert places(rows, compare_pairs(trials, "retrain", ["leaks", "good"]), ["leaks", "good"]) == {
        "good": (1, 2),
        "leaks": (1, 2),
    }


def test_a_row_without_retrains_has_no_gap() -> None:
    trials = world(RNG(8), 3, {"alone": 0.0})
    trials["retrain"] = {}
    rows = {row.label: row for row in judge_rows({"alone": trials["alone"]}, "retrain", [], 5.0)}
    assert rows["alone"].gap is None and rows["alone"].word is None


@pytest.mark.parametrize(
    ("value", "error", "p", "verdict"),
    [
        (0.5, 0.5, 0.3, "equivalent"),
        (0.5, 0.1, 0.001, "equivalent"),
        (1.5, 0.5, 0.001, "different"),
        (1.5, 0.5, 0.06, "inconclusive"),
        (1.0, 3.0, 0.7, "inconclusive"),
    ],
)
def test_three_verdicts(value: float, error: float, p: float, verdict: str) -> None:
    found = Estimate(value, 9, error, error, error, math.inf)
    assert judge(found, p, margin=2.0) == verdict


def test_smallest_margin_is_met_in_four_of_five_cases() -> None:
    draw = RNG(9)
    found = Estimate(0.0, 9, 1.0, 1.0, 1.0, math.inf)
    met = [
        judge(Estimate(v, 9, 1.0, 1.0, 1.0, math.inf), 1.0, found.attainable) == "equivalent"
        for v in draw.normal(size=4000)
    ]
    assert np.mean(met) == pytest.approx(0.8, abs=0.02)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_ranks_are_the_places_that_a_row_may_have() -> None:
    pairs = {frozenset(pair) for pair in (("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"))}
    found = ranks(["a", "b", "c", "d"], pairs)
    assert found == {"a": (1, 2), "b": (1, 2), "c": (3, 4), "d": (3, 4)}
    chain = {frozenset(("a", "c"))}
    assert ranks(["a", "b", "c"], chain) == {"a": (1, 2), "b": (1, 3), "c": (2, 3)}
    assert ranks(["a"], set()) == {"a": (1, 1)}
