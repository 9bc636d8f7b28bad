"""Optimisers and learning rates: the same bits as PyTorch's classes, without their imports."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, StepLR

from unlearnbench.execution import contract
from unlearnbench.recipe import Recipe
from unlearnbench.toolkit.optimisers import (
    SGD,
    Adam,
    Optimiser,
    cosine,
    one_cycle,
    optimiser,
    step_decay,
)


@pytest.mark.parametrize("kind", ["sgd", "sgd with momentum", "adam", "adam, decayed", "adamw"])
def test_steps_are_those_of_torch(kind: str) -> None:
    ours, theirs = contract.small_model(0), contract.small_model(0)
    optimiser: Optimiser
    reference: torch.optim.Optimizer
    if kind.startswith("adam"):
        decay, lr = 0.0 if kind == "adam" else 0.1, 0.01
        decoupled = kind == "adamw"
        optimiser = Adam(ours.parameters(), weight_decay=decay, decoupled=decoupled)
        kept = torch.optim.AdamW if decoupled else torch.optim.Adam
        reference = kept(theirs.parameters(), lr=lr, weight_decay=decay)
    else:
        momentum, decay = 0.9 if "momentum" in kind else 0.0, 5e-4
        optimiser, lr = SGD(ours.parameters(), momentum=momentum, weight_decay=decay), 0.1
        reference = torch.optim.SGD(
            theirs.parameters(), lr=lr, momentum=momentum, weight_decay=decay, foreach=False
        )
    for pixels, labels in contract.examples(40).batches(8):
        for model in (ours, theirs):
            model.zero_grad()
            functional.cross_entropy(model(pixels), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step(lr)
        reference.step()
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_a_parameter_without_gradient_stays(kind: str) -> None:
    moved, left = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    both = [moved, left]
    optimiser = SGD(both, momentum=0.9, weight_decay=0.1) if kind == "sgd" else Adam(both)
    moved.grad = torch.ones(2)
    optimiser.step(1.0)
    there = moved.tolist()
    assert left.tolist() == [1, 1] and there != [1, 1]
    optimiser.clear()
    optimiser.step(1.0)
    assert moved.tolist() == there


@pytest.mark.parametrize("steps", [1, 2, 5, 240])
def test_one_cycle_is_that_of_torch(steps: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    theirs = OneCycleLR(
        optimizer,
        0.1,
        total_steps=steps + 1,
        pct_start=0.25,
        anneal_strategy="linear",
        cycle_momentum=False,
    )
    ours = one_cycle(0.1, steps)
    for step in range(steps):
        assert ours(step) == theirs.get_last_lr()[0]
        optimizer.step()
        theirs.step()


def test_one_cycle_of_three_steps_starts_at_its_peak() -> None:
    assert one_cycle(0.1, 3)(0) == 0.1  # where torch divides by zero


def test_step_decay_is_that_of_torch() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.3)
    theirs, ours = StepLR(optimizer, 2, gamma=0.1), step_decay(0.3, 2)
    for epoch in range(12):
        assert ours(epoch) == theirs.get_last_lr()[0]
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_cosine_is_that_of_torch(steps: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.3)
    theirs, ours = CosineAnnealingLR(optimizer, steps), cosine(0.3, steps)
    for step in range(steps + 1):
        assert ours(step) == pytest.approx(theirs.get_last_lr()[0], abs=1e-15)
        optimizer.step()
        theirs.step()


def test_a_recipe_says_what_moves_the_weights() -> None:
    def moved(recipe: Recipe) -> torch.Tensor:
        parameter = torch.nn.Parameter(torch.ones(1))
        mover = optimiser([parameter], recipe)
        for _ in range(2):
            parameter.grad = torch.tensor([2.0])
            mover.step(0.1)
        return parameter.detach()

    recipe = Recipe(momentum=0.5, weight_decay=0.0)
    assert moved(recipe) == pytest.approx(1 - 0.2 - 0.3)
    assert moved(recipe.but(momentum=0.0)) == pytest.approx(1 - 0.4)
    assert moved(recipe.but(optimizer="adam")) == pytest.approx(1 - 0.2)
    assert moved(recipe.but(optimizer="adamw", weight_decay=0.5)) == pytest.approx(0.95**2 - 0.195)
    assert recipe.but(momentum=None) == recipe


@pytest.mark.slow
def test_training_does_not_import_the_compiler() -> None:
    words = "import sys; from unlearnbench.execution import contract;"
    words += "from unlearnbench.toolkit import train;"
    words += "train(contract.small_model(0), contract.examples(8), seed=1);"
    words += "sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", words], check=False).returncode == 0


@pytest.mark.parametrize("fused", [False, True])
def test_momentum_may_begin_at_any_step(fused: bool) -> None:
    """Where a method frees a layer later, or a loss does not reach one at first."""
    ours, theirs = ([torch.nn.Parameter(torch.ones(3)) for _ in range(3)] for _ in range(2))
    own = SGD(ours, momentum=0.9, weight_decay=0.1)
    own.fused = fused
    reference = torch.optim.SGD(theirs, lr=0.1, momentum=0.9, weight_decay=0.1, foreach=False)
    for step in range(3):
        for parameters in (ours, theirs):
            for number, parameter in enumerate(parameters):
                parameter.grad = torch.full((3,), 1.0 + number) if number <= step else None
        own.step(0.1)
        reference.step()
    for one, two in zip(ours, theirs, strict=True):
        assert torch.allclose(one, two, atol=1e-6 if fused else 0)
    assert all(torch.isfinite(p).all() for p in ours)
