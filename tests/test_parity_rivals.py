"""NPO, MUNBa, LoTUS and L2UL against derivations made apart from them, as in `test_parity`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import root

from tests.conftest import Parity
from tests.test_parity import (
    CLASSES,
    LR,
    START,
    Array,
    close,
    examples,
    flat,
    gradient,
    inputs,
    onehot,
    regression,
    softmax,
    task,
    unlearn,
)
from unlearnbench import registry
from unlearnbench.authoring import Task
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import Examples, random_labels, targeted_search

PLAIN: dict[str, Any] = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0}
SEED = 3
"""Of every task here."""


def seeded(*purpose: str | int) -> torch.Generator:
    return torch.Generator().manual_seed(seed_for(SEED, *purpose) if purpose else SEED)


def ascent(w: Array, request: Task, beta: float) -> Array:
    """Return the gradient of the NPO loss: of the mean log-probability, each sample weighted."""
    x, y = inputs(request.forget), onehot(request.forget)
    p = softmax(x @ w.T)
    now, before = (p * y).sum(1), (softmax(x @ flat(request.original).T) * y).sum(1)
    weight = 2 * now**beta / (now**beta + before**beta)
    return np.asarray(((y - p) * weight[:, None]).T @ x / len(y))


@pytest.mark.parametrize("beta", [0.5, 3.0])
def test_npo_with_and_without_the_retain_term(parity: Parity, beta: float) -> None:
    request, w = task(forget=4), flat(START)
    assert request.retain is not None
    kept = gradient(w, request.retain, onehot(request.retain))
    up = ascent(w, request, beta)
    settings = {"lr": LR, "epochs": 1, "beta": beta}
    parity("npo", unlearn("npo", START, request, **settings, gamma=0.7), w - LR * (up + 0.7 * kept))
    alone = w - LR * up
    parity("npo", unlearn("npo", START, request, **settings, gamma=0.0), alone)
    parity("npo", unlearn("npo", START, replace(request, retain=None), **settings), alone)


def test_npo_is_gradient_ascent_in_the_limit() -> None:
    """Proposition 1 of the paper."""
    settings = {"lr": LR, "epochs": 3}
    near = unlearn("npo", START, task(4), **settings, beta=1e-4, gamma=0.0)
    np.testing.assert_allclose(near, unlearn("ga", START, task(4), **settings), atol=1e-4)


def nash(one: Array, other: Array) -> Array:
    """Solve G'G alpha = 1 / alpha numerically, which the paper does in closed form."""
    both = np.stack((one.ravel(), other.ravel()))
    gram = both @ both.T
    guess = 1 / np.sqrt(np.diag(gram))

    def left(log: Array) -> Array:
        return np.asarray(gram @ np.exp(log) - np.exp(-log))

    solved = root(left, np.log(guess), tol=1e-12)
    assert solved.success
    joint = (np.exp(solved.x)[:, None] * both).sum(0).reshape(one.shape)
    assert np.linalg.norm(joint) == pytest.approx(np.sqrt(2)), "whatever the gradients"
    return np.asarray(joint)


def test_munba_bargains_while_there_are_batches_of_both_sets(parity: Parity) -> None:
    request, w = task(forget=3, retain=12), flat(START)
    assert request.retain is not None
    labels = torch.randint(CLASSES, (3,), generator=seeded("labels", 0))
    first, second = torch.randperm(12, generator=seeded()).split(8)  # type: ignore[no-untyped-call]
    forget, retain = request.forget.relabel(labels), request.retain.select(first)
    joint = nash(gradient(w, retain, onehot(retain)), gradient(w, forget, onehot(forget)))
    joint /= max(1.0, float(np.linalg.norm(joint)))  # the authors clip it
    w = w - LR * joint
    retain = request.retain.select(second)
    w = w - LR * gradient(w, retain, onehot(retain))
    settings = PLAIN | {"lr": LR, "epochs": 1, "batch_size": 8}
    parity("munba", unlearn("munba", START, request, **settings), w)


def test_munba_follows_the_one_gradient_where_the_other_is_zero() -> None:
    sure = regression(11)
    with torch.no_grad():
        for parameter in sure.parameters():
            parameter.mul_(2000)  # so that the cross-entropy underflows
    request, w = task(forget=3), flat(sure)
    assert request.retain is not None
    predicted = torch.from_numpy((inputs(request.retain) @ w.T).argmax(1))
    request = replace(request, retain=request.retain.relabel(predicted))
    labels = torch.randint(CLASSES, (3,), generator=seeded("labels", 0))
    forget = request.forget.relabel(labels)
    up = gradient(w, forget, onehot(forget))
    settings = PLAIN | {"lr": 10.0, "epochs": 1}
    moved = unlearn("munba", sure, request, **settings) - w
    np.testing.assert_allclose(moved, -10 * up / np.linalg.norm(up), atol=1e-3)


def lotus(request: Task, unseen: float) -> Array:
    """Take one step towards the original's tempered and hard answers, noise and all."""
    w, original, retain = flat(START), flat(request.original), request.retain
    assert retain is not None
    order = torch.randperm(len(retain), generator=seeded("share"))
    both = request.forget + retain.select(order[: len(retain) // 2])
    generator, forgotten = seeded(), len(request.forget)
    order = torch.randperm(len(both), generator=generator)
    uniform = torch.empty(len(both), CLASSES).exponential_(generator=generator).double().numpy()
    shown = both.select(order)
    answer = inputs(shown) @ original.T - np.log(uniform)
    right = (inputs(request.forget) @ w.T).argmax(1) == request.forget.labels.numpy()
    soft = softmax(answer / np.exp(3.0 * (right.mean() - unseen)))
    hard = np.eye(CLASSES)[answer.argmax(1)]
    target = np.where((order.numpy() < forgotten)[:, None], soft, hard)
    return w - LR * gradient(w, shown, target)


LOTUS: dict[str, Any] = PLAIN | {"lr": LR, "epochs": 1, "alpha": 3.0, "share": 0.5}


@pytest.mark.parametrize("case", ["samples", "none", "whole classes"])
def test_lotus(parity: Parity, case: str) -> None:
    validation = None if case == "none" else few_right(0.25)
    request = task(forget=6, retain=10, validation=validation)
    assert request.retain is not None
    if case == "whole classes":
        forget, retain = (torch.full((n,), label) for n, label in ((6, 0), (10, 1)))
        request = replace(
            request,
            forget=request.forget.relabel(forget),
            retain=request.retain.relabel(retain),
        )
    expected = lotus(request, unseen=0.25 if case == "samples" else 0.0)
    parity("lotus", unlearn("lotus", START, request, **LOTUS), expected)


def few_right(share: float) -> Examples:
    """Return samples of which the original gets the given share right."""
    seen = examples(7, 8)
    predicted = torch.from_numpy((inputs(seen) @ flat(regression(10)).T).argmax(1))
    wrong = torch.arange(8) >= round(8 * share)
    return seen.relabel((predicted + wrong) % CLASSES)


def test_lotus_is_over_where_the_forget_set_is_no_better_than_unseen_samples() -> None:
    request = task(forget=6, validation=few_right(1.0))
    right = (inputs(request.forget) @ flat(START).T).argmax(1) == request.forget.labels.numpy()
    assert right.mean() < 0.99
    close(unlearn("lotus", START, request, **LOTUS | {"epochs": 5}), flat(START))


def test_targeted_search_is_projected_descent_from_a_random_start() -> None:
    model, radius = regression(10), 0.3
    aims = random_labels(examples(4, 6), CLASSES, seed=1)
    found = targeted_search(model, aims, radius=radius, seed=8).flatten(1).double().numpy()
    w, clean = flat(model)[:, :-1], inputs(aims)[:, :-1]

    def shortened(away: Array) -> Array:
        return np.asarray(away * np.minimum(1, radius / np.linalg.norm(away, axis=1))[:, None])

    start = torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(8)).flatten(1).numpy()
    away = shortened(start - clean)
    for _ in range(100):
        z = np.hstack((clean + away, np.ones((6, 1)))) @ flat(model).T
        down = (onehot(aims) - softmax(z)) @ w
        stepped = clean + away + 0.1 * down / np.linalg.norm(down, axis=1)[:, None]
        away = shortened(np.clip(stepped, 0, 1) - clean)
    np.testing.assert_allclose(found, clean + away, atol=1e-4)
    assert np.linalg.norm(found - clean, axis=1).max() <= radius + 1e-6
    assert found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize("goal", ["misclassify", "relabel"])
def test_l2ul(parity: Parity, goal: str) -> None:
    request, w = task(forget=4), flat(START)
    settings: dict[str, Any] = PLAIN | {"images": 3, "radius": 0.3, "hold": 5.0, "goal": goal}
    method = registry.method_class(registry.find("methods")["l2ul"])
    made = registry.build(method, "l2ul", dict(settings)).shared_work(request)
    assert (made["labels"] != request.forget.labels.repeat(3)).all()
    near = examples(0, 12)
    near = replace(near, images=made["images"], labels=made["labels"])
    x = inputs(request.forget)
    z = x @ w.T
    matters = np.abs((z / np.linalg.norm(z, axis=1)[:, None]).T @ x / 4)
    little = np.ones_like(w)
    for layer in (np.s_[:, :-1], np.s_[:, -1]):
        of = matters[layer]
        little[layer] = 1 - (of - of.min()) / (of.max() - of.min())
    taught, sign = request.forget, -1
    if goal == "relabel":
        taught, sign = random_labels(taught, CLASSES, seed=seed_for(SEED, "relabel")), 1
    at = w
    near_x = np.hstack((near.images.flatten(1).double().numpy(), np.ones((12, 1))))
    for _ in range(3):
        kept = (softmax(near_x @ w.T) - onehot(near)).T @ near_x
        lost = sign * 4 * gradient(w, taught, onehot(taught))
        w = w - LR * ((kept + lost) / 16 + 5.0 * little * (w - at))
    settings |= {"lr": LR, "epochs": 3}
    parity("l2ul", unlearn("l2ul", START, request, **settings), w)


@pytest.mark.parametrize("goal", ["misclassify", "relabel"])
def test_l2ul_is_over_where_the_goal_is_reached(goal: str) -> None:
    request = task(forget=4)
    predicted = torch.from_numpy((inputs(request.forget) @ flat(START).T).argmax(1))
    labels = (predicted + 1) % CLASSES
    if goal == "relabel":  # such labels that those to be taught are what is predicted
        step = random_labels(request.forget, CLASSES, seed=seed_for(SEED, "relabel")).labels
        labels = (predicted - (step - request.forget.labels)) % CLASSES
    request = replace(request, forget=request.forget.relabel(labels))
    settings: dict[str, Any] = {"lr": LR, "epochs": 5, "images": 1, "goal": goal}
    close(unlearn("l2ul", START, request, **settings), flat(START))
