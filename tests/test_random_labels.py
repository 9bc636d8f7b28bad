"""RL and SalUn in both their forms, against derivations made apart from them, as in test_parity."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import Parity
from tests.test_parity import (
    CLASSES,
    LR,
    START,
    Array,
    examples,
    flat,
    gradient,
    onehot,
    task,
    unlearn,
)
from unlearnbench.toolkit import Examples, random_labels

MOMENTUM, DECAY = 0.5, 0.01
SGD = {"momentum": MOMENTUM, "weight_decay": DECAY}


def descended(w: Array, batches: list[tuple[Examples, Array]], mask: Array) -> Array:
    """Take a step of SGD a batch; weights outside the mask stay."""
    start, buffer = w, np.zeros_like(w)
    for e, target in batches:
        buffer = MOMENTUM * buffer + gradient(w, e, target) + DECAY * w
        w = np.where(mask, w - LR * buffer, start)
    return w


def after(request: Any, order: str, labels: tuple[int, ...], mask: Array) -> Array:
    """Return the weights after an epoch in which D_F has these labels."""
    forget, retain = request.forget, request.retain
    drawn, own = np.eye(CLASSES)[list(labels)], onehot(retain)
    if order == "mixed":  # both fit into one batch
        batches = [(forget + retain, np.vstack((drawn, own)))]
    else:
        batches = [(forget, drawn), (retain, own)]
    return descended(flat(START), batches, mask)


@pytest.mark.parametrize("order", ["mixed", "in-turn"])
@pytest.mark.parametrize("labels", ["wrong", "any"])
@pytest.mark.parametrize("name", ["rl", "salun"])
def test_one_epoch_is_that_of_the_definition_under_one_drawing(
    parity: Parity, name: str, labels: str, order: str
) -> None:
    request = task(forget=2, retain=5)
    settings: dict[str, Any] = {"lr": LR, "epochs": 1, "labels": labels, "order": order, **SGD}
    mask = np.ones((CLASSES, flat(START).shape[1]), dtype=bool)
    if name == "salun":
        settings["keep"] = 0.47
        size = abs(
            len(request.forget) * gradient(flat(START), request.forget, onehot(request.forget))
        )
        mask = size >= np.sort(size.ravel())[::-1][int(0.47 * size.size) - 1]
        assert mask.sum() == 7
    made = unlearn(name, START, request, **settings)
    possible = [
        drawn
        for drawn in itertools.product(range(CLASSES), repeat=2)
        if labels == "any" or (np.array(drawn) != request.forget.labels.numpy()).all()
    ]
    expected = [after(request, order, drawn, mask) for drawn in possible]
    nearest, second, *_ = sorted(expected, key=lambda one: float(np.abs(one - made).max()))
    parity(name, made, nearest)
    assert np.abs(second - made).max() > 1e-3


@pytest.mark.parametrize(("labels", "right"), [("wrong", 0), ("any", 1000)])
def test_labels_are_drawn_uniformly_from_the_wrong_ones_or_from_all(
    labels: Any, right: int
) -> None:
    some = examples(1, 3000)
    step = (random_labels(some, CLASSES, seed=1, labels=labels).labels - some.labels) % CLASSES
    counts = torch.bincount(step, minlength=CLASSES).tolist()
    assert abs(counts[0] - right) < 120 and abs(counts[1] - counts[2]) < 200
    assert (counts[0] == 0) is (labels == "wrong")


def test_labels_are_drawn_anew_each_epoch_or_kept() -> None:
    """Of one sample and three classes: two epochs with one label, or with the one and the other."""
    request = task(forget=1, retain=4)
    mask = np.ones((CLASSES, flat(START).shape[1]), dtype=bool)
    wrong = [k for k in range(CLASSES) if k != int(request.forget.labels)]
    kept = set()
    for redraw in (True, False):
        for seed in range(8):
            moved = unlearn(
                "rl",
                START,
                replace(request, seed=seed),
                lr=LR,
                epochs=2,
                redraw=redraw,
                order="in-turn",
                **SGD,
            )
            both = {
                drawn: np.abs(_two(request, drawn, mask) - moved).max()
                for drawn in itertools.product(wrong, repeat=2)
            }
            first, second = min(both, key=lambda drawn: both[drawn])
            assert both[first, second] < 1e-6
            kept.add((redraw, first == second))
    assert kept == {(True, True), (True, False), (False, True)}


def _two(request: Any, labels: tuple[int, ...], mask: Array) -> Array:
    """Return the weights after two epochs, D_F before D_R, with a label for each."""
    forget, retain = request.forget, request.retain
    batches = [
        step
        for label in labels
        for step in ((forget, np.eye(CLASSES)[[label]]), (retain, onehot(retain)))
    ]
    return descended(flat(START), batches, mask)


def test_without_the_retain_set_there_is_nothing_to_order() -> None:
    request = replace(task(forget=5), retain=None)
    settings: dict[str, Any] = {"lr": LR, "epochs": 2, "labels": "any"}
    mixed, in_turn = (
        unlearn("rl", START, request, order=order, **settings) for order in ("mixed", "in-turn")
    )
    assert (mixed == in_turn).all() and np.abs(mixed - flat(START)).max() > 1e-3
