"""The training loop, masks, penalties and augmentation, against what can be done by hand."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench.errors import MethodError
from unlearnbench.execution import contract
from unlearnbench.recipe import Recipe
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import (
    Examples,
    Trainer,
    cosine,
    features,
    finetune,
    last_layer,
    outputs,
    random_labels,
    saliency_mask,
    train,
    training,
)
from unlearnbench.toolkit.counting import counted
from unlearnbench.toolkit.examples import augmented
from unlearnbench.toolkit.optimisers import Schedule
from unlearnbench.toolkit.recorder import Recorder, recording

PLAIN = Recipe(batch_size=8, momentum=0.0, weight_decay=0.0)


def linear(seed: int = 0) -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 8)
    return model


def some(count: int = 8, recipe: Recipe = PLAIN) -> Examples:
    e = contract.examples(count)
    return Examples(e.images, e.labels, e.augment, recipe)


@pytest.mark.parametrize("sign", [1, -1])
def test_one_step_is_gradient_descent_or_ascent(sign: int) -> None:
    model, examples = linear(), some()
    loss = functional.cross_entropy(model(examples.pixels), examples.labels)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    expected = [p - sign * 0.1 * g for p, g in zip(model.parameters(), gradients, strict=True)]
    trainer = Trainer(model, PLAIN, lr=0.1, seed=0)
    mean = trainer.epoch(examples, sign=1 if sign == 1 else -1)
    assert mean == pytest.approx(loss.item(), abs=1e-6)
    for parameter, value in zip(model.parameters(), expected, strict=True):
        assert torch.allclose(parameter, value, atol=1e-6)


def test_l1_penalty_moves_every_parameter_by_its_sign() -> None:
    with_penalty, without = linear(), linear()
    before = copy.deepcopy(with_penalty)
    Trainer(with_penalty, PLAIN, lr=0.1, seed=0).epoch(some(), l1=0.02)
    Trainer(without, PLAIN, lr=0.1, seed=0).epoch(some())
    parameters = zip(
        before.parameters(), with_penalty.parameters(), without.parameters(), strict=True
    )
    for start, penalised, plain in parameters:
        assert torch.allclose(plain - penalised, 0.1 * 0.02 * start.sign(), atol=1e-6)


def test_masked_weights_stay_bit_equal_under_momentum_and_weight_decay() -> None:
    recipe = Recipe(batch_size=8, momentum=0.9, weight_decay=0.1)
    examples, model = some(24, recipe), linear()
    mask = saliency_mask(model, examples, keep=0.3)
    assert mask is not None
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    finetune(model, examples, lr=0.1, epochs=3, seed=0, mask=mask)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter[~mask[name]], before[name][~mask[name]])
        assert (parameter[mask[name]] != before[name][mask[name]]).all()


def test_saliency_mask_keeps_the_largest_gradients_of_all_parameters_together() -> None:
    model, examples = linear(), some(20)
    loss = functional.cross_entropy(model(examples.pixels), examples.labels, reduction="sum")
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    flat = torch.cat([g.abs().flatten() for g in gradients])
    mask = saliency_mask(model, examples, keep=0.25)
    assert mask is not None
    kept = torch.cat([m.flatten() for m in mask.values()])
    assert kept.sum() == int(0.25 * len(flat))
    assert flat[kept].min() >= flat[~kept].max() - 1e-5
    assert saliency_mask(model, examples, keep=1.0) is None


def test_saliency_mask_touches_no_gradient_and_takes_a_frozen_model() -> None:
    model, examples = linear(), some(20)
    frozen = copy.deepcopy(model).requires_grad_(False)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    mask, same = (saliency_mask(m, examples, keep=0.25) for m in (model, frozen))
    assert mask is not None and same is not None
    assert all(torch.equal(mask[name], same[name]) for name in mask)
    assert all(p.grad is not None and bool((p.grad == 1).all()) for p in model.parameters())
    assert all(p.grad is None and not p.requires_grad for p in frozen.parameters())


def test_learning_rate_decays_between_epochs() -> None:
    moved = []
    for epochs in (1, 2, 3):
        model = linear()
        finetune(model, some(), lr=1e-3, epochs=epochs, seed=0, decay_every=1)
        moved.append(torch.cat([p.flatten() for p in model.parameters()]).detach())
    first, second = (moved[1] - moved[0]).norm(), (moved[2] - moved[1]).norm()
    assert float(second / first) == pytest.approx(0.1, rel=0.05)


def test_every_example_is_seen_once_an_epoch() -> None:
    examples = some(19)
    seen = [labels for _, labels in examples.shuffled(torch.Generator().manual_seed(1))]
    assert [len(labels) for labels in seen] == [8, 8, 3]
    counts = torch.bincount(torch.cat(seen)).tolist()
    assert counts == torch.bincount(examples.labels).tolist()


def test_training_fits_and_repeats_bit_for_bit() -> None:
    recorder = Recorder()
    with recording(recorder):
        first = train(counted(contract.small_model(0)), contract.examples(48), seed=3)
    second = train(contract.small_model(0), contract.examples(48), seed=3)
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    losses = [entry["loss"] for entry in recorder.trace]
    assert len(losses) == contract.RECIPE.epochs and losses[-1] < losses[0] / 2
    assert recorder.gradients == 48 * contract.RECIPE.epochs


def test_augmentation_is_a_shift_and_a_flip_of_what_may_be_augmented() -> None:
    recipe = Recipe(crop=2, flip=True)
    pixels = torch.rand(200, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    where = torch.arange(200) % 2 == 0
    made = augmented(pixels, where, recipe, torch.Generator().manual_seed(1))
    assert torch.equal(made[~where], pixels[~where])
    padded = functional.pad(pixels, (2, 2, 2, 2))
    seen = set()
    for index in where.nonzero().flatten().tolist():
        matches = [
            (dy, dx, flip)
            for dy in range(5)
            for dx in range(5)
            for flip in (False, True)
            if torch.equal(
                made[index],
                (padded[index].flip(-1) if flip else padded[index])[:, dy : dy + 6, dx : dx + 6],
            )
        ]
        assert matches, "not a shift and flip of the image"
        seen.update(matches)
    assert len(seen) > 40, "shifts and flips of every kind occur"


def test_wrong_labels_are_wrong_and_uniform() -> None:
    examples = some(3000)
    wrong = random_labels(examples, 3, seed=1)
    assert (wrong.labels != examples.labels).all()
    counts = torch.bincount((wrong.labels - examples.labels) % 3, minlength=3)
    assert counts[0] == 0 and abs(int(counts[1]) - 1500) < 120
    assert not torch.equal(wrong.labels, random_labels(examples, 3, seed=2).labels)


def test_joining_bytes_and_floats_keeps_the_pixels() -> None:
    examples = some(4)
    floats = Examples(examples.pixels, examples.labels, examples.augment, PLAIN)
    both = examples + floats.unaugmented()
    assert both.images.dtype == torch.float32 and len(both) == 8
    assert torch.equal(both.images[:4], both.images[4:])
    assert both.augment.tolist() == [True] * 4 + [False] * 4
    assert (examples + None) is examples


@pytest.mark.parametrize(
    "name",
    [
        "small-cnn",
        "resnet8",
        "resnet18",
        pytest.param("vgg19-bn", marks=pytest.mark.slow),
        "mobilenet-v2",
        "small-vit",
        "cifarnet",
    ],
)
def test_models_map_images_to_classes(name: str) -> None:
    from unlearnbench import registry

    channels, size = (1, 8) if name == "small-cnn" else (3, 32)
    model = registry.find("models")[name].load().build(7, channels, size).eval()
    assert model(torch.rand(2, channels, size, size)).shape == (2, 7)


def test_a_profile_says_where_the_time_goes_and_changes_nothing() -> None:
    models = []
    for recorder in (Recorder(), Recorder(profile={})):
        with recording(recorder):
            models.append(train(contract.small_model(0), contract.examples(48), seed=3))
    assert recorder.profile is not None
    assert list(recorder.profile) == ["data", "forward and backward", "update"]
    assert all(seconds > 0 for seconds in recorder.profile.values())
    for a, b in zip(*(m.state_dict().values() for m in models), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [
        (17, 8, [8, 9]),
        (16, 8, [8, 8]),
        (9, 8, [9]),
        (1, 8, [1]),
        (2, 1, [1, 1]),
        (18, 8, [8, 8, 2]),
    ],
)
def test_no_batch_of_one_is_left_over(count: int, size: int, sizes: list[int]) -> None:
    shown = some(count).batched(size)
    seen = [len(labels) for _, labels in shown.shuffled(torch.Generator().manual_seed(0))]
    assert seen == shown.sizes == sizes


def test_batchnorm_trains_on_one_more_than_its_batches() -> None:
    examples = contract.examples(contract.RECIPE.batch_size + 1)
    made = train(contract.small_model(0), examples, seed=0)
    assert all(torch.isfinite(value).all() for value in made.state_dict().values())


def test_a_loss_knows_which_samples_of_a_mixed_batch_are_marked() -> None:
    forget, retain = some(8).select(torch.arange(8) < 3), some(8).select(torch.arange(8) >= 3)
    mixed = forget.marked(1) + retain
    assert (retain + forget.marked(torch.tensor([5, 6, 7]))).marks_or_zeros().tolist() == [
        *[0] * 5,
        *[5, 6, 7],
    ]
    assert mixed.select(torch.tensor([0, 7])).marks_or_zeros().tolist() == [1, 0]
    seen = dict[bytes, int]()

    def loss(pixels: Tensor, labels: Tensor, marks: Tensor) -> Tensor:
        seen.update(zip((p.numpy().tobytes() for p in pixels), marks.tolist(), strict=True))
        return functional.cross_entropy(model(pixels), labels)

    model = linear()
    finetune(model, mixed, lr=0.1, epochs=1, loss=loss, seed=0)
    of_forget = {p.numpy().tobytes() for p in forget.pixels}
    assert {one for one, mark in seen.items() if mark} == of_forget and len(seen) == 8


def test_epochs_are_noted_by_the_loop() -> None:
    recorder, told = Recorder(), []
    recorder.on_epoch = lambda number, of: told.append((number, of))
    with recording(recorder):
        trainer = Trainer(linear(), PLAIN, lr=0.1, seed=0)
        for _ in trainer.epochs(3):
            trainer.epoch(some(8), sign=-1)
            trainer.epoch(some(8))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert recorder.trace[-1] == {"epoch": 3, "loss": trainer.mean_loss}


def test_fine_tuning_along_a_cosine() -> None:
    asked, fixed = list[tuple[int, int]](), linear()

    def schedule(lr: float, steps: int) -> Schedule:
        def rate(step: int) -> float:
            asked.append((step, steps))
            return cosine(lr, steps)(step)

        return rate

    finetune(fixed, some(20), lr=0.4, epochs=2, seed=0, schedule=schedule)
    assert asked == [(step, 6) for step in range(6)]


def test_features_are_what_the_last_layer_is_given() -> None:
    model = contract.small_model(0)
    examples = contract.examples(5)
    given, layer = features(model, examples), last_layer(model)
    assert torch.allclose(layer(given), outputs(model, examples), atol=1e-6)
    with pytest.raises(MethodError, match="no linear layer"):
        last_layer(nn.Flatten())


def test_features_of_a_named_layer_are_its_outputs() -> None:
    """The ReLU after it works in place, on what it hands on."""
    model, examples = contract.small_model(0), contract.examples(600)  # two batches
    assert isinstance(model, nn.Sequential)
    images = examples.pixels
    made = model.eval()[:2](images).flatten(1)
    assert made.min() < 0
    assert torch.allclose(features(model, examples, "1"), made, atol=1e-5)
    assert not any(module._forward_hooks for module in model)
    assert features(contract.small_model(0), examples, "10").shape == (600, 512)


def test_a_layer_that_cannot_be_read_is_told() -> None:
    relu = nn.ReLU()
    model = nn.Sequential(nn.Flatten(), relu, nn.Linear(64, 3), relu)
    with pytest.raises(MethodError, match=r"no layer 'fc'. Some that it has: 0, 1, 2.$"):
        features(model, contract.examples(3), "fc")
    with pytest.raises(MethodError, match="'1' is not called once a batch"):
        features(model, contract.examples(3), "1")


def by_hand(
    recipe: Recipe, model: nn.Module, examples: Examples, clip: float | None
) -> list[float]:
    """Train in plain PyTorch, batches in the order of the toolkit; return the rates."""
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=recipe.weight_decay)
    draw = torch.Generator().manual_seed(seed_for(3, "batches"))
    rates, steps, rising = [], 2 * recipe.epochs, 2 * recipe.warm_up
    for step in range(steps):
        if step % 2 == 0:
            batches = examples.shuffled(draw)
        falling = (step - rising) / (steps - rising)
        rates.append(
            recipe.lr * ((step + 1) / rising if falling < 0 else (1 + np.cos(np.pi * falling)) / 2)
        )
        optimiser.param_groups[0]["lr"] = rates[-1]
        pixels, labels = next(batches)[:2]
        target = functional.one_hot(labels, 3) * (1 - 0.2) + 0.2 / 3
        loss = -(target * functional.log_softmax(model(pixels), dim=1)).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
        if clip is not None and norm > clip:
            for gradient in gradients:
                gradient *= clip / norm
        optimiser.step()
    return rates


@pytest.mark.parametrize("clip", [None, 0.05])
def test_warm_up_smoothing_and_clipping_are_what_plain_torch_does(clip: float | None) -> None:
    recipe = Recipe(
        epochs=4,
        lr=0.01,
        schedule="cosine",
        warm_up=2,
        batch_size=8,
        optimizer="adamw",
        weight_decay=0.05,
        label_smoothing=0.2,
        clip_norm=clip,
    )
    ours, theirs, examples = linear(), linear(), some(16, recipe)
    train(ours, examples, seed=3)
    rates = by_hand(recipe, theirs, examples, clip)
    assert rates[:5] == pytest.approx([0.0025, 0.005, 0.0075, 0.01, 0.01])
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-6)


def test_steps_of_decay_are_counted_from_the_end_of_the_warm_up() -> None:
    recipe = Recipe(epochs=5, lr=1.0, schedule="step", decay_every=2, warm_up=1)
    rate = training.by_recipe(recipe, 2)
    assert [rate(step) for step in range(10)] == pytest.approx([0.5, 1, 1, 1, 1, 1, *[0.1] * 4])


def test_fine_tuning_clips_gradients_of_what_is_trained_and_smooths_no_labels() -> None:
    """Steps of SGD without momentum are gradients: their length is the norm they are clipped to."""
    recipe = PLAIN.but(clip_norm=0.01, label_smoothing=0.5)
    model, plain = linear(), linear()
    mask = {name: torch.rand(p.shape) < 0.5 for name, p in model.named_parameters()}
    before = [p.detach().clone() for p in model.parameters()]
    finetune(model, some(8, recipe), lr=1.0, epochs=1, seed=0, mask=mask)
    moved = [(p - old).flatten() for p, old in zip(model.parameters(), before, strict=True)]
    assert float(torch.cat(moved).detach().norm()) == pytest.approx(0.01, rel=1e-3)
    finetune(plain, some(8, PLAIN), lr=1.0, epochs=1, seed=0, mask=mask)
    apart = torch.cat([(p - o).flatten() for p, o in zip(plain.parameters(), before, strict=True)])
    assert torch.allclose(torch.cat(moved), apart * (0.01 / apart.norm()), atol=1e-7)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"warm_up": 1}, "one-cycle rises by itself: set schedule to cosine or step"),
        ({"warm_up": 4, "schedule": "cosine"}, "it must be less than epochs"),
        ({"label_smoothing": 1.0}, "less than 1"),
        ({"clip_norm": 0.0}, "greater than 0"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Recipe.model_validate({"epochs": 4} | changes)


def test_settings_that_came_later_leave_ids_as_they_were() -> None:
    recipe = Recipe(schedule="cosine")
    assert recipe.unused >= {"warm_up", "label_smoothing", "clip_norm"}
    given = Recipe(schedule="cosine", warm_up=1, label_smoothing=0.1, clip_norm=1.0)
    assert not given.unused & {"warm_up", "label_smoothing", "clip_norm"}
