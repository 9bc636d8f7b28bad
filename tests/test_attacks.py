"""Attacks against closed forms on a toy, and against the mistakes that are known."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm
from sklearn.svm import SVC

from tests.toys import toy
from unlearnbench.audits import lira, references
from unlearnbench.audits.attacks import (
    ATTACKS,
    OFFLINE,
    Samples,
    View,
    _decide,
    mis,
    score,
    svc_scores,
)
from unlearnbench.audits.references import ReferenceModels, of_halves
from unlearnbench.audits.roc import auc
from unlearnbench.data.splits import reference_members
from unlearnbench.errors import UserError
from unlearnbench.evaluation.evaluate import evaluate
from unlearnbench.execution.signals import signals

RNG = np.random.default_rng
ORACLE = float(norm.cdf(1 / math.sqrt(2)))
N = 20_000


def attack(scores: np.ndarray) -> float:
    half = len(scores) // 2
    return auc(scores[:half], scores[half:]) / 100


def by_definition(ratio: np.ndarray, gamma: float, *, strict: bool) -> np.ndarray:
    """Score(x) = share of z with (P(x|t)/P(x)) / (P(z|t)/P(z)) >= gamma, by outer product."""
    likelihood = np.divide.outer(ratio, ratio)
    found: np.ndarray = (likelihood > gamma if strict else likelihood >= gamma).mean(1)
    return found


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_rmia_by_sorted_search_is_the_outer_product(gamma: float, strict: bool) -> None:
    draw = RNG(1)
    ratio = np.round(2.0 ** draw.integers(-6, 7, 2000) * (1 + draw.integers(0, 9, 2000) / 8), 9)
    found = references.share_above(ratio, ratio, gamma=gamma, strict=strict)
    assert np.array_equal(found, by_definition(ratio, gamma, strict=strict))


def test_negative_ratios_are_compared_as_the_outer_product_compares_them() -> None:
    draw = RNG(4)
    ratio = 2.0 ** draw.integers(-6, 7, 1000) * draw.choice([-1, 1], 1000)
    found = references.share_above(ratio, ratio, gamma=2.0, strict=True)
    assert np.array_equal(found, by_definition(ratio, 2.0, strict=True))


def test_rmia_of_the_paper_is_its_formula_where_the_cubic_is_negative() -> None:
    """Outer products of SM-Taylor probabilities straight from logits: T = 2, m = 0.6, gamma = 2."""
    draw = RNG(5)
    labels, none = np.arange(300) % 3, np.zeros(300, dtype=bool)

    def as_written(logits: np.ndarray) -> np.ndarray:
        probabilities = []
        for row, label in zip(logits.astype(np.float64) / 2, labels, strict=True):
            raised = [c - 0.6 if place == label else c for place, c in enumerate(row)]
            terms = [sum(c**k / math.factorial(k) for k in range(4)) for c in raised]
            probabilities.append(terms[label] / sum(terms))
        return np.array(probabilities)

    logits = draw.normal(0, 4, (9, 300, 3)).astype(np.float32)
    p = np.stack([as_written(of_model) for of_model in logits])
    assert (p < 0).mean() > 0.05 and (p > 1).mean() > 0.05, "no probabilities"
    made = [signals(of_model, labels, none) for of_model in logits]
    assert np.allclose([one["sm_taylor_exact"] for one in made], p, rtol=1e-5)
    clamped = np.stack([one["sm_taylor"] for one in made])
    assert ((clamped >= 0) & (clamped <= 1)).all()
    member = reference_members(300, 8, seed=6)
    bank = ReferenceModels.join(
        [one | {"member": inside} for one, inside in zip(made[1:], member, strict=True)]
    )
    view = View(made[0], Samples(*np.arange(4).reshape(4, 1)))
    expected = by_definition(p[0] / p[1:].mean(0), 2.0, strict=True)
    assert score("rmia-paper", view, bank) == pytest.approx(expected, abs=1e-12)
    held = by_definition(clamped[0] / clamped[1:].astype(np.float64).mean(0), 2.0, strict=True)
    assert score("rmia-clamped", view, bank) == pytest.approx(held, abs=1e-12)
    assert np.abs(expected - held).mean() > 0.05


def test_undefined_probabilities_are_of_no_member() -> None:
    logits = np.array([[1.2, -6.0, 0.0], [3.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    made = signals(logits, np.zeros(3, dtype=np.int64), np.ones(3, dtype=bool))
    assert made["sm_taylor_exact"][0] == 0, "its three cubics are 1, -2 and 1"
    means = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, 1.0]])  # of the second, 0
    bank = ReferenceModels(means, means, np.array([[True] * 3, [False] * 3]), means)
    found = score("rmia-paper", View(made, Samples(*[np.arange(1)] * 4)), bank)
    assert list(found) == [0, 0, pytest.approx(2 / 3)]


def test_rmia_score_ranks_as_its_ratio_up_to_ties() -> None:
    draw = RNG(2)
    ratio = np.exp(draw.normal(0, 2, 4000) + (np.arange(4000) < 2000))
    found = references.share_above(ratio, ratio, gamma=2.0)
    assert (np.diff(found[np.argsort(ratio)]) >= 0).all(), "a monotone function of the ratio"
    assert attack(found) == pytest.approx(attack(ratio), abs=0.002)


def test_rmia_of_sixty_thousand_against_sixty_thousand_takes_no_time() -> None:
    ratio = np.exp(RNG(3).normal(size=60_000))
    took = []
    for _ in range(3):
        start = time.perf_counter()
        references.share_above(ratio, ratio, gamma=2.0)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.2


@pytest.mark.parametrize(
    ("out", "difference", "mean", "online"),
    [
        (1, 0.6915, 0.718, 0.623),
        (2, 0.7181, 0.7365, 0.669),
        (4, 0.7365, 0.7475, 0.711),
        (8, 0.7475, 0.7536, 0.738),
        (16, 0.7536, 0.7569, 0.748),
    ],
)
def test_closed_forms_of_the_toy(out: int, difference: float, mean: float, online: float) -> None:
    assert difference == pytest.approx(norm.cdf(1 / math.sqrt(2 * (1 + 1 / out))), abs=6e-5)
    assert mean == pytest.approx(norm.cdf(1 / math.sqrt(2 * (1 + 1 / (2 * out)))), abs=5e-4)
    target, bank = toy(N, 2 * out, seed=out)
    found = bank.gaussians
    assert attack(lira.offline(target, found.outside)) == pytest.approx(difference, abs=0.007)
    middle = (found.inside.mean + found.outside.mean) / 2
    assert attack(target - middle) == pytest.approx(mean, abs=0.007)
    assert attack(lira.online(target, found)) == pytest.approx(online, abs=0.007)


def test_no_attack_beats_the_oracle() -> None:
    target, bank = toy(N, 16, seed=5)
    samples = Samples(*(np.arange(0), np.arange(0), np.arange(0), np.arange(0)))
    p, bank_p = expit(target), expit(bank.margin)
    view = View({"margin": target, "sm_taylor": p, "sm_taylor_exact": p}, samples)
    probability = ReferenceModels(bank.margin, bank_p, bank.member, bank_p)
    found = {
        name: attack(score(name, view, probability))
        for name in ATTACKS
        if name not in ("svc", "class")
    }
    assert max(found.values()) < ORACLE + 0.005
    assert found["loss"] == pytest.approx(0.6241, abs=0.007), "delta / sqrt(2 (1 + 2^2))"
    assert found["rmia"] == pytest.approx(0.7255, abs=0.007)
    assert found["lira-offline"] == pytest.approx(0.7475, abs=0.007)
    assert found["lira"] == pytest.approx(0.738, abs=0.007)


def test_offline_lira_as_published_code_has_it_is_nearly_random() -> None:
    target, bank = toy(N // 2, 128, seed=6)
    outside = lira.fit_as_reference_code(bank.margin, bank.member)
    assert attack(lira.offline(target, bank.gaussians.outside)) == pytest.approx(0.7595, abs=0.01)
    code = attack(lira.offline_as_reference_code(target, outside))
    assert code == pytest.approx(0.6345, abs=0.012)


def test_variance_is_each_samples_own_from_64_references() -> None:
    _, small = toy(50, 62, seed=7)
    _, large = toy(50, 64, seed=7)
    assert np.ndim(small.gaussians.inside.sd) == 0 and np.shape(large.gaussians.inside.sd) == (100,)
    assert small.gaussians.inside.sd == pytest.approx(1.0, abs=0.05), "not that of the levels, 2.2"


@pytest.mark.parametrize(("k", "wrong"), [(4, 0.376), (16, 0.366), (128, 0.362)])
def test_references_on_training_halves_only_would_bias_retraining(k: int, wrong: float) -> None:
    """Test samples are out of every reference; the target was trained on neither group.

    The AUC is Phi(-delta / (2 sigma sqrt(2 (1 + 1/K)))) where guessing would be right.
    """
    draw = RNG(2)
    n = N if k < 100 else N // 4
    mu = draw.normal(0, 2, 2 * n)
    target = mu + draw.normal(0, 1, 2 * n)

    def guess(member: np.ndarray) -> float:
        phi = mu + member + draw.normal(0, 1, (k, 2 * n))
        return attack(target - phi.mean(0))

    halves = reference_members(n, k, seed=3)
    biased = np.concatenate((halves, np.zeros((k, n), dtype=bool)), axis=1)
    assert wrong == pytest.approx(norm.cdf(-1 / (2 * math.sqrt(2 * (1 + 1 / k)))), abs=6e-4)
    assert guess(biased) == pytest.approx(wrong, abs=0.012)
    assert guess(reference_members(2 * n, k, seed=3)) == pytest.approx(0.5, abs=0.012)


@pytest.mark.parametrize(("k", "wrong"), [(4, 0.793), (8, 0.775), (16, 0.767), (64, 0.762)])
def test_a_target_from_the_balanced_bank_would_beat_the_oracle(k: int, wrong: float) -> None:
    """The raw mean over the others tells which model was left out: a leak of the design."""
    _, bank = toy(N if k < 64 else N // 2, k, seed=8)
    inside = bank.member[0]
    rest, member = bank.margin[1:], bank.member[1:]
    leaky = bank.margin[0] - rest.mean(0)
    assert wrong == pytest.approx(norm.cdf(math.sqrt(k / (k - 1)) / math.sqrt(2)), abs=6e-4)
    assert auc(leaky[inside], leaky[~inside]) / 100 == pytest.approx(wrong, abs=0.008)
    ours = bank.margin[0] - references.online(rest, member)
    assert auc(ours[inside], ours[~inside]) / 100 < ORACLE + 0.004


def test_references_of_pure_noise_leave_the_null_alone() -> None:
    draw = RNG(9)
    target, bank = toy(N, 8, seed=9, delta=0.0)
    noise = draw.normal(0, 5, (8, 2 * N))
    member = reference_members(2 * N, 8, seed=10)
    more = ReferenceModels(
        np.concatenate((bank.margin, noise)),
        np.concatenate((bank.sm_taylor, noise)),
        np.concatenate((bank.member, member)),
    )
    for one in (bank, more):
        assert attack(lira.online(target, one.gaussians)) == pytest.approx(0.5, abs=0.012)
        assert attack(expit(target) / one.online) == pytest.approx(0.5, abs=0.012)


def test_complementing_who_was_trained_on_what_exchanges_in_and_out() -> None:
    target, bank = toy(200, 8, seed=11)
    other = ReferenceModels(bank.margin, bank.sm_taylor, ~bank.member)
    assert np.array_equal(bank.gaussians.inside.mean, other.gaussians.outside.mean)
    assert np.allclose(lira.online(target, bank.gaussians), -lira.online(target, other.gaussians))
    assert np.array_equal(bank.online, other.online)


def test_offline_constant_is_chosen_on_references() -> None:
    _, bank = toy(2000, 16, seed=12)
    assert bank.offline_a in np.round(np.linspace(0, 1, 11), 1)
    _, small = toy(100, 4, seed=12)
    assert small.offline_a == references.DEFAULT_A
    assert references.offline(np.array([0.4, 0.8]), 0.3) == pytest.approx(
        [(1.3 * 0.4 + 0.7) / 2, (1.3 * 0.8 + 0.7) / 2]
    )


def test_svc_by_hand() -> None:
    retain, test = np.full(200, 0.99), np.full(100, 0.3)
    forget = np.array([0.99, 0.98, 0.31, 0.3])
    assert mis(retain, test, forget) == 50.0
    # Told from test samples where it looks like retain samples, and from nothing where it does not.
    draw = RNG(13)
    retain, test = draw.normal(0.1, 0.05, 400), draw.normal(0.6, 0.2, 300)
    leak, clean = draw.normal(0.1, 0.05, 100), draw.normal(0.6, 0.2, 100)
    assert auc(*svc_scores(retain, test, leak)) > 90
    assert auc(*svc_scores(retain, test, clean)) == pytest.approx(50, abs=8)


@pytest.mark.parametrize("spread", [0.0, 1e-6, 1.0, 40.0, 1e5])
def test_svc_decides_as_libsvm_does(spread: float) -> None:
    draw = RNG(3)
    model = SVC(C=3, kernel="rbf", gamma="auto")
    model.fit(draw.exponential(2.0, 400)[:, None], draw.integers(0, 2, 400))
    values = spread * draw.random(300)
    own, theirs = _decide(model, values), model.decision_function(values[:, None])
    np.testing.assert_allclose(own, theirs, atol=1e-9)


def test_svc_with_equal_values_joined_is_the_plain_one() -> None:
    draw = RNG(14)
    retain, test = expit(draw.normal(5, 3, 600)), expit(draw.normal(3, 3, 600))
    forget = expit(draw.normal(4, 3, 500))
    plain = SVC(C=3, kernel="rbf", gamma="auto")
    plain.fit(np.concatenate((retain, test))[:, None], np.repeat([1, 0], 600))
    share = 100 * (plain.predict(forget[:, None]) == 0).mean()
    assert mis(retain, test, forget) == pytest.approx(share, abs=0.5)


def test_saturated_confidences_are_drawn_like_others() -> None:
    """Of members of whom two thirds are at 1, as of an overconfident net, two thirds are fitted."""
    draw = RNG(1)
    retain, test = expit(draw.normal(25, 16, 8000)), expit(draw.normal(16, 15, 500))
    forget = expit(draw.normal(16, 15, 800))
    assert 0.6 < (retain.astype(np.float32) == 1).mean() < 0.75
    some = [mis(draw.choice(retain, 500, replace=False), test, forget) for _ in range(5)]
    assert mis(retain, test, forget) == pytest.approx(np.mean(some), abs=3)


def test_order_of_samples_changes_nothing() -> None:
    draw = RNG(15)
    retain, test, forget = (draw.normal(m, 1, n) for m, n in ((0, 300), (1, 200), (0.5, 100)))
    at_forget, at_test = svc_scores(retain, test, forget)
    again = svc_scores(retain[::-1], test[::-1], forget[::-1])
    assert np.allclose(again[0], at_forget[::-1]) and np.allclose(again[1], at_test[::-1])


def test_without_references_only_attacks_without_them_are_possible() -> None:
    some = np.zeros(4)
    signals = dict.fromkeys(("margin", "sm_taylor", "sm_taylor_exact", "modified_entropy"), some)
    view = View(signals, Samples(*np.arange(4).reshape(4, 1)))
    found = [name for name, attack in ATTACKS.items() if attack.possible(view, None)]
    assert found == ["loss", "svc"]


def test_samples_in_all_references_are_left_out_of_attacks_that_need_them() -> None:
    count, draw = 200, RNG(5)
    target, _ = toy(count, 4, seed=1)
    member = draw.random((4, 2 * count)) < 0.5  # random halves: some samples are in all of them
    margin = draw.normal(size=member.shape) + member
    models = ReferenceModels(margin, margin, member, margin)
    lost = np.flatnonzero(member.all(0))
    assert 0 < len(lost) < count and not of_halves(member)
    where = np.arange(2 * count)
    samples = Samples(where[:50], where[50:count], where[count:], where[count:])
    seen_of = View({"margin": target, "correct": target > 0, "label": where % 3}, samples)
    found = evaluate(
        seen_of, models, ["lira-offline", "lira-offline-code", "loss"], 0, None, OFFLINE
    )
    for attack, one in found.attacks.items():
        kept = samples.forget if attack == "loss" else np.setdiff1d(samples.forget, lost)
        assert one.part.forget.tolist() == kept.tolist(), attack
    assert found.values["forget_accuracy"] == 100 * (target[:50] > 0).mean()
    known = ~member.all(0)
    few = margin[:, known]
    others = ReferenceModels(few, few, member[:, known], few)
    scores = ATTACKS["lira-offline"].score(View({"margin": target[known]}, samples), others)
    again = ATTACKS["lira-offline"].score(seen_of, models)
    assert np.allclose(again[known], scores), "those left out change nothing for the others"


def test_references_that_have_seen_most_samples_are_refused() -> None:
    member = np.arange(10) < np.array([[6], [5]])
    with pytest.raises(UserError, match=r"^5 of 10 samples are in all of the references.*in pairs"):
        of_halves(member)
    assert not of_halves(member, np.arange(3, 10))


def test_attacks_that_lack_a_signal_are_not_possible() -> None:
    target, bank = toy(20, 4, seed=1)
    old = View({"margin": target, "sm_taylor": expit(target)}, Samples(*[np.arange(1)] * 4))
    both = ReferenceModels(bank.margin, bank.sm_taylor, bank.member, bank.sm_taylor)
    new = View({**old.signals, "sm_taylor_exact": target}, old.samples)
    for view, models in ((old, both), (new, bank)):
        found = {name for name, attack in ATTACKS.items() if attack.possible(view, models)}
        assert set(ATTACKS) - found == {"rmia-paper", "svc", "class"}


@pytest.mark.parametrize(
    ("d", "values"), [(1000, (0.841, 0.689, 0.5, 0.327)), (100, (0.624, 0.562, 0.5, 0.444))]
)
def test_unlearning_a_mean_in_part_in_full_and_too_far(d: int, values: tuple[float, ...]) -> None:
    """The mean of n points, unlearned to u = mean + lambda (retrained mean - mean), score <x, u>.

    With c_F = (1 - l) n_f / n and c_R = (1 - l) n_r / n + l, AUC is close to
    Phi((d c_F / n_f) / sqrt(2 d (c_F^2 / n_f + c_R^2 / n_r))): below one half beyond retraining.
    """
    n, n_f, draw = 500, 50, RNG(16)
    found: dict[float, list[float]] = {0.0: [], 0.5: [], 1.0: [], 1.5: []}
    for _ in range(40):
        points, test = draw.normal(size=(n, d)), draw.normal(size=(300, d))
        mean, retrained = points.mean(0), points[n_f:].mean(0)
        for share, aucs in found.items():
            unlearned = mean + share * (retrained - mean)
            aucs.append(auc(points[:n_f] @ unlearned, test @ unlearned) / 100)
    for (share, aucs), value in zip(found.items(), values, strict=True):
        c_f, c_r = (1 - share) * n_f / n, (1 - share) * (n - n_f) / n + share
        spread = math.sqrt(2 * d * (c_f**2 / n_f + c_r**2 / (n - n_f)))
        assert value == pytest.approx(norm.cdf(d * c_f / n_f / spread), abs=1e-3)
        assert np.mean(aucs) == pytest.approx(value, abs=0.015)
