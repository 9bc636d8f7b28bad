"""What each method hands to the training loop, seen from outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch

from unlearnbench import registry
from unlearnbench.errors import MethodError
from unlearnbench.execution.contract import RECIPE, Examination, examples, small_model
from unlearnbench.toolkit import Examples, saliency_mask, train


def load(name: str, **settings: Any) -> tuple[Examination, ModuleType]:
    plugin = registry.find("methods")[name]
    method = registry.build(registry.method_class(plugin), name, settings)
    return Examination(method), plugin.load()


class Spy:
    """Stand in for `finetune` and remember what it was called with."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def __call__(self, model: Any, examples: Any, **settings: Any) -> Any:
        self.calls.append({"examples": examples, **settings})
        return model


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Examination, Spy]]:
    def load_spied(name: str, **settings: Any) -> tuple[Examination, Spy]:
        # a shorter search than anybody's finds its examples as well
        few = {"steps": 10} if name.startswith("amun") else {}
        trial, module = load(name, **few, **settings)
        spy = Spy()
        monkeypatch.setattr(module, "finetune", spy)
        return trial, spy

    return load_spied


@pytest.mark.parametrize("name", ["amun", "amun-adaptive"])
@pytest.mark.parametrize("retain", [True, False])
def test_amun_trains_on_forget_retain_and_adversarial_sets(
    spied: Callable[..., tuple[Examination, Spy]], name: str, retain: bool
) -> None:
    trial, spy = spied(name)
    task = trial.task(8, retain=retain)
    trial.method.unlearn(trial.model, task)
    examples: Examples = spy.calls[0]["examples"]
    assert len(examples) == 8 + 8 + (40 if retain else 0)
    adversarial, forget = examples.select(torch.arange(8)), examples.select(torch.arange(8, 16))
    assert not adversarial.augment.any(), "D_A is not augmented"
    assert examples.augment[8:].all(), "D_F and D_R are"
    assert torch.equal(forget.labels, task.forget.labels), "D_F keeps its true labels"
    assert (adversarial.labels != task.forget.labels).all()
    with torch.no_grad():
        predicted = task.original(adversarial.images).argmax(1)
    assert torch.equal(adversarial.labels, predicted), "D_A has the model's own wrong labels"


def test_amun_searches_on_the_original_and_amun_adaptive_on_the_current_model(
    spied: Callable[..., tuple[Examination, Spy]],
) -> None:
    made = {}
    for name in ("amun", "amun-adaptive"):
        trial, spy = spied(name)
        current = trial.unlearn(trial.task(8))  # stands for what an earlier request left
        model = trial.model
        task = trial.task(8)
        for value in current.values():
            if value.is_floating_point():
                value += 0.05 * torch.ones_like(value)
        model.load_state_dict(current)
        trial.method.unlearn(model, task)
        made[name] = spy.calls[-1]["examples"].images[:8]
    assert not torch.equal(made["amun"], made["amun-adaptive"])


def test_amun_adaptive_has_amuns_settings() -> None:
    amun, adaptive = (type(load(name)[0].method).model_fields for name in ("amun", "amun-adaptive"))
    assert len(adaptive) >= 6
    assert {name: repr(field) for name, field in adaptive.items()} == {
        name: repr(amun[name]) for name in adaptive
    }


def test_amun_may_take_its_examples_from_another_original(
    spied: Callable[..., tuple[Examination, Spy]],
) -> None:
    trial, spy = spied("amun", source="other")
    assert trial.method.needs_other and not load("amun")[0].method.needs_other
    task = trial.task(8)
    with pytest.raises(MethodError, match="needs another original"):
        trial.method.unlearn(trial.model, task)
    other = train(small_model(1), examples(48), seed=1).eval()
    trial.method.unlearn(trial.model, replace(task, other=other))
    adversarial = spy.calls[0]["examples"].select(torch.arange(8))
    with torch.no_grad():
        assert torch.equal(adversarial.labels, other(adversarial.images).argmax(1))
        assert (adversarial.labels != task.forget.labels).all()


@pytest.mark.parametrize(
    ("pairs", "what"), [("adv-rl", "labels"), ("orig-rl", "labels"), ("adv-rs", "images")]
)
def test_amun_draws_random_stand_ins_anew_each_epoch(
    spied: Callable[..., tuple[Examination, Spy]], pairs: str, what: str
) -> None:
    trial, spy = spied("amun", pairs=pairs)
    for _ in range(2):  # with a fourth class there are two labels to draw from
        trial.method.unlearn(trial.model, replace(trial.task(18), classes=4))
    first, second, again = (
        spy.calls[call]["examples"](epoch) for call, epoch in ((0, 0), (0, 1), (1, 1))
    )
    assert len(first) == 48 + 18
    assert not torch.equal(getattr(first, what)[:18], getattr(second, what)[:18])
    assert torch.equal(getattr(second, what), getattr(again, what)), "from the seed and the epoch"
    assert torch.equal(first.labels[18:], second.labels[18:])


@pytest.mark.parametrize("name", ["amun", "amun-adaptive"])
def test_amun_masks_by_the_original_whatever_earlier_requests_left(
    spied: Callable[..., tuple[Examination, Spy]], name: str
) -> None:
    trial, spy = spied(name, keep=0.3)
    task = trial.task(8)
    task.original.requires_grad_(False)  # as a run hands it over
    current = train(small_model(1), examples(48), seed=1)
    theirs = saliency_mask(current, task.forget, keep=0.3)
    trial.method.unlearn(current, task)
    ours = saliency_mask(task.original, task.forget, keep=0.3)
    assert ours is not None and theirs is not None
    made = spy.calls[0]["mask"]
    assert all(torch.equal(made[name], ours[name]) for name in ours)
    assert not all(torch.equal(made[name], theirs[name]) for name in ours)


def test_amun_keep_freezes_weights() -> None:
    trial, _ = load("amun", keep=0.2, epochs=2, steps=10)
    before = dict(trial.model.named_parameters())
    after = trial.unlearn(trial.task(8))
    same = sum(int((after[n] == p).sum()) for n, p in before.items())
    total = sum(p.numel() for p in before.values())
    assert same >= round(0.8 * total) - 1


def test_salun_freezes_what_it_masks() -> None:
    trial, _ = load("salun", keep=0.4, epochs=2)
    before = dict(trial.model.named_parameters())
    after = trial.unlearn(trial.task(8))
    changed = sum(int((after[n] != p).sum()) for n, p in before.items())
    assert 0 < changed <= round(0.4 * sum(p.numel() for p in before.values()))


@pytest.mark.parametrize("name", ["ft", "l1-sparse"])
def test_fine_tuning_baselines_see_the_retain_set_only(
    spied: Callable[..., tuple[Examination, Spy]], name: str
) -> None:
    trial, spy = spied(name)
    task = trial.task(8)
    trial.method.unlearn(trial.model, task)
    assert spy.calls[0]["examples"] is task.retain


def test_l1_penalty_decays_linearly(spied: Callable[..., tuple[Examination, Spy]]) -> None:
    trial, spy = spied("l1-sparse", alpha=1e-3, epochs=10)
    trial.method.unlearn(trial.model, trial.task(8))
    weights = [spy.calls[0]["l1"](epoch) for epoch in range(10)]
    assert weights == pytest.approx([1e-3 * (1 - e / 10) for e in range(10)])


@pytest.mark.parametrize(("mode", "moves"), [("train", True), ("eval", False)])
def test_gradient_ascent_climbs_and_states_the_mode_of_batchnorm(mode: str, moves: bool) -> None:
    trial, _ = load("ga", lr=0.05, epochs=3, batch_norm=mode)
    task = trial.task(8)
    after = trial.unlearn(task)
    statistics = [n for n in after if n.endswith("running_mean")]
    before = trial.model.state_dict()
    assert any(not torch.equal(before[n], after[n]) for n in statistics) is moves
    model = replace(task).untrained(0)
    model.load_state_dict(after)
    climbed = torch.nn.functional.cross_entropy(
        model.eval()(task.forget.images.float() / 255), task.forget.labels
    )
    start = torch.nn.functional.cross_entropy(
        trial.model.eval()(task.forget.images.float() / 255), task.forget.labels
    )
    assert climbed > start


def test_retrain_ignores_the_model_and_never_sees_the_forget_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trial, module = load("retrain")
    seen: list[Examples] = []

    def spy(model: Any, examples: Examples, *, seed: int) -> Any:
        seen.append(examples)
        return model

    monkeypatch.setattr(module, "train", spy)
    task = trial.task(8)
    made = trial.method.unlearn(trial.model, task)
    assert seen[0] is task.retain and made is not trial.model
    assert seen[0].recipe == RECIPE


def test_retrain_does_not_depend_on_the_original() -> None:
    trial, _ = load("retrain")
    first = trial.unlearn(trial.task(8))
    for parameter in trial.model.parameters():
        parameter.data += 1.0
    second = trial.unlearn(trial.task(8))
    assert all(torch.equal(first[name], second[name]) for name in first)
