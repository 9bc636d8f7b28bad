"""AUC, rates and balanced accuracy against definitions, exact values and the null."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, kstest, mannwhitneyu, norm, permutation_test

from tests.toys import part
from unlearnbench.audits.roc import (
    Part,
    auc,
    balanced_accuracy,
    by_chance,
    drawn,
    half,
    needed_negatives,
    placements,
    rate,
    tail,
)
from unlearnbench.verdicts.inference import combine

RNG = np.random.default_rng


def test_auc_counts_pairs() -> None:
    positive, negative = np.array([3.0, 1.0, 2.0]), np.array([0.0, 1.0, 2.0, 2.0])
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    assert auc(positive, negative) == pytest.approx(100 * float(np.mean(pairs)))
    assert auc(np.ones(5), np.zeros(3)) == 100
    assert auc(np.ones(5), np.ones(3)) == 50, "constant outputs: all ties"


def test_auc_is_mann_whitney_and_swapping_groups_mirrors_it() -> None:
    draw = RNG(0)
    positive = draw.integers(0, 30, 500).astype(float)
    negative = draw.integers(3, 33, 700).astype(float)
    u = mannwhitneyu(positive, negative).statistic
    assert auc(positive, negative) == pytest.approx(100 * u / (500 * 700))
    assert auc(negative, positive) == pytest.approx(100 - auc(positive, negative))
    placed = placements(positive, negative)
    assert placed[0].mean() == pytest.approx(placed[1].mean())


@pytest.mark.parametrize("ties", [False, True])
def test_delong_intervals_cover_the_null(ties: bool) -> None:
    draw = RNG(1)
    hits = 0
    for _ in range(2000):
        scores = draw.normal(size=400)
        if ties:
            scores = np.round(2 * scores)
        low, high = combine([part(scores[:150], scores[150:])]).interval()
        hits += low <= 50 <= high
    assert 0.94 <= hits / 2000 <= 0.96


def test_delong_error_is_that_of_the_bootstrap() -> None:
    draw = RNG(2)
    positive, negative = draw.normal(0.7, 1, 300), draw.normal(0, 1.5, 400)
    drawn = [auc(draw.choice(positive, 300), draw.choice(negative, 400)) for _ in range(2000)]
    assert combine([part(positive, negative)]).error == pytest.approx(np.std(drawn), rel=0.05)


def test_error_at_the_null_has_its_closed_form() -> None:
    draw = RNG(3)
    errors = [
        combine([part(draw.normal(size=500), draw.normal(size=500))]).error for _ in range(50)
    ]
    assert np.mean(errors) == pytest.approx(100 * np.sqrt(1001 / (12 * 500 * 500)), rel=0.01)


@pytest.mark.slow
def test_permutation_p_values_of_an_auc_are_uniform() -> None:
    draw = RNG(4)
    found = []
    for _ in range(200):
        scores = draw.normal(size=60)
        test = permutation_test(
            (scores[:20], scores[20:]), auc, n_resamples=199, alternative="greater", rng=draw
        )
        found.append(test.pvalue)
    assert kstest(found, "uniform").pvalue > 0.01
    assert np.mean(np.array(found) <= 0.05) == pytest.approx(0.05, abs=0.04)


def tpr(positive: np.ndarray, negative: np.ndarray, fpr: float) -> Part | None:
    return tail(0, positive, negative, (np.arange(len(positive)), np.arange(len(negative))), fpr)


def test_rates_need_enough_non_members() -> None:
    assert needed_negatives(0.01) == 1000 and needed_negatives(0.001) == 10_000
    assert tpr(np.ones(10), np.zeros(999), 0.01) is None
    assert tpr(np.ones(10), np.zeros(1000), 0.001) is None
    found = tpr(np.array([988.0, 989.0, 990.0, 2000.0]), np.arange(1000.0), 0.01)
    assert found is not None and found.value == 50.0, "above 989 lie 10 of 1,000, and 2 of 4"
    assert found.at_others.mean() == pytest.approx(50.0)


def test_a_rate_is_right_and_its_interval_holds_threshold_noise() -> None:
    draw = RNG(5)
    truth = 100 * norm.sf(norm.isf(0.01) - 1)  # of a leak of one standard deviation
    null, inside = [], []
    for _ in range(300):
        negative = draw.normal(size=1000)
        none, leak = (tpr(draw.normal(gap, 1, 2000), negative, 0.01) for gap in (0, 1))
        assert none is not None and leak is not None
        null.append(none.value)
        low, high = combine([leak]).interval()
        inside.append(low <= truth <= high)
    assert np.mean(null) == pytest.approx(100 * (10 + 1) / (1000 + 1), abs=0.08)
    assert np.mean(inside) > 0.85, "of positives alone, half as many intervals would hold it"


def test_intervals_of_rates_are_exact() -> None:
    exact = binomtest(3, 50).proportion_ci(0.95, "exact")
    assert rate(3, 50) == pytest.approx((6.0, 100 * exact.low, 100 * exact.high))
    assert rate(0, 100)[:2] == (0, 0) and rate(100, 100)[::2] == (100, 100)
    assert rate(0, 100).high == pytest.approx(3.62, abs=0.01), "about 300 / m %, two-sided"


def test_a_threshold_chosen_on_other_samples_gives_nothing_away() -> None:
    draw = RNG(6)
    null = [balanced_accuracy(draw.normal(size=100), draw.normal(size=100)) for _ in range(200)]
    assert np.mean(null) == pytest.approx(50, abs=0.7)
    best = []
    for _ in range(200):
        positive, negative = draw.normal(size=100), draw.normal(size=100)
        every = np.concatenate((positive, negative))
        above = [(positive > t).mean() + (negative <= t).mean() for t in every]
        best.append(50 * max(above))
    assert np.mean(best) > 53, "chosen on the same ones, guessing looks like an attack"
    assert balanced_accuracy(draw.normal(5, 1, 100), draw.normal(0, 1, 100)) > 97


@pytest.mark.parametrize("negatives", [200, 1000, 1050])
def test_a_rate_by_chance_is_what_scores_without_information_have(negatives: int) -> None:
    draw, rates = RNG(11), []
    for _ in range(3000):
        scores = draw.random(negatives)
        threshold = np.sort(scores)[-int(0.05 * negatives) - 1]
        rates.append(100 * (1 - threshold))  # of uniform scores, the share above it
    error = np.std(rates) / np.sqrt(len(rates))
    assert by_chance(negatives, 0.05) == pytest.approx(np.mean(rates), abs=4 * error)
    assert by_chance(1000, 0.01) == pytest.approx(1.0989, abs=1e-4)


def test_halves_depend_on_values_not_on_their_order() -> None:
    values = RNG(7).normal(size=101)
    order = RNG(8).permutation(101)
    chosen = half(values, "a test")
    assert chosen.sum() == 50
    assert np.array_equal(chosen[order], half(values[order], "a test"))
    assert 15 < (values[chosen] < np.median(values)).sum() < 35, "not a half of the range"
    assert not np.array_equal(chosen, half(values, "another")), "groups are halved independently"
    assert drawn(values, 0, "none").sum() == 0 and drawn(values, 101, "all").all()


@pytest.mark.parametrize("share", [0.2, 0.7, 0.95])
def test_of_equal_values_as_many_are_drawn_as_chance_would_take(share: float) -> None:
    values = np.where(np.arange(4000) < 4000 * share, 1.0, RNG(9).uniform(size=4000))
    found = (values[drawn(values, 1000, "a test")] == 1).mean()
    assert found == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 1000))
