"""Update rules of class-wise methods and of RUM against derivations made apart from them.

Softmax regression in numpy, as in `test_parity`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.conftest import Parity
from tests.test_parity import (
    CLASSES,
    INPUTS,
    LR,
    SIDE,
    START,
    Array,
    close,
    examples,
    flat,
    gradient,
    inputs,
    onehot,
    softmax,
    task,
    unlearn,
)
from unlearnbench.errors import UserError
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit.recorder import Recorder, recording


def drawn(shape: tuple[int, ...], *purpose: str | int) -> Array:
    generator = torch.Generator().manual_seed(seed_for(3, *purpose))
    return np.asarray(torch.randn(shape, generator=generator).double().numpy())


def test_boundary_expand(parity: Parity) -> None:
    """Two epochs with momentum and weight decay on a last layer with a row more."""
    request, w = task(forget=6), flat(START)
    spread = (2 / (INPUTS + CLASSES + 1)) ** 0.5
    row = np.append(spread * drawn((1, INPUTS), "shadow")[0], 0.0)
    wide, speed = np.vstack((w, row)), np.zeros((CLASSES + 1, INPUTS + 1))
    shadow = np.eye(CLASSES + 1)[[CLASSES] * 6]
    for _ in range(2):
        speed = 0.8 * speed + gradient(wide, request.forget, shadow) + 0.01 * wide
        wide = wide - LR * speed
    settings = {"lr": LR, "epochs": 2, "momentum": 0.8, "weight_decay": 0.01}
    parity(
        "boundary-expand", unlearn("boundary-expand", START, request, **settings), wide[:CLASSES]
    )


def noise(w: Array, z: Array, label: int, mean: float, deviation: float, steps: int) -> Array:
    """Climb the loss of a label by Adam, at 0.1, held back by 0.1 of the mean squared norm."""
    first, second, y = np.zeros_like(z), np.zeros_like(z), np.eye(CLASSES)[label]
    for step in range(1, steps + 1):
        x = np.hstack((mean + deviation * z, np.ones((len(z), 1))))
        climb = deviation * (softmax(x @ w.T) - y) @ w[:, :-1]
        slope = (0.2 * z - climb) / len(z)
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        size = np.sqrt(second / (1 - 0.999**step)) + 1e-8
        z = z - 0.1 * first / (1 - 0.9**step) / size
    return np.asarray(mean + deviation * z)


def test_unsir(parity: Parity) -> None:
    """Of one class there are more samples than a batch of noise holds, of another there is one."""
    labels = torch.tensor([1] * 300 + [2])
    request = replace(task(retain=7), forget=examples(4, 301).relabel(labels))
    w, retain = flat(START), request.retain
    assert retain is not None
    pixels, made = retain.images.double().numpy() / 255, []
    for label, size in ((1, 256), (2, 1)):
        z = drawn((size, 1, SIDE, SIDE), "noise", label).reshape(size, INPUTS)
        made.append(noise(w, z, label, pixels.mean(), pixels.std(), steps=4))
    x = np.vstack((pixels.reshape(7, INPUTS), made[0], made[0][:44], made[1]))
    x = np.hstack((x, np.ones((len(x), 1))))
    y = np.vstack((onehot(retain), np.eye(CLASSES)[labels.numpy()]))
    w = w - 0.3 * (softmax(x @ w.T) - y).T @ x / len(x)
    w = w - 0.2 * gradient(w, retain, onehot(retain))
    settings = {"share": 1.0, "noise_steps": 4, "lr": 0.3, "repair_lr": 0.2, "batch_size": 1000}
    parity("unsir", unlearn("unsir", START, request, optimizer="sgd", momentum=0.0, **settings), w)


def test_unsir_shows_a_share_of_the_retain_set() -> None:
    request, w = task(retain=40), flat(START)
    assert request.retain is not None
    generator = torch.Generator().manual_seed(seed_for(3, "share"))
    shown = request.retain.select(torch.randperm(40, generator=generator)[:10])
    settings = {"share": 0.25, "lr": 1e-12, "repair_lr": LR, "batch_size": 1000}
    moved = unlearn("unsir", START, request, optimizer="sgd", momentum=0.0, **settings)
    close(moved, w - LR * gradient(w, shown, onehot(shown)))


@pytest.mark.parametrize("count", [1, 2, 7])
def test_rum(parity: Parity, count: int) -> None:
    """FT on what the original is neither sure nor unsure of, then ascent on the least sure."""
    request, w = task(forget=count), flat(START)
    assert request.retain is not None
    sure = softmax(inputs(request.forget) @ flat(request.original).T)
    order = np.argsort((sure * onehot(request.forget)).sum(1))
    high, middle, _ = (
        request.forget.select(torch.from_numpy(third)) for third in np.array_split(order, 3)
    )
    if len(middle):
        kept = request.retain + high
        w = w - 0.3 * gradient(w, kept, onehot(kept))
    w = w + 0.2 * gradient(w, high, onehot(high))
    settings = {"middle_lr": 0.3, "middle_epochs": 1, "high_lr": 0.2, "high_epochs": 1}
    parity("rum", unlearn("rum", START, request, high="ga", batch_size=64, **settings), w)


def test_rum_hands_a_rate_to_methods_that_have_one() -> None:
    request = task(forget=1)  # the one sample is the most memorised
    by_itself = unlearn("influence", START, request)
    assert np.abs(by_itself - flat(START)).max() > 1e-3
    with recording(Recorder()) as recorder:
        close(unlearn("rum", START, request, high="influence"), by_itself)
    told, keys = recorder.notes["warnings"], ("lr", "epochs", "labels")
    assert told == [f"high_{key} is not used: influence has no {key}" for key in keys]
    with pytest.raises(UserError, match="Unknown method 'influenca'"):
        unlearn("rum", START, request, high="influenca")


def test_rum_is_by_default_as_its_authors_run_it() -> None:
    """SalUn with labels from all classes, at .1 for five epochs: they may be the right ones."""
    request = task(forget=1)  # the most memorised
    handed = replace(request, seed=seed_for(3, "high"))
    settings = {"lr": 0.1, "epochs": 5, "order": "mixed"}
    made = unlearn("rum", START, request)
    close(made, unlearn("salun", START, handed, labels="any", **settings))
    wrong = unlearn("salun", START, handed, labels="wrong", **settings)
    assert np.abs(made - wrong).max() > 1e-3
    close(unlearn("rum", START, request, high_labels="wrong"), wrong)
