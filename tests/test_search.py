"""The adversarial search, on linear models whose nearest flip is known in closed form."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from unlearnbench.recipe import Recipe
from unlearnbench.toolkit import Examples, adversarial, adversarial_examples
from unlearnbench.toolkit.adversarial import (
    CLOSEST_STEPS,
    STEPS,
    Search,
    adversarial_search,
    closest_search,
    negative_margin,
    one_step_search,
    paper_search,
)
from unlearnbench.toolkit.counting import counted
from unlearnbench.toolkit.recorder import Recorder, recording

SIDE = 4
RADIUS = 0.04


class Linear(nn.Module):
    """Two classes, decided by w.x + b > 0."""

    def __init__(self, w: Tensor, b: float) -> None:
        super().__init__()
        self.w = nn.Parameter(w)
        self.b = b
        self.calls = 0
        counted(self)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += len(x)
        score = x.flatten(1) @ self.w + self.b
        return torch.stack((-score / 2, score / 2), 1)


def problem(distance: float, count: int = 1) -> tuple[Linear, Examples]:
    """Images at a known l2 distance from the boundary, of class 1, far from the edges of [0, 1]."""
    w = torch.randn(SIDE * SIDE, generator=torch.Generator().manual_seed(0))
    images = torch.full((count, 1, SIDE, SIDE), 0.5)
    b = distance * float(w.norm()) - float(w.sum()) * 0.5
    labels = torch.ones(count, dtype=torch.int64)
    return Linear(w, b), Examples(images, labels, torch.ones(count, dtype=torch.bool), Recipe())


@pytest.mark.parametrize("distance", [0.003, 0.03, 0.05, 0.11, 0.3])
def test_stops_just_over_the_boundary_of_a_linear_model(distance: float) -> None:
    model, examples = problem(distance)
    found = paper_search(model, examples, radius=RADIUS)
    moved = float((found.images - examples.images).norm())
    # The first radius, doubled until its ball reaches the boundary; one step of it at most beyond.
    doublings = max(0, math.ceil(math.log2(distance / RADIUS)))
    radius = RADIUS * 2**doublings
    assert bool(found.flipped) and found.labels.item() == 0
    assert found.radius.item() == pytest.approx(radius)
    assert distance < moved <= distance + 0.1 * radius + 1e-6


# 0.03: steps of 0.004 reach it in 8. 0.05: fifty steps end on the ball of 0.04, from where steps of
# 0.008 need 2 (a restart from the clean image would need 7). 0.11: 0.08 + 2 x 0.016 = 0.112.
@pytest.mark.parametrize(
    ("distance", "expected"), [(0.03, 8), (0.05, STEPS + 2), (0.11, 2 * STEPS + 2)]
)
def test_goes_on_from_the_current_point_when_the_radius_doubles(
    distance: float, expected: int
) -> None:
    model, examples = problem(distance)
    recorder = Recorder()
    with recording(recorder):
        paper_search(model, examples, radius=RADIUS)
    assert recorder.gradients == expected


@pytest.mark.parametrize("steps", [10, 20, 70])
def test_the_radius_doubles_after_as_many_steps_as_are_asked_for(steps: int) -> None:
    """Ten of a tenth of the radius end on the ball, two of the next radius reach the boundary."""
    model, examples = problem(0.05)
    recorder = Recorder()
    with recording(recorder):
        pairs = adversarial_examples(model, examples, radius=RADIUS, steps=steps)
    assert recorder.notes["adversarial search"]["gradients"] == steps + 2
    moved = float((pairs.images - examples.images).norm())
    assert moved == pytest.approx(RADIUS + 2 * 0.1 * 2 * RADIUS, abs=1e-5)


def test_direction_is_the_normal_of_the_boundary() -> None:
    model, examples = problem(0.11)
    found = paper_search(model, examples, radius=RADIUS)
    moved = (found.images - examples.images).flatten()
    cosine = torch.cosine_similarity(moved, -model.w.detach(), dim=0)
    assert cosine.item() == pytest.approx(1.0, abs=1e-5)


def test_misclassified_sample_keeps_its_image_and_its_wrong_label() -> None:
    model, examples = problem(-0.1)
    recorder = Recorder()
    with recording(recorder):
        found = paper_search(model, examples, radius=RADIUS)
    assert torch.equal(found.images, examples.images)
    assert found.labels.item() == 0 and found.radius.item() == 0 and bool(found.flipped)
    assert recorder.gradients == 0


def test_images_stay_in_the_unit_cube() -> None:
    model, examples = problem(0.3)
    edge = examples.images.clone()
    edge[..., :2] = 0.0
    edge[..., 2:] = 1.0
    moved = Examples(edge, examples.labels, examples.augment, examples.recipe)
    found = paper_search(model, moved, radius=RADIUS)
    assert found.images.min() >= 0 and found.images.max() <= 1


def test_sample_that_nothing_flips_is_reported_and_left_out() -> None:
    model, examples = problem(0.05, count=3)
    deaf = Linear(model.w.detach() * 0, 1.0)
    recorder = Recorder()
    with recording(recorder):
        pairs = adversarial_examples(deaf, examples, radius=RADIUS)
    assert len(pairs) == 0
    note = recorder.notes["adversarial search"]
    assert note["not flipped"] == 3 and note["samples"] == 3
    # Doubled while the ball is smaller than the cube's diagonal, and no longer.
    levels = math.floor(math.log2(math.sqrt(SIDE * SIDE) / RADIUS)) + 1
    assert recorder.gradients == 3 * levels * STEPS


def test_samples_that_are_done_leave_the_batch() -> None:
    model, _ = problem(0.05)
    depth = torch.tensor([0.03, 0.11, 0.3, 0.03])
    normal = model.w.detach() / model.w.detach().norm()
    images = torch.full((4, SIDE * SIDE), 0.5) + (depth - 0.05)[:, None] * normal
    labels = torch.ones(4, dtype=torch.int64)
    augment = torch.ones(4, dtype=torch.bool)
    examples = Examples(images.view(4, 1, SIDE, SIDE), labels, augment, Recipe())
    alone = []
    for index in range(4):
        recorder = Recorder()
        with recording(recorder):
            paper_search(model, examples.select(torch.tensor([index])), radius=RADIUS)
        alone.append(recorder.gradients)
    for batch in (1, 2, 3, 100):
        recorder, model.calls = Recorder(), 0
        with recording(recorder):
            found = paper_search(model, examples, radius=RADIUS, batch=batch)
        assert recorder.gradients == sum(alone), "no gradient is spent on samples that are done"
        assert model.calls == sum(alone) + 4, "one look a step, and the last one"
        assert bool(found.flipped.all())


def test_adversarial_pairs_are_not_augmented_and_carry_the_models_labels() -> None:
    model, examples = problem(0.05, count=2)
    pairs = adversarial_examples(model, examples, radius=RADIUS)
    assert not pairs.augment.any() and pairs.labels.tolist() == [0, 0]
    assert all(p.requires_grad for p in model.parameters()), "frozen only during the search"


@pytest.mark.parametrize("search", ["paper", "closest", "one-step"])
def test_a_search_leaves_batchnorm_and_what_is_frozen_alone(search: Search) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    frozen = net[0].requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    adversarial_search(net.train(), problem(0.05, count=3)[1], search=search, radius=RADIUS, seed=1)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    asked = {name for name, value in net.named_parameters() if value.requires_grad}
    assert asked == {name for name, _ in net.named_parameters()} - {"0.weight", "0.bias"}
    assert not any(value.requires_grad for value in frozen.parameters())


def test_margin_has_the_direction_of_the_cross_entropy_and_does_not_underflow() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5]], dtype=torch.float64, requires_grad=True)
    label = torch.tensor([0])
    ours = torch.autograd.grad(negative_margin(logits, label).sum(), logits)[0]
    theirs = torch.autograd.grad(nn.functional.cross_entropy(logits, label), logits)[0]
    wrong = 1 - logits.softmax(1)[0, 0]
    assert torch.allclose(ours * wrong, theirs)
    sure = torch.tensor([[300.0, 0.0]], requires_grad=True)
    assert torch.autograd.grad(nn.functional.cross_entropy(sure, label), sure)[0].norm() == 0
    assert torch.autograd.grad(negative_margin(sure, label).sum(), sure)[0].norm() > 1


def test_looking_less_often_finds_the_same_and_counts_the_same() -> None:
    model, _ = problem(0.05)
    depth = torch.tensor([0.03, 0.11, 0.3, 0.03, -0.02])
    normal = model.w.detach() / model.w.detach().norm()
    images = torch.full((5, SIDE * SIDE), 0.5) + (depth - 0.05)[:, None] * normal
    labels = torch.ones(5, dtype=torch.int64)
    augment = torch.ones(5, dtype=torch.bool)
    examples = Examples(images.view(5, 1, SIDE, SIDE), labels, augment, Recipe())
    found, gradients = [], []
    for look in (1, 5, 7):
        recorder = Recorder()
        with recording(recorder):
            found.append(paper_search(model, examples, radius=RADIUS, batch=2, look=look))
        gradients.append(recorder.gradients)
    assert gradients[0] == gradients[1] == gradients[2] > 0
    for other in found[1:]:
        for name in ("images", "labels", "radius", "flipped"):
            assert torch.equal(getattr(found[0], name), getattr(other, name)), name


@pytest.mark.parametrize("distance", [0.003, 0.05, 0.3])
def test_closest_search_reaches_the_boundary_of_a_linear_model(distance: float) -> None:
    model, examples = problem(distance, count=3)
    recorder = Recorder()
    with recording(recorder):
        found = closest_search(model, examples)
    moved = (found.images - examples.images).flatten(1).norm(dim=1)
    assert bool(found.flipped.all()) and found.labels.tolist() == [0, 0, 0]
    assert bool((model(found.images).argmax(1) == 0).all()), "what it returns has flipped"
    assert torch.allclose(moved, torch.full((3,), distance), rtol=0.01)
    assert torch.allclose(found.radius, moved, atol=1e-6)
    assert recorder.gradients == 3 * CLOSEST_STEPS


def test_closest_search_keeps_what_is_misclassified_and_spends_nothing_on_it() -> None:
    model, examples = problem(-0.1)
    recorder = Recorder()
    with recording(recorder):
        found = closest_search(model, examples)
    assert torch.equal(found.images, examples.images) and bool(found.flipped)
    assert found.labels.item() == 0 and found.radius.item() == 0 and recorder.gradients == 0


def test_what_the_closest_search_does_not_flip_is_left_to_the_papers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, examples = problem(0.11, count=3)
    monkeypatch.setattr(adversarial, "closest_search", partial(closest_search, steps=0))
    recorder = Recorder()
    with recording(recorder):
        pairs = adversarial_examples(model, examples, radius=RADIUS, search="closest")
    paper = adversarial_examples(model, examples, radius=RADIUS)
    assert torch.equal(pairs.images, paper.images) and torch.equal(pairs.labels, paper.labels)
    assert recorder.notes["adversarial search"]["gradients"] == 3 * (2 * STEPS + 2)


@pytest.mark.parametrize("distance", [0.003, 0.05, 0.3])
def test_one_step_search_stays_in_the_first_cube_in_which_a_step_flips(distance: float) -> None:
    model, examples = problem(distance, count=3)
    recorder = Recorder()
    with recording(recorder):
        found = one_step_search(model, examples, radius=RADIUS, seed=1)
    away = found.images - examples.images
    # A corner of the cube, in the direction that lowers the margin of a linear model the most.
    half_sides = found.radius / SIDE
    reach = half_sides * float(model.w.detach().abs().sum() / model.w.detach().norm())
    assert bool(found.flipped.all()) and found.labels.tolist() == [0, 0, 0]
    assert bool((away.abs().flatten(1).amax(1) <= half_sides + 1e-6).all())
    assert bool((away.flatten(1).norm(dim=1) <= found.radius + 1e-6).all())
    assert bool((reach >= distance).all()) and bool((reach < 4 * max(distance, RADIUS)).all())
    tries = sum(round(math.log2(r / RADIUS)) + 1 for r in found.radius.tolist())
    assert recorder.gradients == tries, "one gradient a try"


def test_one_step_search_draws_from_its_seed_and_gives_up_at_the_end() -> None:
    model, examples = problem(0.2, count=4)
    images = [one_step_search(model, examples, radius=RADIUS, seed=s).images for s in (1, 1, 2)]
    assert torch.equal(images[0], images[1]) and not torch.equal(images[0], images[2])
    wrong, others = problem(-0.1)
    assert torch.equal(one_step_search(wrong, others, radius=RADIUS, seed=1).images, others.images)
    deaf = Linear(model.w.detach() * 0, 1.0)
    assert not bool(one_step_search(deaf, examples, radius=RADIUS, seed=1).flipped.any())
