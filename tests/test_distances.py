"""Distances to retraining in cases that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from unlearnbench.metrics import distances
from unlearnbench.metrics.metric import OfModels, of_type

RNG = np.random.default_rng


def test_wasserstein_and_ks() -> None:
    draw = RNG(0)
    one = draw.normal(size=400)
    assert distances.wasserstein(one, one + 2.5) == pytest.approx(2.5)
    other = draw.normal(0.4, 2, 300)
    assert distances.kolmogorov_smirnov(one, other) == pytest.approx(ks_2samp(one, other).statistic)
    assert distances.kolmogorov_smirnov(one, one) == 0


def test_agreement_and_divergence() -> None:
    sure = np.array([[0.5, 0.5], [0.9, 0.1]])
    other = np.array([[0.5, 0.5], [0.1, 0.9]])
    assert distances.agreement(np.log(sure), np.log(other)) == 50
    assert distances.jensen_shannon(sure, sure) == 0
    middle = (0 + 0.9 * np.log2(0.9 / 0.5) + 0.1 * np.log2(0.1 / 0.5)) / 2
    assert distances.jensen_shannon(sure, other) == pytest.approx(middle)
    certain = np.array([[1.0, 0.0]])
    assert distances.jensen_shannon(certain, certain[:, ::-1]) == 1.0, "one bit at most"


def test_klom_needs_many_models_and_sees_a_shift() -> None:
    draw = RNG(1)
    same, other = draw.normal(size=(200, 5)), draw.normal(size=(150, 5))
    null = distances.klom(same, other)
    shifted = distances.klom(same + np.array([0, 0, 0, 0, 4.0]), other)
    assert null is not None and shifted is not None
    assert null.shape == (5,) and (null < 0.8).all() and shifted[4] > 3
    assert shifted[:4] == pytest.approx(null[:4])
    assert distances.klom(same, same) == pytest.approx(np.zeros(5))


def test_klom_of_a_shift_of_some_samples_is_in_its_tail_alone() -> None:
    draw = RNG(2)
    one, other = draw.normal(size=(200, 100)), draw.normal(size=(200, 100))
    one[:, :8] += 50.0  # no bin in common: 200 in its own, where the others have the floor
    known = np.log(1 / distances.FLOOR)
    of_models = {metric.name: metric.function(one, other) for metric in of_type(OfModels)}
    p95 = of_models["klom_p95_test"]
    assert p95 > 10 > 2 * of_models["klom"]
    far = distances.klom(np.full((100, 3), 9.0), np.full((100, 3), -9.0))
    assert far == pytest.approx(known * np.ones(3), abs=1e-3), "1 ln(1 / floor), and nothing else"
    assert p95 == pytest.approx(float(np.sort(distances.klom(one, other))[94:96].mean()), abs=0.4)


def competition(unlearned: np.ndarray, retrained: np.ndarray, step: float = 0.01) -> float:
    """Try the competition's rules, as intervals, on its grid of thresholds."""

    def grid(low: float, high: float) -> np.ndarray:
        return np.linspace(low, high, int((high - low) / step) + 1)

    def within(margins: np.ndarray, bottom: np.ndarray, top: np.ndarray) -> np.ndarray:
        ordered = np.sort(margins)
        return np.searchsorted(ordered, top, "right") - np.searchsorted(ordered, bottom, "left")

    high, low = retrained, unlearned
    if np.median(retrained) <= np.median(unlearned):
        high, low = low, high
    narrow, wide = (low, high) if np.ptp(high) >= np.ptp(low) else (high, low)
    single = grid(min(high.min(), low.min()), max(high.max(), low.max()))
    tops = narrow.max() + grid(-2, 2)[:, None]
    bottoms = tops - np.ptp(narrow) + grid(-2, 2)
    best = 0.0
    for one, other, bottom, top in (
        (high, low, single, np.full_like(single, np.inf)),
        (narrow, wide, bottoms, np.broadcast_to(tops, bottoms.shape)),
    ):
        hits = np.stack([within(m, bottom, top).ravel() for m in (one, other)])
        for right, wrong in np.unique(hits, axis=1).T:
            fnr, fpr = 1 - right / len(one), wrong / len(other)
            if right == len(one) and wrong == 0:
                return 50.0
            if right < len(one) and wrong > 0:
                shown = [(1 - 1e-5 - a) / b for a, b in ((fpr, fnr), (fnr, fpr))]
                best = max(best, *(np.log(x) for x in shown if x > 0))
    return best


@pytest.mark.parametrize(("shift", "scale"), [(0, 1), (1, 1), (0, 0.3), (3, 1), (0, 4), (5, 2)])
def test_epsilon_is_the_competitions_at_every_threshold(shift: float, scale: float) -> None:
    draw = RNG(3)
    unlearned, retrained = 2 * draw.normal(shift, scale, (40, 3)), 2 * draw.normal(size=(50, 3))
    known = [competition(*one) for one in zip(unlearned.T, retrained.T, strict=True)]
    assert distances.epsilon(unlearned, retrained) == pytest.approx(np.array(known), abs=1e-6)


def test_epsilon_of_known_cases() -> None:
    draw = RNG(4)
    one = draw.normal(size=(100, 20))
    assert distances.epsilon(one, one).max() < 1e-4, "identical distributions: ln of 1"
    assert distances.forgetting_quality(one, one) == 1.0
    far = one + 20
    assert (distances.epsilon(one, far) == 50).all(), "separated: no error of either kind"
    assert distances.forgetting_quality(one, far) == 0.0
    assert (distances.epsilon(one, 1000 * one) == 50).all(), "one range is under a hundredth"
    constant = np.full((100, 1), 3.0)
    assert (
        distances.epsilon(constant, constant) == 0 and distances.epsilon(constant, -constant) == 50
    )
    # 25 of 100 on the wrong side, each way: the threshold 0 shows ln((1 - 1e-5 - 1/4) / (1/4)).
    sides = np.repeat([-1.0, 1.0], [25, 75])[:, None]
    assert distances.epsilon(sides, -sides) == pytest.approx(np.log((0.75 - 1e-5) / 0.25))
    assert distances.forgetting_quality(sides, -sides) == 2.0**-2, "2 / 2^3: epsilon is in [1, 1.5)"


def test_forgetting_quality_of_retrains_is_far_below_one_and_falls_with_a_shift() -> None:
    draw = RNG(5)
    retrained = draw.normal(size=(100, 200))
    found = [
        distances.forgetting_quality(draw.normal(shift, 1, (100, 200)), retrained)
        for shift in (0, 0.5, 1, 2)
    ]
    assert found == sorted(found, reverse=True) and 0.1 < found[0] < 0.3 and found[3] < 0.02


def test_tug_of_war_and_privleak() -> None:
    assert distances.tug_of_war(0, 0, 0) == 1
    assert distances.tug_of_war(-10, 0, 20) == pytest.approx(0.9 * 0.8)
    assert distances.privleak(63.0, 50.0) == pytest.approx(26.0)
