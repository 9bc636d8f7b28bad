"""How sure means over runs are: errors, tests, verdicts and ranks."""

from __future__ import annotations

import math
from collections.abc import Hashable

import numpy as np
import pytest

from tests.toys import part
from unlearnbench.audits.attacks import Attacked, attacked
from unlearnbench.audits.roc import Part, mean_of, mean_part
from unlearnbench.verdicts.audit import Finding, Rule, Runs, look_for, worded
from unlearnbench.verdicts.inference import Joint, combine, half_width, holm, ranks
from unlearnbench.verdicts.pairs import compare_pairs, places
from unlearnbench.verdicts.verdict import judge_rows

RNG = np.random.default_rng
INDEX = np.arange(10)
ALONE = Rule(1 / 3, {}, "retrain", "original", "", "rmia", one_set=True)


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


def test_on_one_forget_set_a_model_may_be_as_far_off_as_a_retrain() -> None:
    """By hand: AUCs 50, 52, 54 of retrains have variance 4; one model's gap, 4 (1 + 1/3) = 16/3."""
    flat = np.zeros(10)
    retrains = [Part("a", INDEX, INDEX, flat + value, flat + value) for value in (50, 52, 54)]
    one, other = (Part("a", INDEX, INDEX, flat + value, flat + value) for value in (58.0, 62.0))
    ideal = mean_part(retrains)
    parts = [part.minus(ideal) for part in (one, other)]
    values: dict[Hashable, list[float]] = {"a": [part.value for part in retrains]}
    single = combine(parts[:1], None, values)
    assert single.value == 6 and single.seeds**2 == pytest.approx(16 / 3)
    assert single.freedom == 2 and single.decides and single.sets == 1
    assert combine(parts, None, values).seeds ** 2 == pytest.approx(4 * (1 / 2 + 1 / 3))
    # what is left of one gap when the same one is taken off is nothing, without any error
    same = Joint.of([[parts[0], parts[0]]], None, values).along(1.0, -1.0)
    assert same.value == 0 and same.seeds == 0
    between = Joint.of([parts], None, values).along(1.0, -1.0)
    assert between.seeds**2 == pytest.approx(2 * 4)  # the retrains' mean drops out
    two: dict[Hashable, list[float]] = {"a": values["a"][:2]}
    assert not combine(parts[:1], None, two).decides and not combine(parts[:1]).decides


@pytest.mark.parametrize("models", [0.02, pytest.param(0.3, marks=pytest.mark.slow)])
def test_on_one_forget_set_what_is_retrained_is_rarely_called_different(models: float) -> None:
    """models: standard deviation between models, in that of samples; the retrains are four."""
    draw, rounds, wrong, shown = RNG(9), 400, 0, 0
    index = np.arange(60), 60 + np.arange(200)
    for _ in range(rounds):
        own, level = draw.normal(size=60), draw.normal(size=200)

        def model(gap: float, own: np.ndarray = own, level: np.ndarray = level) -> Attacked:
            moved = own + 0.3 * draw.normal(size=60) + gap + models * draw.normal()
            pool = np.concatenate((moved, level + 0.3 * draw.normal(size=200)))
            return attacked(pool, *index, "a")

        trials: dict[str, Runs] = {"retrain": {(1, r): model(0).part for r in range(4)}}
        trials |= {"original": {(1, 1, 1): model(3).part}, "alike": {(1, 1, 1): model(0).part}}
        found = look_for("rmia", trials, ALONE)
        wrong += found["alike"].p < 0.05
        shown += found["original"].p < 0.05
    assert wrong / rounds <= 0.05 + 2.4 * np.sqrt(0.05 * 0.95 / rounds)
    assert shown / rounds > 0.8


@pytest.mark.parametrize(("originals", "sets"), [(1, 5), (3, 3), (3, 7)])
def test_what_sets_share_an_original_for_is_rarely_called_different(
    originals: int, sets: int
) -> None:
    """Each original, on every set; a model is as far from what is true as a retrain is, or 1."""
    draw, rounds, wrong, own = RNG(10), 300, 0, 0
    others = np.arange(20)

    def seen(s: int, level: float) -> Part:
        return mean_of(s, 50 + level + np.zeros(20), others, shared=True)

    for _ in range(rounds):
        models = draw.normal(size=originals)
        trials: dict[str, Runs] = {
            "retrain": {(s, r): seen(s, draw.normal()) for s in range(sets) for r in range(3)},
            "alike": {(o, s, s): seen(s, models[o]) for o in range(originals) for s in range(sets)},
            "apart": {(s, s, s): seen(s, draw.normal()) for s in range(sets)},
        }
        found = look_for("test-confidence", trials, ALONE)
        wrong += found["alike"].p < 0.05
        own += found["apart"].p < 0.05
    assert wrong / rounds <= 0.05 + 2.4 * np.sqrt(0.05 * 0.95 / rounds)
    assert own / rounds <= 0.05 + 2.4 * np.sqrt(0.05 * 0.95 / rounds)


def test_forget_sets_count_alike_however_many_runs_each_has() -> None:
    flat = np.zeros(10)
    parts = [Part(s, INDEX, INDEX, flat + v, flat + v) for s, v in [("a", 9.0)] * 9 + [("b", 1.0)]]
    assert combine(parts).value == pytest.approx(5)
    assert combine(parts).seeds == pytest.approx(combine([parts[0], parts[-1]]).seeds)


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


def parts_of(
    trials: dict[str, dict[tuple[int, ...], Attacked]],
) -> dict[str, dict[tuple[int, ...], Part]]:
    return {label: {s: one.part for s, one in own.items()} for label, own in trials.items()}


def found(trials: dict[str, dict[tuple[int, ...], Attacked]], margin: float) -> dict[str, Finding]:
    """Judge rows by one audit with a margin declared in points."""
    rule = Rule(1 / 3, {"rmia": margin}, "retrain", "original", "held-out retrain", "rmia")
    one = look_for("rmia", parts_of(trials), rule)
    return {finding.label: finding for finding in worded(one.values(), [*trials])}


def test_a_retrain_is_called_different_as_rarely_as_promised() -> None:
    draw = RNG(5)
    wrong = small = 0
    for _ in range(120):
        one = found(world(draw, 4, {"candidate": 0.0}), 9.0)["candidate"]
        wrong += one.word == "different"
        small += one.small
    assert wrong / 120 < 0.09
    assert small / 120 > 0.6


def test_what_leaks_is_different_and_ranks_behind() -> None:
    trials = world(RNG(6), 5, {"good": 0.0, "fair": 0.0, "leaks": 1.5, "leaks more": 3.0})
    labels = ["good", "fair", "leaks", "leaks more"]
    told = found(trials, 8.0)
    rows = {row.label: row for row in judge_rows(trials, told)}
    assert rows["leaks"].word == rows["leaks more"].word == "different"
    assert rows["good"].word != "different" and rows["retrain"].word is None
    compared = compare_pairs(parts_of(trials), "retrain", labels)
    assert len(compared) == 6
    expected = {"good": (1, 2), "fair": (1, 2), "leaks": (3, 3), "leaks more": (4, 4)}
    far = {label: abs(finding.gap.value) for label, finding in told.items()}
    assert places(far, compared, labels) == expected
    leaks = rows["leaks"]
    assert leaks.gap and leaks.gap.value > 15 and (leaks.auc.sampling or 0) > 0
    assert (leaks.auc.seeds or 0) > 0 and (leaks.balanced or 0) > 60


def test_two_forget_sets_decide_nothing() -> None:
    trials = world(RNG(7), 2, {"leaks": 3.0, "good": 0.0})
    told = found(trials, 8.0)
    assert {finding.word for finding in told.values()} == {"inconclusive"}
    compared = compare_pairs(parts_of(trials), "retrain", ["leaks", "good"])
    far = {label: abs(finding.gap.value) for label, finding in told.items()}
    assert places(far, compared, ["leaks", "good"]) == {"good": (1, 2), "leaks": (1, 2)}


def test_a_row_without_retrains_has_no_gap() -> None:
    trials = world(RNG(8), 3, {"alone": 0.0})
    trials["retrain"] = {}
    (row,) = judge_rows({"alone": trials["alone"]}, found(trials, 5.0))
    assert row.gap is None and row.word is None


def test_one_sample_has_no_variance() -> None:
    draw = RNG(9)
    one = combine([part(draw.normal(size=1), draw.normal(size=200))])
    assert math.isnan(one.error) and one.p_zero == 1.0, "nothing is shown"
    sets = combine([part(draw.normal(size=1), draw.normal(size=200), s) for s in range(4)])
    assert sets.error > 0, "but several sets of one sample scatter"


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
