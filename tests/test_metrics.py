"""Metrics of a model, gaps, noise band and gates in cases made by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import t as student

from tests.hand import benchmark
from tests.toys import part
from unlearnbench.audits.attacks import ATTACKS, Samples, View, ulira
from unlearnbench.audits.references import ReferenceModels
from unlearnbench.data.splits import Split, SplitKind, cut, reference_members
from unlearnbench.evaluation.evaluate import evaluate
from unlearnbench.evaluation.judge import loss_that_counts
from unlearnbench.metrics.gaps import noise_band, summarise, usual_number, with_gaps
from unlearnbench.metrics.metric import COSTS, METRICS
from unlearnbench.verdicts.audit import Finding, Uncertain
from unlearnbench.verdicts.inference import combine
from unlearnbench.verdicts.verdict import Verdict, broken, flags, has_power

RNG = np.random.default_rng


def view(margin: np.ndarray, samples: Samples) -> View:
    margin = margin.astype(np.float32)
    signals = {"margin": margin, "correct": margin > 0, "sm_taylor": expit(margin)}
    signals["sm_taylor_exact"] = signals["sm_taylor"]
    signals["label"] = np.arange(len(margin)) % 2
    return View(signals | {"modified_entropy": np.exp(-margin)}, samples)


@pytest.mark.parametrize("n", [1000, 1001])
def test_reference_design_is_balanced_both_ways(n: int) -> None:
    member = reference_members(n, 16, seed=0)
    assert member.shape == (16, n) and (member.sum(0) == 8).all()
    assert set(member.sum(1).tolist()) == {n // 2, n - n // 2}
    assert not np.array_equal(member, reference_members(n, 16, seed=1))
    assert np.array_equal(member[:6], reference_members(n, 6, seed=0)), "more leave these alone"


def test_pairs_of_references_are_halves_and_know_nothing_of_each_other() -> None:
    n, pairs = 1000, 64
    member = reference_members(n, 2 * pairs, seed=0)
    assert np.array_equal(member[::2], ~member[1::2])
    between = np.asarray(np.corrcoef(member[::2]))[np.triu_indices(pairs, 1)]
    # Of cuts in halves that are drawn apart: mean 0, variance 1 / (n - 1).
    assert between.mean() == pytest.approx(0, abs=4 / math.sqrt(n * len(between)))
    assert between.std() == pytest.approx(1 / math.sqrt(n - 1), rel=0.1)
    assert abs(between).max() < 5 / math.sqrt(n)


def test_metrics_of_a_case_made_by_hand() -> None:
    # Six training samples and four test samples; 0 and 1 are forgotten, 2 was forgotten before.
    margin = np.array([2.0, -1.0, 5.0, 3.0, 3.0, -0.5, 1.0, 1.0, -2.0, 0.5])
    test = np.arange(6, 10)
    samples = Samples(np.array([0, 1]), np.array([3, 4, 5]), test, test)
    flat = ReferenceModels(
        np.zeros((2, 10)), np.full((2, 10), 0.5), reference_members(10, 2, seed=0)
    )
    made = evaluate(view(margin, samples), flat, ["loss"], 0)
    found = made.values
    assert found["forget_accuracy"] == 50.0
    assert found["retain_accuracy"] == pytest.approx(100 * 2 / 3)
    assert found["test_accuracy"] == 75.0
    # Against flat references the ratio ranks as the margin does.
    assert found["ft_auc"] == pytest.approx(100 * (4 + 1) / 8)
    assert found["fr_auc"] == pytest.approx(100 * (2 + 2 + 1) / 6)
    assert found["rt_auc"] == pytest.approx(100 * (4 + 4 + 1) / 12)
    assert found["forget_confidence"] == pytest.approx(float(expit([2.0, -1.0]).mean()))
    assert set(made.attacks) == {"rmia", "loss"}, "the headline is there whatever is asked for"
    assert made.attacks["loss"].part.value == found["ft_auc"]
    assert made.attacks["loss"].tails == {0.01: None, 0.001: None}, "of four, none in a hundred"
    without = evaluate(view(margin, samples), None, ["loss", "lira"], 0)
    assert "ft_auc" not in without.values and set(without.attacks) == {"loss"}
    alone = evaluate(view(margin, samples), None, ["lira"], 0, headline="loss")
    assert {name: alone.values[name] for name in ("ft_auc", "fr_auc", "rt_auc")} == {
        name: found[name] for name in ("ft_auc", "fr_auc", "rt_auc")
    }
    assert set(alone.attacks) == {"loss"} and "roc" in alone.curves


def test_held_out_samples_take_the_place_of_test_samples_in_attacks_only() -> None:
    margin = np.array([4.0, 4.0, 1.0, 1.0, 9.0, 9.0])
    samples = Samples(*map(np.array, ([0], [1], [2, 3], [4, 5])))
    made = evaluate(view(margin, samples), None, ["loss"], 0)
    assert made.attacks["loss"].part.value == 0, "below every held-out sample"
    assert made.values["test_confidence"] == pytest.approx(float(expit(1.0)))


def leak_or_not(leak: float, order: np.ndarray | None = None) -> dict[str, float]:
    draw = RNG(4)
    n, k = 1000, 16
    member = reference_members(2 * n, k, seed=0)
    mu = draw.normal(1, 1, 2 * n)
    margins = mu + 1.0 * member + draw.normal(0, 0.5, (k, 2 * n))
    target = mu + draw.normal(0, 0.5, 2 * n)
    target[:500] += leak
    target[500:1000] += 1.0
    order = np.arange(2 * n) if order is None else order
    place = np.argsort(order)
    groups = [place[part] for part in (slice(0, 500), slice(500, n), slice(n, None))]
    samples = Samples(groups[0], groups[1], groups[2], groups[2])
    sure = expit(margins[:, order])
    bank = ReferenceModels(margins[:, order], sure, member[:, order], sure)
    made = evaluate(view(target[order], samples), bank, list(ATTACKS), 0)
    found = {name: found.part.value for name, found in made.attacks.items()}
    found |= {f"{name} balanced": found.balanced for name, found in made.attacks.items()}
    return found | made.values


def test_every_attack_sees_a_leak_and_none_sees_what_is_not_there() -> None:
    clean, leak = leak_or_not(0.0), leak_or_not(1.0)
    for name in ATTACKS:
        # Two-sided, as its name says; and no class is forgotten here.
        if name not in ("lira-offline-code", "class"):
            assert clean[name] == pytest.approx(50, abs=5) and leak[name] > 60, name
    assert leak["rmia balanced"] > 60 and clean["rmia balanced"] == pytest.approx(50, abs=4)


def test_labels_dealt_at_random_and_constant_outputs_give_one_half() -> None:
    draw = RNG(9)
    margin, groups = draw.normal(0, 3, 4000), draw.permutation(4000).reshape(4, 1000)
    dealt = Samples(groups[0], groups[1], groups[2], groups[2])
    made = evaluate(view(margin, dealt), None, ["loss", "svc"], 0)
    for found in made.attacks.values():
        low, high = combine([found.part]).interval()
        assert low < 50 < high
    constant = evaluate(view(np.full(4000, -2.0), dealt), None, ["loss"], 0)
    assert constant.attacks["loss"].part.value == 50
    lost = constant.values["test_accuracy"] - made.values["test_accuracy"]
    assert flags(judged(0.0), lost, False, 5) == ["utility lost"]


@pytest.mark.parametrize(("retrains", "counts"), [([62, 80], 35.5), ([90, 90], 5), ([], 5)])
def test_half_of_the_accuracy_is_lost_whatever_chance_does(
    retrains: list[float], counts: float
) -> None:
    """Two retrains as far apart as 18 points put 95 % of retrains within hundreds of points."""
    runs = pd.DataFrame({"label": "retrain", "test_accuracy": retrains, "forget_seed": 1})
    runs[["access", "fraction", "request"]] = "full", 0.1, 1
    assert loss_that_counts(benchmark(), runs, ("full", 0.1, 1), 1) == counts


def test_order_of_the_pool_changes_no_number() -> None:
    plain, shuffled = leak_or_not(1.0), leak_or_not(1.0, RNG(5).permutation(2000))
    assert {name: pytest.approx(value, abs=1e-6) for name, value in plain.items()} == shuffled


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
    assert retrain["forget_accuracy_gap"].tolist() == [-4, 0, 4, 0], "each against the others"
    assert retrain["avg_gap"].tolist() == [3.0, 0.0, 3.0, 0.0]
    assert ft["privleak"].tolist() == pytest.approx([100 * 1.5 / 46, 100 * 5 / 40])


def test_gaps_are_unknown_without_a_retrain_on_the_forget_set() -> None:
    runs = with_gaps(frame({"retrain": [90.0], "ft": [95.0, 90.0]}), ["forget_accuracy", "ft_auc"])
    known = runs[runs["label"] == "ft"]["avg_gap"]
    assert known.iloc[0] == (5 + 2.5) / 2 and math.isnan(known.iloc[1])
    assert math.isnan(runs["avg_gap"].iloc[0]), "a single retrain has no other to compare with"


def test_summary_has_mean_spread_and_the_interval_over_forget_sets() -> None:
    runs = with_gaps(
        frame({"retrain": [90.0, 80.0, 94.0, 84.0], "ft": [95.0, 90.0]}),
        ["forget_accuracy", "ft_auc"],
    )
    summary = summarise(runs, {("full", 0.1, 1, "ft", "ft_auc"): (1.0, 2.0)})
    rows = summary.set_index(["label", "metric"]).to_dict("index")
    row = rows["ft", "forget_accuracy"]
    assert row["n"] == row["sets"] == 2 and row["mean"] == 92.5 and row["gap"] == 5.5
    assert row["std"] == pytest.approx(np.std([95, 90], ddof=1))
    assert row["high"] - row["mean"] == pytest.approx(12.7062 * row["std"] / math.sqrt(2), rel=1e-4)
    retrain = rows["retrain", "forget_accuracy"]
    assert (retrain["n"], retrain["sets"]) == (4, 2), "runs on one forget set are one"
    assert retrain["mean"] - retrain["low"] == pytest.approx(12.7062 * 10 / 2, rel=1e-4)
    assert (rows["ft", "ft_auc"]["low"], rows["ft", "ft_auc"]["high"]) == (1.0, 2.0), (
        "as in attacks"
    )


@pytest.mark.slow
def test_intervals_of_rows_and_of_retrain_hold_what_they_promise() -> None:
    draw = RNG(11)
    held = []
    for _ in range(400):
        level = draw.normal(90, 3, 5)
        rows = [
            {"label": label, "access": "full", "fraction": 0.1, "request": 1, "forget_seed": s}
            | {"forget_accuracy": level[s] + draw.normal()}
            for s in range(5)
            for label in ["retrain"] * 4 + ["ft"]
        ]
        summary = summarise(pd.DataFrame(rows), {})
        held.append((summary["low"] <= 90) & (summary["high"] >= 90))
    assert np.mean(held, axis=0) == pytest.approx([0.95, 0.95], abs=0.03)


def test_each_row_has_a_band_of_its_own() -> None:
    """A row with more runs narrows its own band, and no other's."""
    values = {"retrain": [90.0, 70.0, 94.0, 72.0], "ft": [95.0, 90.0], "more": [95.0, 90.0] * 10}
    runs = with_gaps(frame(values), ["forget_accuracy", "ft_auc"])
    rows = summarise(runs, {}).set_index(["label", "metric"])
    fewer = with_gaps(frame({k: values[k] for k in ("retrain", "ft")}), ["forget_accuracy"])
    alone = summarise(fewer, {}).set_index(["label", "metric"])
    at = ("ft", "forget_accuracy")
    band, single = rows["band"].to_dict(), rows["band_single"].to_dict()
    assert band[at] == alone["band"].to_dict()[at] < single[at]
    assert band["more", "forget_accuracy"] < band[at]
    assert usual_number(runs) == 2, "where two numbers are as usual, the one that promises less"


def test_noise_band_is_the_scatter_of_retrains_within_forget_sets() -> None:
    values = {"retrain": [90.0, 70.0, 94.0, 72.0], "ft": [95.0, 90.0]}
    runs = with_gaps(frame(values), ["forget_accuracy", "ft_auc"])
    variance = (np.var([90, 94], ddof=1) + np.var([70, 72], ddof=1)) / 2
    band = student.ppf(0.975, 2) * math.sqrt(variance * (1 / 2 + 1 / 4))
    assert noise_band(runs, "forget_accuracy", 2) == pytest.approx(band)
    own = runs.loc[runs["label"] == "retrain", "avg_gap"]
    edge = own.mean() + student.ppf(0.975, 3) * own.std(ddof=1) / math.sqrt(2)
    assert noise_band(runs, "avg_gap", 2) == pytest.approx(edge)
    alone = frame({"retrain": [90.0, 70.0], "ft": [95.0, 90.0]})
    assert math.isnan(noise_band(with_gaps(alone, ["ft_auc"]), "ft_auc", 2))
    assert summarise(runs, {})["band"].notna().all()


@pytest.mark.slow
def test_the_band_holds_a_retrain_as_often_as_promised() -> None:
    draw = RNG(6)
    inside = []
    for _ in range(300):
        sets = draw.normal(90, 3, 5)
        rows = [
            {"label": label, "access": "full", "fraction": 0.1, "request": 1, "forget_seed": s}
            | {"forget_accuracy": level + draw.normal()}
            for s, level in enumerate(sets)
            for label in ["retrain"] * 4 + ["another"]
        ]
        runs = with_gaps(pd.DataFrame(rows), ["forget_accuracy"])
        gap = runs.loc[runs["label"] == "another", "forget_accuracy_gap"].mean()
        inside.append(abs(gap) < noise_band(runs, "forget_accuracy", 5))
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)


def judged(gap: float, word: str = "different") -> Verdict:
    draw = RNG(7)
    one = part(draw.normal(gap, 1, 200), draw.normal(size=300))
    zero = part(draw.normal(size=200), draw.normal(size=300))
    auc, apart = (Uncertain.of(combine(parts)) for parts in ([one], [one.minus(zero)] * 3))
    finding = Finding("rmia", "x", 3, apart, None, 2.0, 1.0, False, 0.001, word=word)
    return Verdict("x", 3, 1, auc, 0.0, {}, 50.0, finding)


def test_gates() -> None:
    assert flags(judged(0.0), 0.0, False, 5) == []
    assert flags(judged(0.0), -5.1, False, 5) == ["utility lost"]
    assert flags(judged(1.0), 0.0, True, 5) == ["no-op"]
    assert flags(judged(-1.0), 0.0, False, 5) == ["over-forgets"]
    assert flags(judged(-1.0, "inconclusive"), 0.0, False, 5) == [], "perhaps it is chance"
    assert flags(judged(1.0), 0.0, False, 5) == [], "forgetting too little is no such flag"
    assert has_power(judged(1.0)) and not has_power(judged(0.0)) and not has_power(None)


def test_broken_runs_are_named() -> None:
    index = [np.arange(i, i + 2) for i in (0, 2, 4)]
    samples = Samples(index[0], index[1], index[2], index[2])
    good = {"margin": np.zeros(6, dtype=np.float32), "member": np.array([0, 0, 1, 1, 0, 0]) > 0}
    assert broken(good, samples, unlearned=True) is None
    bad = good | {"margin": np.array([0, 1, np.nan, 0, 0, 0])}
    assert broken(bad, samples, unlearned=True) == "its margin is not finite"
    seen = good | {"member": np.array([1, 0, 1, 1, 0, 0]) > 0}
    assert "trained on samples it must not have seen" in str(broken(seen, samples, unlearned=True))
    assert broken(seen, samples, unlearned=False) is None, "the original has seen them"
    overlap = Samples(index[0], np.arange(1, 4), index[2], index[2])
    assert "overlap" in str(broken(good, overlap, unlearned=True))
    others = Samples(index[0], index[1], index[2], index[1])
    assert "non-members are among" in str(broken(good, others, unlearned=True))


def test_ulira_tells_what_was_forgotten_badly_and_nothing_of_retraining() -> None:
    draw = RNG(8)
    worlds, n = 16, 200
    mu = draw.normal(0, 2, n)
    forgotten = []
    for _ in range(worlds // 2):
        order = draw.permutation(n)
        forgotten += [np.sort(order[: n // 2]), np.sort(order[n // 2 :])]
    found = {}
    for name, trace in (("retrain", 0.0), ("leaks", 1.0), ("over", -1.0)):
        margins = [mu + trace * np.isin(np.arange(n), f) + draw.normal(size=n) for f in forgotten]
        found[name] = combine([one.part for one in ulira(margins, forgotten)])
    assert found["retrain"].value == pytest.approx(50, abs=3)
    low, high = found["retrain"].interval()
    assert low < 50 < high and found["leaks"].interval()[0] > 60
    assert found["over"].interval()[0] > 60, "forgetting too much gives samples away as well"


@pytest.mark.parametrize("audited", ["random", "most-memorised", "class"])
def test_ulira_of_retrains_is_calibrated_whatever_is_audited(audited: SplitKind) -> None:
    """A model retrained without its forget set reads 50, and its interval covers 50 as it says.

    The audited samples differ from the others and among themselves, in level and in spread.
    """
    draw, pool, labels = RNG(18), 400, np.arange(400) % 8
    fraction = 1.0 if audited == "class" else 0.2
    splits = [
        Split(kind="shadow", audited=audited, fraction=fraction, seed=3, requests=8, request=r)
        for r in range(1, 9)
    ]
    made = [cut(split, labels, 200, order=lambda count: np.arange(count)) for split in splits]
    forgotten = [world.forget for world in made]
    level, spread = np.linspace(4, -4, pool) + 2 * (labels == 3), np.linspace(0.3, 3, pool)
    found = []
    for _ in range(150):
        margins = [level + spread * draw.normal(size=pool) for _ in made]
        found.append(combine([one.part for one in ulira(margins, forgotten)]))
    values = np.array([one.value for one in found])
    assert abs(values.mean() - 50) < 3 * values.std() / math.sqrt(len(values))
    covered = [low <= 50 <= high for low, high in (one.interval() for one in found)]
    assert 0.9 <= np.mean(covered) <= 1
    leaky = [
        level + spread * (draw.normal(size=pool) + np.isin(np.arange(pool), f)) for f in forgotten
    ]
    assert combine([one.part for one in ulira(leaky, forgotten)]).interval()[0] > 50


def test_every_metric_says_what_is_better() -> None:
    for name, metric in (METRICS | COSTS).items():
        said = metric.better is not None or metric.ideal is not None
        assert said == (metric.kind != "level") and name == metric.name, name
        assert said == any(sign in metric.heading for sign in "↓↑→"), name
