"""Plain training, ascent and AMUN over several steps, against derivations as in `test_parity`.

Every set fits a batch, so that an epoch is a step; momentum and weight decay are on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import Parity
from tests.test_parity import (
    LR,
    START,
    Array,
    flat,
    gradient,
    inputs,
    onehot,
    regression,
    softmax,
    task,
    unlearn,
)
from unlearnbench.authoring import Task
from unlearnbench.recipe import Recipe
from unlearnbench.toolkit import Examples

MOMENTUM, DECAY = 0.5, 0.01
SGD: dict[str, Any] = {"momentum": MOMENTUM, "weight_decay": DECAY}


def descended(w: Array, steps: Iterable[tuple[float, Callable[[Array], Array]]]) -> Array:
    """Take steps of SGD, each at a rate and along a gradient."""
    velocity = np.zeros_like(w)
    for rate, slope in steps:
        velocity = MOMENTUM * velocity + slope(w) + DECAY * w
        w = w - rate * velocity
    return w


def of(e: Examples) -> Callable[[Array], Array]:
    """Return the gradient of the mean cross-entropy on a set."""
    return lambda w: gradient(w, e, onehot(e))


def retained(request: Task) -> Callable[[Array], Array]:
    return of(request.require_retain())


def test_ft(parity: Parity) -> None:
    request = task()
    slope = retained(request)
    expected = descended(flat(START), [(LR, slope), (LR, slope), (0.1 * LR, slope)])
    made = unlearn("ft", START, request, lr=LR, epochs=3, decay_every=2, **SGD)
    parity("ft", made, expected)


def test_retrain(parity: Parity) -> None:
    """Up from a 25th of the peak in the first quarter of the steps, then down to next to 0."""
    recipe = Recipe(epochs=4, lr=LR, batch_size=8, momentum=MOMENTUM, weight_decay=DECAY)
    request = task().following(recipe)
    rates = [LR / 25, *np.interp([1, 2, 3], [0.25, 4], [LR, LR / 25e4])]
    slope = retained(request)
    expected = descended(flat(regression(request.seed)), [(rate, slope) for rate in rates])
    parity("retrain", unlearn("retrain", START, request), expected)


def test_l1_sparse(parity: Parity) -> None:
    request, alpha = task(), 0.05
    slope = retained(request)

    def penalised(share: float) -> Callable[[Array], Array]:
        return lambda w: slope(w) + alpha * share * np.sign(w)

    expected = descended(flat(START), [(LR, penalised(share)) for share in (1, 2 / 3, 1 / 3)])
    made = unlearn("l1-sparse", START, request, lr=LR, epochs=3, alpha=alpha, **SGD)
    parity("l1-sparse", made, expected)


@pytest.mark.parametrize("descend", [False, True])
def test_ga(parity: Parity, descend: bool) -> None:
    request = task()
    down, lost = retained(request), of(request.forget)

    def up(w: Array) -> Array:
        return -lost(w)

    steps = [down, up, down, up] if descend else [up, up]
    expected = descended(flat(START), [(LR, slope) for slope in steps])
    made = unlearn("ga", START, request, lr=LR, epochs=2, descend=descend, **SGD)
    parity("ga", made, expected)


def nearest(net: Array, e: Examples, radius: float, steps: int) -> tuple[Array, Array]:
    """Climb each image's loss till its label flips; return inputs and labels, one-hot.

    No step leaves the ball or [0, 1]; after so many steps the ball is twice as large.
    """
    clean, truth = inputs(e)[:, :-1], onehot(e)
    here, taken = clean, 0
    while True:
        x = np.hstack((here, np.ones((len(here), 1))))
        said = np.eye(len(net))[(x @ net.T).argmax(1)]
        stays = (said * truth).sum(1) == 1
        if not stays.any():
            return x, said
        if taken and taken % steps == 0:
            radius *= 2
        up = (softmax(x @ net.T) - truth) @ net[:, :-1]
        away = here + 0.1 * radius * up / np.linalg.norm(up, axis=1, keepdims=True) - clean
        away *= np.minimum(1, radius / np.linalg.norm(away, axis=1, keepdims=True))
        here = np.where(stays[:, None], np.clip(clean + away, 0, 1), here)
        taken += 1


@pytest.mark.parametrize("name", ["amun", "amun-adaptive"])
def test_amun(parity: Parity, name: str) -> None:
    """On images that the net searched on gets right, so that each of them has to move."""
    request = task(forget=2, retain=4)  # with D_A they fit a batch
    net = flat(request.original if name == "amun" else START)
    predicted = (inputs(request.forget) @ net.T).argmax(1)
    request = replace(request, forget=request.forget.relabel(torch.from_numpy(predicted)))
    x, y = nearest(net, request.forget, radius=0.05, steps=5)
    for e in (request.forget, request.require_retain()):
        x, y = np.vstack((x, inputs(e))), np.vstack((y, onehot(e)))

    def slope(w: Array) -> Array:
        return np.asarray((softmax(x @ w.T) - y).T @ x / len(x))

    expected = descended(flat(START), [(LR, slope), (LR, slope), (0.1 * LR, slope)])
    settings = SGD | {"lr": LR, "epochs": 3, "decay_every": 2, "radius": 0.05, "steps": 5}
    parity(name, unlearn(name, START, request, **settings), expected)
