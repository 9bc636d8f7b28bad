"""Methods in their authors' forms: own optimisers over several steps, forms, and their limits."""

from __future__ import annotations

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
    across,
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
from unlearnbench.authoring import Task
from unlearnbench.errors import MethodError
from unlearnbench.recipe import Recipe
from unlearnbench.toolkit import Examples, squared_gradients
from unlearnbench.toolkit.recorder import Recorder, recording

OTHER = Recipe(batch_size=4, momentum=0.5, weight_decay=0.3)
"""A recipe that none of the authors has: what follows it shows."""


def other_recipe(forget: int, retain: int) -> Task:
    return task(forget, retain).following(OTHER)


class Sgd:
    """Take steps with momentum and no weight decay."""

    def __init__(self, w: Array, momentum: float) -> None:
        self.w, self.momentum, self.velocity = w, momentum, np.zeros_like(w)

    def step(self, slope: Array) -> None:
        self.velocity = self.momentum * self.velocity + slope
        self.w = self.w - LR * self.velocity


def test_neggrad_plus_has_no_momentum_no_decay_and_its_own_batches(parity: Parity) -> None:
    request = other_recipe(forget=16, retain=32)
    assert request.retain is not None
    own = Sgd(flat(START), 0.0)
    for _ in range(3):
        kept = gradient(own.w, request.retain, onehot(request.retain))
        lost = gradient(own.w, request.forget, onehot(request.forget))
        own.step(0.9999 * kept - 0.0001 * lost)
    parity("neggrad-plus", unlearn("neggrad-plus", START, request, lr=LR, epochs=3), own.w)


def test_delete_has_momentum_no_decay_and_batches_of_128(parity: Parity) -> None:
    request = other_recipe(forget=128, retain=1)
    z = inputs(request.forget) @ flat(request.original).T
    masked = softmax(np.where(onehot(request.forget) == 1, -np.inf, z))
    own = Sgd(flat(START), 0.9)
    for _ in range(3):
        own.step(gradient(own.w, request.forget, masked))
    parity("delete", unlearn("delete", START, request, lr=LR, epochs=3), own.w)


@pytest.mark.parametrize("access", ["full", "forget-only"])
@pytest.mark.parametrize("form", ["authors", "amun"])
def test_boundary_shrink_is_labelled_by_the_original_or_by_the_net_as_it_is(
    parity: Parity, form: str, access: str
) -> None:
    request, bound = other_recipe(forget=12, retain=20), 0.2
    assert request.retain is not None
    own, original = Sgd(flat(START), 0.9), flat(request.original)
    for _ in range(3):
        labelling = original
        if form == "amun":
            if access == "full":
                own.step(gradient(own.w, request.retain, onehot(request.retain)))
            labelling = own.w
        own.step(gradient(own.w, request.forget, across(labelling, request.forget, bound)))
    if access == "forget-only":
        request = replace(request, retain=None)
    settings = {"lr": LR, "epochs": 3, "bound": bound, "form": form}
    parity("boundary-shrink", unlearn("boundary-shrink", START, request, **settings), own.w)


def test_scrub_has_its_own_batches(parity: Parity) -> None:
    request = task(16, 32)
    assert request.retain is not None
    w, t = flat(START), 4.0  # the recipe has batches of 8
    original = flat(request.original)

    def to_teacher(e: Examples) -> Array:
        return gradient(w, e, softmax(inputs(e) @ original.T / t), t)

    w = w + LR * to_teacher(request.forget)
    w = w - LR * (
        0.5 * to_teacher(request.retain) + gradient(w, request.retain, onehot(request.retain))
    )
    parity("scrub", unlearn("scrub", START, request, lr=LR, epochs=1, rewind=False), w)


def unseen_class() -> Examples:
    """Return validation samples of a class that is not forgotten."""
    validation = examples(5, 40)
    return validation.select(validation.labels != 0)


@pytest.mark.parametrize(
    ("validation", "why"),
    [
        (None, "not rewound: no validation samples are set aside (data.validation = 0)"),
        (unseen_class(), "not rewound: no validation sample is of a class of the forget set"),
    ],
)
def test_scrub_says_when_it_cannot_rewind_and_takes_the_last_model(
    validation: Examples | None, why: str
) -> None:
    forget = examples(1, 12).relabel(torch.zeros(12, dtype=torch.int64))
    request = replace(task(12, 4, validation=validation), forget=forget)
    settings: dict[str, Any] = {"lr": 2.0, "epochs": 3}
    last = unlearn("scrub", START, request, rewind=False, **settings)
    with recording(Recorder()) as recorder:
        close(unlearn("scrub", START, request, **settings), last)
    assert recorder.notes == {"warnings": [why]}


def importance(e: Examples, size: int) -> Array:
    squares = squared_gradients(regression(11), e.batched(size))
    return np.concatenate([value.flatten().numpy() for value in squares.values()])


@pytest.mark.parametrize("count", [1, 2, 4, 8, 16, 48])
def test_importance_of_samples_does_not_depend_on_the_size_of_the_set(count: int) -> None:
    everything = examples(7, 48)
    parts = [everything.select(index) for index in torch.arange(48).split(count)]  # type: ignore[no-untyped-call]

    def ratio(size: int) -> float:
        """Return F(D_F) / F(D), over all disjoint D_F of a size, and over weights."""
        over = np.mean([importance(part, size) for part in parts], axis=0)
        return float(np.mean(over / importance(everything, size)))

    assert ratio(1) == pytest.approx(1, abs=1e-5)
    assert count == 48 or ratio(48) > 1.1, "what batches of the authors' code make of it"


def test_a_model_that_vmap_cannot_take_is_told_what_to_do() -> None:
    class Branching(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(4, CLASSES)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x.flatten(1)
            logits: torch.Tensor = self.head(x if x.sum() > 0 else -x)
            return logits

    few = examples(1, 6)
    with pytest.raises(MethodError, match=r"vmap.*batch_size to 2 or more"):
        squared_gradients(Branching(), few.batched(1))
    assert squared_gradients(Branching(), few.batched(2)).keys() == {"head.weight", "head.bias"}
