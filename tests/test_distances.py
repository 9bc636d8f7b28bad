"""Distances to retraining in cases that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from unlearnbench.metrics import distances

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


def test_tug_of_war_and_privleak() -> None:
    assert distances.tug_of_war(0, 0, 0) == 1
    assert distances.tug_of_war(-10, 0, 20) == pytest.approx(0.9 * 0.8)
    assert distances.privleak(63.0, 50.0) == pytest.approx(26.0)
