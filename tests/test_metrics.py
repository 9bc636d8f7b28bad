"""Metrics against definitions, closed forms and cases made by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import mannwhitneyu, norm

from unlearnbench.metrics.attacks import auc, rmia_ratio, svc_score
from unlearnbench.metrics.compute import Bank, metrics
from unlearnbench.metrics.gaps import summarise, with_gaps
from unlearnbench.splits import reference_members

RNG = np.random.default_rng


def test_auc_counts_pairs() -> None:
    positive, negative = np.array([3.0, 1.0, 2.0]), np.array([0.0, 1.0, 2.0, 2.0])
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    assert auc(positive, negative) == pytest.approx(100 * float(np.mean(pairs)))
    assert auc(np.ones(5), np.zeros(3)) == 100
    assert auc(np.ones(5), np.ones(3)) == 50


def test_auc_is_mann_whitney_and_swapping_groups_mirrors_it() -> None:
    draw = RNG(0)
    positive, negative = (
        draw.integers(0, 30, 500).astype(float),
        draw.integers(3, 33, 700).astype(float),
    )
    u = mannwhitneyu(positive, negative).statistic
    assert auc(positive, negative) == pytest.approx(100 * u / (500 * 700))
    assert auc(negative, positive) == pytest.approx(100 - auc(positive, negative))


def rmia_by_definition(
    target: np.ndarray, references: np.ndarray, member: np.ndarray, gamma: float
) -> np.ndarray:
    """Score(x) = share of z with (P(x|t)/P(x)) / (P(z|t)/P(z)) >= gamma, one pair at a time."""
    n = len(target)
    p = np.empty(n)
    for x in range(n):
        inside = [references[k, x] for k in range(len(references)) if member[k, x]]
        outside = [references[k, x] for k in range(len(references)) if not member[k, x]]
        p[x] = 0.5 * (sum(inside) / len(inside) + sum(outside) / len(outside))
    ratio = target / p
    score: np.ndarray = (np.divide.outer(ratio, ratio) >= gamma).mean(1)
    return score


def test_rmia_ratio_ranks_as_the_definition_by_outer_product() -> None:
    draw = RNG(1)
    n, k = 300, 8
    member = reference_members(n, k, seed=0)
    references, target = draw.random((k, n)), draw.random(n)
    ratio = rmia_ratio(target, references, member)
    score = rmia_by_definition(target, references, member, gamma=1.0)
    assert (np.diff(score[np.argsort(ratio)]) >= 0).all(), "a monotone function of the ratio"
    assert auc(ratio[:100], ratio[100:]) == pytest.approx(auc(score[:100], score[100:]), abs=0.2)
    exact = np.searchsorted(np.sort(ratio), ratio / 1.0, side="right") / n
    assert np.array_equal(exact, score)


def test_reference_design_is_balanced() -> None:
    member = reference_members(1000, 16, seed=0)
    assert member.shape == (16, 1000) and (member.sum(0) == 8).all()
    assert abs(member.sum(1) - 500).max() < 80
    assert not np.array_equal(member, reference_members(1000, 16, seed=1))


@pytest.mark.parametrize(("k", "wrong"), [(4, 0.376), (16, 0.366)])
def test_references_on_training_halves_only_would_bias_retraining(k: int, wrong: float) -> None:
    """The trap of asymmetric references, and that pooled ones do not fall into it.

    Toy: phi = mu + delta * trained-on + noise, delta = sigma = 1; the target was trained on neither
    group. With test samples out of every reference the AUC is
    Phi(-delta / (2 sigma sqrt(2 (1 + 1/K)))), where guessing would be right.
    """
    draw = RNG(2)
    n = 40_000
    mu = draw.normal(0, 2, 2 * n)
    target = mu + draw.normal(0, 1, 2 * n)

    def attack(member: np.ndarray) -> float:
        phi = mu + member + draw.normal(0, 1, (k, 2 * n))
        score = target - phi.mean(0)
        return auc(score[:n], score[n:]) / 100

    halves = reference_members(n, k, seed=3)
    biased = np.concatenate((halves, np.zeros((k, n), dtype=bool)), axis=1)
    expected = norm.cdf(-1 / (2 * math.sqrt(2 * (1 + 1 / k))))
    assert wrong == pytest.approx(expected, abs=6e-4)
    assert attack(biased) == pytest.approx(wrong, abs=0.008)
    assert attack(reference_members(2 * n, k, seed=3)) == pytest.approx(0.5, abs=0.008)


def test_svc_score_by_hand() -> None:
    retain, test = np.full(200, 0.99), np.full(100, 0.3)
    forget = np.array([0.99, 0.98, 0.31, 0.3])
    assert svc_score(retain, test, forget) == 50.0
    assert svc_score(retain, test, forget) == svc_score(retain[::-1], test, forget)


def test_metrics_of_a_case_made_by_hand() -> None:
    # Six training samples and four test samples; 0 and 1 are forgotten, 2 was forgotten before.
    margin = np.array([2.0, -1.0, 5.0, 3.0, 3.0, -0.5, 1.0, 1.0, -2.0, 0.5], dtype=np.float32)
    signals = {"margin": margin, "correct": margin > 0}
    flat = Bank(np.full((2, 10), 0.5), reference_members(10, 2, seed=0))
    found = metrics(signals, np.array([0, 1]), np.array([2]), 6, flat)
    assert found["forget_accuracy"] == 50.0
    assert found["retain_accuracy"] == pytest.approx(100 * 2 / 3)
    assert found["test_accuracy"] == 75.0
    # Against flat references the ratio ranks as the margin does.
    assert found["ft_auc"] == pytest.approx(100 * (4 + 1) / 8)
    assert found["fr_auc"] == pytest.approx(100 * (2 + 2 + 1) / 6)
    assert found["rt_auc"] == pytest.approx(100 * (4 + 4 + 1) / 12)
    assert found["forget_confidence"] == pytest.approx(float(expit([2.0, -1.0]).mean()))
    without = metrics(signals, np.array([0, 1]), np.array([2]), 6, None)
    assert "ft_auc" not in without and without["forget_accuracy"] == 50.0


def test_metrics_see_a_planted_leak_and_no_leak() -> None:
    draw = RNG(4)
    n, k = 2000, 16
    member = reference_members(2 * n, k, seed=0)
    mu = draw.normal(1, 1, 2 * n)
    references = Bank(expit(mu + 1.0 * member + draw.normal(0, 0.5, (k, 2 * n))), member)
    forget = np.arange(1000)
    clean = mu + draw.normal(0, 0.5, 2 * n)
    leak = clean.copy()
    leak[forget] += 1.0
    values = {}
    for name, margin in (("clean", clean), ("leak", leak)):
        signals = {"margin": margin.astype(np.float32), "correct": margin > 0}
        values[name] = metrics(signals, forget, forget[:0], n, references)["ft_auc"]
    assert values["clean"] == pytest.approx(50, abs=3)
    assert values["leak"] > 75


def frame(values: dict[str, list[float]]) -> pd.DataFrame:
    rows = []
    for label, numbers in values.items():
        for seed, number in enumerate(numbers):
            rows.append(
                {
                    "label": label,
                    "access": "full",
                    "fraction": 0.1,
                    "request": 1,
                    "forget_seed": seed % 2,
                    "forget_accuracy": number,
                    "ft_auc": number / 2,
                }
            )
    return pd.DataFrame(rows)


def test_gaps_are_distances_to_the_retrains_on_the_same_forget_set() -> None:
    runs = with_gaps(
        frame({"retrain": [90.0, 80.0, 94.0, 80.0], "ft": [95.0, 90.0]}),
        ["forget_accuracy", "ft_auc"],
    )
    ft = runs[runs["label"] == "ft"]
    assert ft["forget_accuracy_gap"].tolist() == [95 - 92, 90 - 80]
    assert ft["avg_gap"].tolist() == [(3 + 1.5) / 2, (10 + 5) / 2]
    retrain = runs[runs["label"] == "retrain"]
    assert retrain["avg_gap"].tolist() == [1.5, 0.0, 1.5, 0.0]


def test_gaps_are_unknown_without_a_retrain_on_the_forget_set() -> None:
    runs = with_gaps(frame({"retrain": [90.0], "ft": [95.0, 90.0]}), ["forget_accuracy", "ft_auc"])
    known = runs[runs["label"] == "ft"]["avg_gap"]
    assert known.iloc[0] == (5 + 2.5) / 2 and math.isnan(known.iloc[1])


def test_summary_has_mean_spread_and_t_interval() -> None:
    runs = with_gaps(
        frame({"retrain": [90.0, 80.0], "ft": [95.0, 90.0]}), ["forget_accuracy", "ft_auc"]
    )
    summary = summarise(runs)
    row = summary[(summary["label"] == "ft") & (summary["metric"] == "forget_accuracy")].iloc[0]
    assert row["n"] == 2 and row["mean"] == 92.5 and row["gap"] == 7.5
    assert row["std"] == pytest.approx(np.std([95, 90], ddof=1))
    assert row["high"] - row["mean"] == pytest.approx(12.7062 * row["std"] / math.sqrt(2), rel=1e-4)
