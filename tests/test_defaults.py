"""What the defaults of every method do to a small model of a few hundred images.

Most are their authors' values, chosen for large models and data sets. Where they do next to nothing
here, or ruin the model, the method's page says so, in the same words for all, and nowhere else.
"""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from statistics import mean

import pytest
import torch
from torch import nn

import unlearnbench as ub
from docs.builder.recipes import paragraphs
from unlearnbench import registry
from unlearnbench.authoring import Task
from unlearnbench.data.prepare import draw_samples
from unlearnbench.execution.building import build_model
from unlearnbench.execution.pool import examples_of
from unlearnbench.outline import settings_class
from unlearnbench.planning import reading
from unlearnbench.planning.plan import RETRAIN
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import Examples, outputs, train

BENCHMARK = reading.validate(reading.read(reading.locate("digits")))
SIDE = 4
"""At 8x8 a retrained model is as sure of D_F as the original, so that nothing seems to move."""
CPU, SEEDS = torch.device("cpu"), (1, 2, 3, 4)
MUCH = 1 / 10
"""Of what retraining changes. Less than another original changes is next to nothing; what is in
between is small, and may be called either."""
NOTHING, RUIN = (
    f"Its defaults, most of them its authors', {what} a small model of a few hundred images and"
    " have to be tuned there."
    for what in ("do next to nothing to", "ruin")
)


def build(seed: int) -> nn.Module:
    return build_model(BENCHMARK.model, seed, 10, 1, SIDE)


@cache
def samples() -> tuple[Examples, Examples, Examples]:
    """Return the training, validation and test set."""
    spec = BENCHMARK.data.model_copy(update={"size": SIDE})
    data = draw_samples(registry.source(spec, Path()), spec)
    made = (examples_of(a, BENCHMARK.recipe, CPU) for a in (data.train, data.validation, data.test))
    training, validation, test = made
    return training, validation, test


@cache
def request(seed: int) -> Task:
    """Train an original, to be asked to forget every tenth sample from `seed` on."""
    training, validation, _ = samples()
    forgotten = torch.arange(len(training)) % 10 == seed
    return Task(
        forget=training.select(forgotten),
        retain=training.select(~forgotten),
        classes=10,
        seed=seed_for(seed, "unlearn"),
        device=CPU,
        recipe=BENCHMARK.recipe,
        original=train(build(seed), training, seed=seed).eval().requires_grad_(False),
        validation=validation,
        build=build,
    )


def change(task: Task, model: nn.Module) -> float:
    """Return by how much the probabilities of D_F's labels are not the original's, in the mean."""
    given = (outputs(one, task.forget).double().softmax(1) for one in (model, task.original))
    own, before = (p.gather(1, task.forget.labels[:, None]) for p in given)
    return float((own - before).abs().mean())


@cache
def effect(name: str) -> tuple[float, float]:
    """Return the change that a method makes, and its test accuracy in percent; mean over SEEDS."""
    test, changes, right = samples()[2], [], []
    for task in map(request, SEEDS):
        start = copy.deepcopy(task.original).requires_grad_(True)
        model = task.hand_to(ub.method(name), start)
        changes.append(change(task, model))
        right.append(float((outputs(model, test).argmax(1) == test.labels).float().mean()))
    return mean(changes), 100 * mean(right)


@cache
def chance() -> float:
    """Return by how much originals differ that are trained from other seeds."""
    others = (train(build(seed), samples()[0], seed=seed) for seed in range(101, 101 + len(SEEDS)))
    return mean(map(change, map(request, SEEDS), others))


@pytest.mark.slow
@pytest.mark.parametrize("plugin", registry.find("methods").values(), ids=lambda one: one.name)
def test_pages_say_where_defaults_do_next_to_nothing_or_ruin_the_model(
    plugin: registry.Plugin,
) -> None:
    about = paragraphs(settings_class(plugin).__doc__ or "")["about"]
    (moved, accuracy), (as_retrained, usual) = effect(plugin.name), effect(RETRAIN)
    lost = usual - accuracy
    found = f"moves D_F by {moved:.4f} ({chance():.4f} by chance, {as_retrained:.4f} retrained)"
    assert NOTHING in about or moved >= chance(), found
    assert NOTHING not in about or moved <= MUCH * as_retrained, found
    assert (RUIN in about) == (lost > BENCHMARK.limits.utility), f"loses {lost:.1f} points"
