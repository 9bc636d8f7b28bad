"""Methods that choose among layers, against derivations in numpy made apart from them.

Nets of two layers whose gradients are written out. Every set fits a batch, so that an epoch is a
step and its order does not matter; momentum and weight decay are on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.conftest import Parity
from tests.test_parity import CLASSES, INPUTS, Array, close, examples, onehot, softmax
from tests.test_parity import inputs as with_ones
from tests.test_parity import task as regression_task
from unlearnbench import registry
from unlearnbench.authoring import Task
from unlearnbench.errors import MethodError
from unlearnbench.recipe import Recipe
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import Examples
from unlearnbench.toolkit.counting import counted
from unlearnbench.toolkit.recorder import Recorder, recording

RECIPE = Recipe(
    batch_size=64, momentum=0.9, weight_decay=0.01, lr=0.1, schedule="step", decay_every=1, epochs=2
)
HIDDEN, KERNELS = 5, 2
SEED = 3
Weights = list[Array]


def drawn(net: nn.Module, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return net


def perceptron(seed: int) -> nn.Module:
    """Build z = V tanh(W x + a) + b."""
    first, last = nn.Linear(INPUTS, HIDDEN), nn.Linear(HIDDEN, CLASSES)
    return drawn(nn.Sequential(nn.Flatten(), first, nn.Tanh(), last), seed)


def convolutional(seed: int) -> nn.Module:
    """Build z = V relu(K * x) + b, K being two kernels of 3x3."""
    first = nn.Conv2d(1, KERNELS, 3, padding=1, bias=False)
    last = nn.Linear(KERNELS * INPUTS, CLASSES)
    return drawn(nn.Sequential(first, nn.ReLU(), nn.Flatten(), last), seed)


def task(build: Callable[[int], nn.Module], forget: int = 4, retain: int = 6) -> Task:
    return Task(
        forget=examples(1, forget).fed_by(RECIPE),
        retain=examples(2, retain).fed_by(RECIPE),
        classes=CLASSES,
        seed=SEED,
        device=torch.device("cpu"),
        recipe=RECIPE,
        original=build(10).eval(),
        validation=None,
        build=build,
    )


def unlearn(name: str, start: nn.Module, request: Task, **settings: Any) -> Weights:
    method = registry.build(registry.method_class(registry.find("methods")[name]), name, settings)
    return weights(request.hand_to(method, copy.deepcopy(start)))


def weights(model: nn.Module) -> Weights:
    return [p.detach().double().numpy().copy() for p in model.parameters()]


def descended(
    start: Weights, gradient: Callable[[Weights], Weights], rates: Sequence[float]
) -> Weights:
    """Take steps of SGD with momentum and weight decay."""
    here, moving = start, [np.zeros_like(w) for w in start]
    for rate in rates:
        slopes = [g + RECIPE.weight_decay * w for g, w in zip(gradient(here), here, strict=True)]
        moving = [RECIPE.momentum * v + g for v, g in zip(moving, slopes, strict=True)]
        here = [w - rate * v for w, v in zip(here, moving, strict=True)]
    return here


def all_close(found: Weights, expected: Weights) -> None:
    for one, other in zip(found, expected, strict=True):
        close(one, other)


def head_gradient(features: Array, e: Examples) -> Callable[[Weights], Weights]:
    """Return the gradient of the mean cross-entropy of V h + b, h being fixed."""

    def gradient(head: Weights) -> Weights:
        off = (softmax(features @ head[0].T + head[1]) - onehot(e)) / len(e)
        return [off.T @ features, off.sum(0)]

    return gradient


def test_cf_k_fine_tunes_the_last_layers_with_warm_restarts(parity: Parity) -> None:
    request, start = task(perceptron), perceptron(11)
    w, a, *head = weights(start)
    assert request.retain is not None
    hidden = np.tanh(with_ones(request.retain) @ np.hstack((w, a[:, None])).T)
    quarter = 0.05 + 0.95 * (1 + np.cos(np.pi / 4)) / 2
    rates = [0.1 * share for share in (1, 1, 0.525, 1, quarter, 0.525)]  # periods of 1, 2, 4
    expected = descended(head, head_gradient(hidden, request.retain), rates)
    found = unlearn("cf-k", start, request, last=1, lr=0.1, epochs=6)
    parity("cf-k", found, [w, a, *expected])
    assert np.array_equal(found[0], w) and np.array_equal(found[1], a), "frozen bit by bit"


def test_eu_k_trains_fresh_last_layers_by_the_recipe(parity: Parity) -> None:
    request, start = task(perceptron), perceptron(11)
    w, a, *_ = weights(start)
    assert request.retain is not None
    hidden = np.tanh(with_ones(request.retain) @ np.hstack((w, a[:, None])).T)
    fresh = weights(perceptron(seed_for(SEED, "layers")))[2:]
    expected = descended(fresh, head_gradient(hidden, request.retain), [0.1, 0.01])
    parity("eu-k", unlearn("eu-k", start, request, last=1), [w, a, *expected])


def patches(e: Examples) -> Array:
    """Return what each kernel is laid on, [n, 9, positions]."""
    return np.asarray(functional.unfold(e.images.double() / 255, 3, padding=1).numpy())


def convolutional_gradient(e: Examples) -> Callable[[Weights], Weights]:
    """Return the gradient of the mean cross-entropy of V relu(K * x) + b."""
    under = patches(e)

    def gradient(here: Weights) -> Weights:
        kernels, v, b = here
        before = np.einsum("ok,nkl->nol", kernels.reshape(KERNELS, 9), under)
        features = np.maximum(before, 0).reshape(len(e), -1)
        off = (softmax(features @ v.T + b) - onehot(e)) / len(e)
        back = (off @ v).reshape(before.shape) * (before > 0)
        slope = np.einsum("nol,nkl->ok", back, under).reshape(kernels.shape)
        return [slope, off.T @ features, off.sum(0)]

    return gradient


def test_ct_transposes_kernels_and_fine_tunes_along_a_cosine(parity: Parity) -> None:
    request, start = task(convolutional), convolutional(11)
    kernels, *head = weights(start)
    assert request.retain is not None
    turned = np.stack([[kernel.T for kernel in row] for row in kernels])
    assert not np.allclose(turned, kernels)
    rates = [0.1 * share for share in (1, 0.75, 0.25)]
    gradient = convolutional_gradient(request.retain)
    expected = descended([turned, *head], gradient, rates)
    parity("ct", unlearn("ct", start, request, lr=0.1, epochs=3), expected)


def test_msg_draws_weights_of_small_gradients_anew_and_damps_the_others(parity: Parity) -> None:
    request, start = task(convolutional), convolutional(11)
    kernels, *head = weights(start)
    retain = request.retain
    assert retain is not None
    generator = torch.Generator().manual_seed(seed_for(SEED, "weights"))
    alike = retain.select(torch.randperm(6, generator=generator)[:4])
    one, other = (convolutional_gradient(e)([kernels, *head])[0] for e in (alike, request.forget))
    apart = np.abs(one - other)
    anew = apart <= np.sort(apart, axis=None)[round(0.3 * apart.size) - 1]
    assert anew.sum() == 5
    normal = torch.randn(kernels.shape, generator=generator).double().numpy()
    begun = np.where(anew, np.sqrt(2 / (KERNELS * 9)) * normal, kernels)
    plain, factor = convolutional_gradient(retain), np.where(anew, 1, 0.1)

    def gradient(here: Weights) -> Weights:
        slope, *rest = plain(here)
        return [factor * slope, *rest]

    rates = [0.1 * share for share in (1 / 3, 2 / 3, 1, 2 / 3, 1 / 3)]
    expected = descended([begun, *head], gradient, rates)
    found = unlearn("msg", start, request, share=0.3, damping=0.1, lr=0.1, epochs=5)
    parity("msg", found, expected)


@pytest.mark.parametrize("name", ["msg", "ct"])
def test_a_model_without_convolutions_is_refused(name: str) -> None:
    with pytest.raises(MethodError, match="changes convolutions, and the model has none"):
        unlearn(name, perceptron(11), task(perceptron))


def test_fisher_forgetting_adds_noise_by_the_fisher_matrix(parity: Parity) -> None:
    request = regression_task()
    start, retain = request.untrained(11), request.retain
    assert retain is not None
    w, b = weights(start)
    x = with_ones(retain)
    p = softmax(x @ np.hstack((w, b[:, None])).T)
    fisher = np.zeros((CLASSES, INPUTS + 1))
    for label in range(CLASSES):
        scores = (np.eye(CLASSES)[label] - p)[:, :, None] * x[:, None]
        fisher += (p[:, label, None, None] * scores**2).mean(0)
    floor = float(np.median(fisher))
    scale = (1e-3 / np.maximum(fisher, floor)) ** 0.25
    generator = torch.Generator().manual_seed(seed_for(SEED, "noise"))
    noise = [torch.randn(s, generator=generator).double().numpy() for s in (w.shape, b.shape)]
    expected = [w + scale[:, :-1] * noise[0], b + scale[:, -1] * noise[1]]
    with recording(Recorder()) as noted:
        found = unlearn("fisher", counted(start), request, alpha=1e-3, floor=floor)
    parity("fisher", found, expected)
    assert noted.gradients == CLASSES * len(retain), "what its docstring says that it costs"


def test_msg_leaves_no_hook_on_the_weights() -> None:
    """A second method on the same model takes its gradients whole."""
    request, start = task(convolutional), convolutional(11)
    assert request.retain is not None
    settings: dict[str, Any] = {"share": 0.0, "lr": 1e-12, "epochs": 1}
    method = registry.method_class(registry.find("methods")["msg"])
    model = request.hand_to(registry.build(method, "msg", settings), copy.deepcopy(start))
    model.zero_grad()
    pixels = request.retain.images.float() / 255
    functional.cross_entropy(model(pixels), request.retain.labels).backward()  # type: ignore[no-untyped-call]
    expected = convolutional_gradient(request.retain)(weights(start))
    found = [p.grad.double().numpy() for p in model.parameters() if p.grad is not None]
    all_close(found, expected)
