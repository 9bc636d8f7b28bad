"""What figures show, against cases made by hand and the toy with closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from tests.toys import toy
from unlearnbench.audits.attacks import HEADLINE, Samples, View, score
from unlearnbench.audits.references import ReferenceModels, deciles
from unlearnbench.audits.roc import auc
from unlearnbench.metrics.curves import (
    EDGES,
    FPRS,
    by_references,
    curves,
    mean_by,
    shares,
    true_positive_rates,
)

N = 20_000


def test_shares_are_percent_of_all_samples_and_nothing_falls_outside() -> None:
    found = shares(np.array([-99.0, -0.1, 0.1, 0.2, 99.0]))
    assert found.sum() == pytest.approx(100) and found[0] == found[-1] == 20
    assert found[np.searchsorted(EDGES, 0)] == 40


def test_true_positive_rates_by_hand_and_in_closed_form() -> None:
    positive, negative = np.array([3.0, 1.5, 0.0]), np.arange(100) / 50  # 0, 0.02, ... 1.98
    found = dict(zip(FPRS.round(4).tolist(), true_positive_rates(positive, negative), strict=True))
    assert math.isnan(found[0.0001]), "a hundred non-members cannot show it"
    assert found[0.01] == pytest.approx(100 / 3) and found[1.0] == 100
    assert found[0.3162] == pytest.approx(200 / 3), "31 of them lie above 1.37"
    draw = np.random.default_rng(0)
    rates = true_positive_rates(draw.normal(1, 1, 200_000), draw.normal(0, 1, 200_000))
    assert rates == pytest.approx(100 * norm.cdf(1 + norm.ppf(FPRS)), abs=0.6)


def test_more_references_find_more_on_the_toy() -> None:
    margins, bank = toy(N, 16, seed=0)
    index = np.arange(2 * N)
    samples = Samples(index[:N], index[:0], index[N:], index[N:])
    confidence = bank.online_by_count
    assert list(confidence) == [2, 4, 8, 16]
    assert confidence[16] == pytest.approx(bank.online)
    found = by_references(View({"margin": margins}, samples), bank)
    view = View({"margin": margins}, samples)
    assert found[-1] == pytest.approx(auc(*np.split(view.confidence / bank.online, 2)))
    assert np.all(np.diff(found) > 0) and found[-1] - found[0] > 2


def test_deciles_and_means_by_hand() -> None:
    group = deciles(np.arange(100)[::-1] / 100)
    assert group[0] == 9 and group[-1] == 0
    assert np.bincount(group).tolist() == [10] * 10
    assert np.bincount(deciles(np.zeros(12))).tolist() == [2, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    assert deciles(np.zeros(3)).tolist() == [0, 3, 6], "tenths all the same, some of them empty"
    means = mean_by(np.array([1.0, 3.0, 5.0]), np.array([0, 0, 2]), 3)
    assert means[0] == 2 and math.isnan(means[1]) and means[2] == 5


def test_memorised_samples_are_those_that_only_members_know() -> None:
    member = np.array([[True, True], [True, False], [False, True], [False, False]])
    margin = np.where(member, 5.0, [-5.0, 5.0])  # the second one is known to all
    bank = ReferenceModels(margin, margin, member)
    assert bank.memorisation == pytest.approx([0.987, 0.0], abs=0.001)


def test_curves_of_one_model() -> None:
    margins, bank = toy(50, 4, seed=1)
    index = np.arange(100)
    signals = {"margin": margins, "correct": margins > 0, "label": index % 3}
    view = View(signals, Samples(index[:30], index[30:50], index[50:], index[50:]))
    found = curves(view, bank, score(HEADLINE, view, bank))
    assert len(found["density_forget"]) == len(EDGES) - 1
    assert len(found["class_test"]) == 3 and len(found["decile_auc"]) == 10
    by_decile = np.array(found["decile_accuracy"], dtype=float)
    assert by_decile.mean() == pytest.approx(100 * (margins[:30] > 0).mean())
    assert "roc" not in curves(view, bank), "without scores"
