"""Each shipped audit of models: the contract that all keep, and closed forms of what they use."""

from __future__ import annotations

import copy
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from sklearn.linear_model import LogisticRegression
from torch import nn

from unlearnbench import registry
from unlearnbench.authoring import Case, ModelAudit
from unlearnbench.execution.contract import CLASSES, RECIPE, examples, small_model
from unlearnbench.guarding.guard import guarded
from unlearnbench.toolkit import Examples, outputs, train
from unlearnbench.toolkit.recorder import Recorder, recording

AUDITS = registry.find("model_audits")


def module(name: str) -> ModuleType:
    return AUDITS[name].load()


def audit(name: str, **settings: object) -> ModelAudit:
    return registry.build(registry.audit_class(AUDITS[name]), name, settings)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return train(small_model(0), examples(48), seed=0)


def case(**changes: Any) -> Case:
    everything = examples(48)
    given: dict[str, Any] = {
        "pool": everything,
        "retain": everything.select(torch.arange(8, 32)),
        "forget": torch.arange(8),
        "test": torch.arange(32, 48),
        "classes": CLASSES,
        "seed": 5,
        "record": {},
        "retrain": train(small_model(1), everything.select(torch.arange(8, 32)), seed=1).eval(),
    }
    return Case(**given | changes)


@pytest.mark.parametrize("name", AUDITS)
def test_contract(name: str, model: nn.Module) -> None:
    asked, looked_at = audit(name), case()
    retrain = looked_at.retrain
    assert retrain is not None
    kind = type(asked)
    assert kind.__doc__ and kind.title and kind.about.endswith(".")
    assert kind.paper.startswith("https://") and "Source:" in kind.__doc__
    before = copy.deepcopy((looked_at.pool.images, retrain.state_dict()))
    with guarded() as left:
        first, second = (asked.logits(copy.deepcopy(model), looked_at) for _ in range(2))
    assert left.changed == [], "every draw comes from case.seed, and nothing else is changed"
    assert torch.equal(first, second) and first.isfinite().all()
    assert first.shape == (48, CLASSES)
    assert torch.equal(before[0], looked_at.pool.images)
    for key, value in retrain.state_dict().items():
        assert torch.equal(before[1][key], value)


def test_cka_is_one_up_to_rotation_scale_and_shift() -> None:
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(30, 6, generator=generator, dtype=torch.float64)
    other = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    turn, _ = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64))
    cka = module("probe").cka
    assert cka(one, one) == pytest.approx(1, abs=1e-12)
    assert cka(one, 3 * one @ turn + 7) == pytest.approx(1, abs=1e-12)
    assert cka(one, other) == pytest.approx(cka(one @ turn, other), abs=1e-12)
    assert cka(one, torch.ones(30, 4, dtype=torch.float64)) is None
    # As the paper defines it, by kernels of samples instead of features.
    h = np.eye(30) - 1 / 30
    k, m = (h @ x.numpy() @ x.numpy().T @ h for x in (one, other))
    hsic = (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())
    assert cka(one, other) == pytest.approx(hsic, abs=1e-12)


def test_features_are_what_the_last_layer_is_given(model: nn.Module) -> None:
    pool = examples(48)
    features = module("probe").features(model, pool)
    last = [layer for layer in model.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        logits = last(features.float())
    assert torch.allclose(logits, outputs(model, pool), atol=1e-5)


def test_the_probe_is_the_logistic_regression_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(90, 5, generator=generator, dtype=torch.float64)
    labels = (features[:, 0] + torch.randn(90, generator=generator) > 0).long()
    labels += (features[:, 1] > 0.5).long()
    fitted = audit("probe", penalty=0.01).fitted(features, labels, 3)  # type: ignore[attr-defined]
    other = LogisticRegression(C=1 / (0.01 * 90), fit_intercept=False, tol=1e-8, max_iter=1000)
    other.fit(features.numpy(), labels.numpy())
    assert np.allclose(fitted.numpy(), other.coef_.T, atol=1e-3)


def test_a_class_that_is_gone_is_never_the_probes_answer(model: nn.Module) -> None:
    everything = examples(48)
    kept = everything.select(everything.labels > 0)
    recorder = Recorder()
    with recording(recorder):
        logits = audit("probe").logits(model, case(retain=kept))
    assert logits.isfinite().all() and not (logits.argmax(1) == 0).any()
    assert recorder.notes["probe"]["converged"]
    assert 0 < recorder.notes["cka_forget"] <= 1 and 0 < recorder.notes["cka_test"] <= 1


def test_points_are_uniform_in_the_ball() -> None:
    count, side, radius = 2000, 3, 0.2
    grey = torch.full((count, 1, side, side), 0.5)
    labels = torch.zeros(count, dtype=torch.int64)
    clean = Examples(grey, labels, labels.bool(), RECIPE)
    nearby = module("perturbed").nearby
    moved = nearby(clean, torch.full((count,), radius), 7).images - grey
    share = (moved.flatten(1).norm(dim=1) / radius) ** side**2
    assert kstest(share.numpy(), "uniform").pvalue > 0.01
    assert moved.mean((0, 1, 2, 3)).abs() < 4 * moved.std() / moved.numel() ** 0.5
    far = nearby(clean, torch.full((count,), 5.0), 7).images
    assert far.min() == 0 and far.max() == 1, "what leaves [0, 1] is cut off"


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ({}, [0.7, 0.7, 0.7]),
        ({"adversarial search": {"distances": [0.1, None, 0.3]}}, [0.1, 0.7, 0.3]),
        ({"adversarial search": {"distances": [0.1, 0.3]}}, [0.7, 0.7, 0.7]),
    ],
)
def test_the_radius_is_the_distance_that_the_run_found(
    notes: dict[str, Any], expected: list[float]
) -> None:
    looked_at = case(forget=torch.arange(3), record={"notes": notes})
    radii = audit("perturbed", radius=0.7).radii(looked_at)  # type: ignore[attr-defined]
    assert radii.tolist() == pytest.approx(expected)


def test_only_outputs_on_forget_samples_are_others(model: nn.Module) -> None:
    recorder, looked_at = Recorder(), case()
    with recording(recorder):
        logits = audit("perturbed").logits(model, looked_at)
    plain = outputs(model, looked_at.pool)
    assert torch.equal(logits[8:], plain[8:])
    assert not (logits[:8] == plain[:8]).all(1).any()
    note = recorder.notes["perturbed"]
    assert note["mean radius"] == 0.5 and 0 <= note["retrain"]["confidence"] <= 1
