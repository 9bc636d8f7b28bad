"""Intervals of AUCs of retained samples, worked out again without the code under test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.hand import by_hand
from unlearnbench.audits.attacks import Samples
from unlearnbench.audits.parts import of_groups
from unlearnbench.audits.roc import auc
from unlearnbench.verdicts.inference import combine

GROUPS = {"forget": np.arange(0, 30), "retain": np.arange(30, 110), "others": np.arange(110, 170)}


def samples(earlier: int = 0) -> Samples:
    forget, retain, others = GROUPS.values()
    return Samples(forget, retain, others, others, np.arange(170, 170 + earlier))


def delong(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return the variance of an AUC in percent, from all pairs."""
    wins = 100.0 * (positive[:, None] > negative) + 50.0 * (positive[:, None] == negative)
    rows, columns = wins.mean(1), wins.mean(0)
    return float(rows.var(ddof=1) / len(rows) + columns.var(ddof=1) / len(columns))


def test_of_one_run_it_is_delongs() -> None:
    scores = np.random.default_rng(1).normal(size=200).round(1)
    scores[GROUPS["retain"]] += 0.5
    found = of_groups(samples(), scores, "1")
    assert list(found) == ["fr_auc", "rt_auc"], "there was no request before"
    for metric, groups in {"fr_auc": ("retain", "forget"), "rt_auc": ("retain", "others")}.items():
        positive, negative = (scores[GROUPS[name]] for name in groups)
        estimate = combine([found[metric]])
        assert estimate.value == pytest.approx(auc(positive, negative))
        # Of two groups put together as one the correction is that of their sum: a hair less.
        assert estimate.sampling**2 == pytest.approx(delong(positive, negative), rel=0.03)
    earlier = of_groups(samples(20), scores, "1")
    assert list(earlier) == ["fr_auc", "rt_auc", "all_ft_auc", "all_fr_auc"]
    positive = scores[[*GROUPS["forget"], *range(170, 190)]]
    assert earlier["all_ft_auc"].value == pytest.approx(auc(positive, scores[GROUPS["others"]]))


def test_the_noise_of_shared_samples_stays_however_many_runs_agree() -> None:
    """Test and retained samples are the same in all runs: more runs do not average them out."""
    draw, parts = np.random.default_rng(2), []
    shared = draw.normal(size=200)
    for run in range(50):
        forget = GROUPS["forget"]
        scores = shared + 0.01 * draw.normal(size=200)
        scores[forget] = draw.normal(size=len(forget))
        parts.append(of_groups(samples(), scores, str(run)))
    one, many = (combine([part["rt_auc"] for part in some]) for some in (parts[:1], parts))
    assert many.error > 0.95 * one.error
    scatter = np.std([part["rt_auc"].value for part in parts], ddof=1) / np.sqrt(50)
    assert many.error > 10 * scatter, "what the scatter between forget sets alone would say"


def test_what_an_attack_has_no_scores_of_has_no_interval() -> None:
    scores = np.random.default_rng(3).normal(size=200)
    scores[GROUPS["retain"]] = np.nan
    assert of_groups(samples(), scores, "1") == {}


def test_the_summary_has_these_intervals() -> None:
    findings = by_hand()
    findings.runs["fr_auc"] = findings.runs["ft_auc"]
    row = {"access": "full", "fraction": 0.1, "request": 1, "label": "leaky"}
    known = pd.DataFrame([row | {"metric": "fr_auc", "low": 12.0, "high": 34.0}])
    summary = replace(findings, intervals=known).summary.set_index(["label", "metric"])
    assert tuple(summary.loc[("leaky", "fr_auc"), ["low", "high"]]) == (12.0, 34.0)
    assert summary.loc[("my_method", "fr_auc"), "low"] != 12.0
