"""Update rules against derivations made apart from them: softmax regression in numpy, one step.

The model is z = W x + b, so that the gradient of the cross-entropy is (p - onehot(y)) [x, 1], and
that of KL(q || p) is (p - q) [x, 1]. Momentum and weight decay are off but where they are tested.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from tests.conftest import Parity
from unlearnbench import registry
from unlearnbench.authoring import Task
from unlearnbench.recipe import Recipe
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import Examples

Array = NDArray[np.float64]
CLASSES, SIDE = 3, 2
INPUTS = SIDE * SIDE
LR = 0.1


def regression(seed: int) -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(INPUTS, CLASSES))
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


def examples(seed: int, count: int) -> Examples:
    draw = np.random.default_rng(seed)
    images = torch.from_numpy(draw.integers(0, 256, (count, 1, SIDE, SIDE), dtype=np.uint8))
    labels = torch.from_numpy(draw.integers(0, CLASSES, count))
    recipe = Recipe(batch_size=8, momentum=0.0, weight_decay=0.0)
    return Examples(images, labels, torch.zeros(count, dtype=torch.bool), recipe)


def task(forget: int = 2, retain: int = 5, validation: Examples | None = None) -> Task:
    return Task(
        forget=examples(1, forget),
        retain=examples(2, retain),
        classes=CLASSES,
        seed=3,
        device=torch.device("cpu"),
        recipe=examples(1, 1).recipe,
        original=regression(10).eval(),
        validation=validation,
        build=regression,
    )


def unlearn(name: str, start: nn.Module, request: Task, **settings: Any) -> Array:
    method = registry.build(registry.method_class(registry.find("methods")[name]), name, settings)
    return flat(request.hand_to(method, copy.deepcopy(start)))


def flat(model: nn.Module) -> Array:
    """Return [W b], [classes, inputs + 1]."""
    weight, bias = (p.detach().double().numpy() for p in model.parameters())
    return np.hstack((weight, bias[:, None]))


def inputs(e: Examples) -> Array:
    return np.hstack((e.images.flatten(1).double().numpy() / 255, np.ones((len(e), 1))))


def onehot(e: Examples) -> Array:
    return np.asarray(np.eye(CLASSES)[e.labels.numpy()])


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True))


def gradient(w: Array, e: Examples, target: Array, temperature: float = 1.0) -> Array:
    """Return the gradient of the mean of T^2 KL(target || softmax(w x / T))."""
    p = softmax(inputs(e) @ w.T / temperature)
    return np.asarray(temperature * (p - target).T @ inputs(e) / len(e))


def close(one: Array, two: Array) -> None:
    np.testing.assert_allclose(one, two, atol=2e-6, rtol=1e-4)


START = regression(11)
"""Not the original, so that there is a distance to it."""


def test_neggrad_plus(parity: Parity) -> None:
    request, w = task(), flat(START)
    assert request.retain is not None
    kept = gradient(w, request.retain, onehot(request.retain))
    lost = gradient(w, request.forget, onehot(request.forget))
    expected = w - LR * (0.9 * kept - 0.1 * lost)
    parity(
        "neggrad-plus",
        unlearn("neggrad-plus", START, request, lr=LR, epochs=1, alpha=0.9),
        expected,
    )


def across(net: Array, e: Examples, bound: float) -> Array:
    """Return the labels, one-hot, that a net gives after a step of FGSM, rounded to 1/255."""
    x, y = inputs(e), onehot(e)
    up = (softmax(x @ net.T) - y) @ net[:, :-1]
    stepped = np.round(255 * np.clip(x[:, :-1] + bound * np.sign(up), 0, 1)) / 255
    return np.asarray(np.eye(CLASSES)[(np.hstack((stepped, x[:, -1:])) @ net.T).argmax(1)])


@pytest.mark.parametrize(("bound", "kept"), [(0.02, 2), (0.45, 0)])
def test_boundary_shrink(parity: Parity, bound: float, kept: int) -> None:
    request, w = task(forget=12), flat(START)
    labels = across(flat(request.original), request.forget, bound)
    assert (labels * onehot(request.forget)).sum() == kept, "where the step does not cross"
    expected = w - LR * gradient(w, request.forget, labels)
    settings = {"lr": LR, "epochs": 1, "bound": bound}
    parity("boundary-shrink", unlearn("boundary-shrink", START, request, **settings), expected)


def test_delete(parity: Parity) -> None:
    request, w = task(), flat(START)
    z = inputs(request.forget) @ flat(request.original).T
    masked = softmax(np.where(onehot(request.forget) == 1, -np.inf, z))
    expected = w - LR * gradient(w, request.forget, masked)
    parity("delete", unlearn("delete", START, request, lr=LR, epochs=1), expected)


def test_scrub_maximises_then_minimises(parity: Parity) -> None:
    request, w, t = task(), flat(START), 4.0
    assert request.retain is not None
    original = flat(request.original)
    teacher = softmax(inputs(request.forget) @ original.T / t)
    w = w + LR * gradient(w, request.forget, teacher, t)
    near = gradient(w, request.retain, softmax(inputs(request.retain) @ original.T / t), t)
    w = w - LR * (0.3 * near + 0.7 * gradient(w, request.retain, onehot(request.retain)))
    settings = {"lr": LR, "epochs": 1, "alpha": 0.3, "gamma": 0.7, "rewind": False}
    parity("scrub", unlearn("scrub", START, request, **settings), w)


def test_scrub_rewinds_to_the_epoch_whose_error_is_that_on_unseen_samples() -> None:
    settings: dict[str, Any] = {"lr": 2.0, "epochs": 3, "max_epochs": 3}
    request = task(forget=12, retain=4, validation=examples(5, 40))
    assert request.validation is not None
    after = [unlearn("scrub", START, task(12, 4), **settings | {"epochs": n}) for n in (1, 2, 3)]
    assert not np.allclose(after[0], after[2])

    def error(w: Array, e: Examples) -> float:
        return float(((inputs(e) @ w.T).argmax(1) != e.labels.numpy()).mean())

    wanted = error(after[2], request.validation)
    best = min(after, key=lambda w: abs(error(w, request.forget) - wanted))
    close(unlearn("scrub", START, request, **settings), best)


@pytest.mark.parametrize("size", [1, 8])
def test_ssd(parity: Parity, size: int) -> None:
    request, w = task(forget=3, retain=20), flat(START)
    assert request.retain is not None

    def importance(*sets: Examples) -> Array:
        everything = sets[0] if len(sets) == 1 else sets[0] + sets[1]
        parts = [everything.select(i) for i in torch.arange(len(everything)).split(size)]  # type: ignore[no-untyped-call]
        return np.asarray(np.mean([gradient(w, e, onehot(e)) ** 2 for e in parts], axis=0))

    forget, every = importance(request.forget), importance(request.forget, request.retain)
    chosen = forget > 1.5 * every
    assert 0 < chosen.sum() < w.size
    expected = np.where(chosen, w * np.minimum(0.8 * every / forget, 1), w)
    settings = {"alpha": 1.5, "dampening": 0.8, "batch_size": size}
    parity("ssd", unlearn("ssd", START, request, **settings), expected)


def test_sfron(parity: Parity) -> None:
    request, w = task(forget=3, retain=6), flat(START)
    forget, retain = request.forget, request.retain
    assert retain is not None
    mask = (
        gradient(w, forget, onehot(forget)) ** 2 >= 0.5 * gradient(w, retain, onehot(retain)) ** 2
    )
    assert 0 < mask.sum() < w.size
    p, y, x = softmax(inputs(forget) @ w.T), onehot(forget), inputs(forget)
    weights = (-np.log((p * y).sum(1))) ** -0.5
    weights /= weights.sum()
    up = 3.0 * mask * (((p - y) * weights[:, None]).T @ x)
    up *= min(1, 0.2 / np.linalg.norm(up))
    w = w + LR * up
    w = w - LR * gradient(w, retain, onehot(retain))
    settings = {"lr": LR, "epochs": 1, "alpha": 3.0, "threshold": 0.5, "norm": 0.2}
    parity("sfron", unlearn("sfron", START, request, **settings), w)


def test_influence(parity: Parity) -> None:
    request, w = task(forget=3, retain=6), flat(START)
    forget, retain = request.forget, request.retain
    assert retain is not None
    g = [
        gradient(w, e, onehot(e)).ravel()
        for e in (retain.select(torch.tensor([i])) for i in range(6))
    ]
    v = 3 * gradient(w, forget, onehot(forget)) - 3 / 6 * 6 * gradient(w, retain, onehot(retain))
    fisher = 0.01 * np.eye(w.size) + np.mean([np.outer(one, one) for one in g], axis=0)
    step = np.linalg.solve(fisher, v.ravel() / 9).reshape(w.shape)
    settings = {"alpha": 0.7, "damping": 0.01}
    parity("influence", unlearn("influence", START, request, **settings), w + 0.7 * step)


def test_bad_teacher(parity: Parity) -> None:
    request, w = task(forget=3, retain=4), flat(START)
    moved = unlearn("bad-teacher", START, request, lr=LR, share=1.0) - w
    assert request.retain is not None
    both = request.forget + request.retain
    bad = flat(regression(seed_for(3, "teacher")))
    good = flat(request.original)
    teachers = [bad] * 3 + [good] * 4
    x = inputs(both)
    target = np.stack([softmax((x[i : i + 1]) @ t.T)[0] for i, t in enumerate(teachers)])
    g = gradient(w, both, target)
    parity("bad-teacher", moved, -LR * g / (np.abs(g) + 1e-8))  # Adam's first step
