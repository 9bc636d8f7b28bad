"""Compiled and captured steps: the same as eager ones, and eager where they cannot be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.test_training import PLAIN, linear, some
from unlearnbench.execution import contract
from unlearnbench.recipe import Recipe
from unlearnbench.toolkit import Trainer, cosine, finetune, saliency_mask, train, training
from unlearnbench.toolkit.counting import counted
from unlearnbench.toolkit.examples import Loss
from unlearnbench.toolkit.graphs import WARM_UP
from unlearnbench.toolkit.recorder import Recorder, recording
from unlearnbench.toolkit.training import LONG, captures, compiles, with_cuda_graphs


@pytest.mark.parametrize(
    ("compiled", "device", "samples", "steps", "expected"),
    [
        ("auto", "cuda", 64, LONG, True),
        ("auto", "cuda", 64, LONG - 1, False),
        ("auto", "cpu", 64, LONG, False),
        ("never", "cuda", 64, LONG, False),
        ("always", "cpu", 64, 1, True),
        ("always", "cuda", 63, LONG, False),
    ],
)
def test_what_is_compiled_follows_from_the_recipe_and_not_from_the_clock(
    compiled: str, device: str, samples: int, steps: int, expected: bool
) -> None:
    recipe = Recipe.model_validate({"compiled": compiled, "batch_size": 64})
    assert compiles(recipe, torch.device(device), samples, steps) is expected


def test_a_compiled_step_begins_where_training_does(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counted(loss: Loss) -> Loss:
        def step(*batch: Tensor) -> Tensor:
            seen.append(len(batch[1]))
            return loss(*batch)

        return step

    monkeypatch.setattr(training, "with_cuda_graphs", counted)
    made = []
    for compiled in ("always", "never"):
        few, recorder = contract.examples(40), Recorder()
        few = few.fed_by(few.recipe.model_copy(update={"compiled": compiled, "epochs": 2}))
        with recording(recorder):
            model = train(contract.small_model(0), few, seed=1)
        made.append(torch.cat([value.flatten().float() for value in model.state_dict().values()]))
        assert recorder.notes.get("training step") == (
            {"used": "compiled"} if compiled == "always" else None
        )
    assert torch.equal(*made), "nothing is left of the passes that warm it up"
    assert seen == [16] * (WARM_UP + 2 * 2), "two full batches an epoch, and the rest eager"


def test_what_does_not_compile_is_eager_unless_it_must_be(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(loss: Loss) -> Loss:
        raise RuntimeError("no compiler\nhere")

    monkeypatch.setattr(training, "with_cuda_graphs", broken)
    few = contract.examples(40)
    must = few.fed_by(few.recipe.model_copy(update={"compiled": "always", "epochs": 1}))
    with pytest.raises(RuntimeError, match="no compiler"):
        train(contract.small_model(0), must, seed=1)
    monkeypatch.setattr(training, "compiles", lambda *given: True)
    with recording(Recorder()) as recorder:
        train(contract.small_model(0), few, seed=1)
    why = "not compiled: RuntimeError: no compiler"
    assert recorder.notes["training step"] == {"used": "eager", "why": why}


@pytest.mark.parametrize("changed", [{}, {"clip_norm": 0.01}, {"momentum": 0.0}], ids=str)
def test_a_captured_step_is_the_eager_one(
    changed: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU; here the step is made again where a graph of it would be replayed."""
    made, steps = [], list[int]()

    def replayed(step: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
        def once() -> Tensor:
            steps.append(1)
            trainer = step.__self__.trainer  # type: ignore[attr-defined]
            taken = trainer.steps
            try:
                with recording(Recorder()):  # no hook is called in a graph, and nothing counted
                    return step()
            finally:
                trainer.steps = taken

        once()  # as it is warmed up
        return once

    monkeypatch.setattr(training, "captured", replayed)
    for capturing in (True, False):
        monkeypatch.setattr(training, "captures", lambda *given, now=capturing: now)
        few = contract.examples(40)
        few = few.fed_by(few.recipe.model_copy(update={"epochs": 3, "lr": 0.1} | changed))
        model = counted(contract.small_model(0))
        mask = saliency_mask(contract.small_model(0), few, keep=0.5)
        with recording(Recorder()) as recorder:
            train(model, few, seed=1)
            assert recorder.gradients == 3 * 40
            finetune(model, few, lr=0.05, epochs=2, seed=2, mask=mask, schedule=cosine)
            assert recorder.gradients == 5 * 40
        made.append(torch.cat([value.flatten().float() for value in model.state_dict().values()]))
        assert recorder.notes.get("training step") == ({"used": "one graph"} if capturing else None)
    assert torch.equal(*made) and made[0].isfinite().all()
    assert len(steps) == 2 + 2 * (3 + 2), "two full batches an epoch, and a last one that is not"


def test_what_cannot_be_captured_is_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(step: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
        step()
        raise RuntimeError("no waiting in a graph\nhere")

    made = []
    for capturing in (True, False):
        monkeypatch.setattr(training, "captured", refused)
        monkeypatch.setattr(training, "captures", lambda *given, now=capturing: now)
        with recording(Recorder()) as recorder:
            model = train(contract.small_model(0), contract.examples(40), seed=1)
        made.append(torch.cat([value.flatten().float() for value in model.state_dict().values()]))
        why = "not captured: RuntimeError: no waiting in a graph"
        expected = {"used": "eager", "why": why} if capturing else None
        assert recorder.notes.get("training step") == expected
    assert torch.equal(*made), "nothing is left of the step that was tried"


class Counting(nn.Module):
    """Count, beside a linear layer, the batches seen in training, in a buffer of no state."""

    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.inside = linear()
        self.register_buffer("seen", torch.zeros(()), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        self.seen = self.seen + self.training
        made: Tensor = self.inside(images)
        return made


def test_nothing_is_left_in_a_model_by_steps_that_are_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def tried(step: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
        step()
        return step

    monkeypatch.setattr(training, "captured", tried)
    model = Counting()
    trainer = Trainer(model, PLAIN, lr=0.1, seed=0)
    with recording(Recorder()):
        trainer.capture(some())
    assert (float(model.seen), trainer.steps) == (0.0, 0)
    assert all(map(torch.equal, model.inside.parameters(), linear().parameters()))


def test_a_model_that_puts_new_tensors_in_the_place_of_its_own_is_trained_eagerly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A graph would read, and write, where the tensors were that it was captured with."""
    monkeypatch.setattr(training, "captured", lambda step, device: (step(), step)[1])
    monkeypatch.setattr(training, "captures", lambda *given: True)
    model = Counting()
    trainer, few = Trainer(model, PLAIN, lr=0.1, seed=0), some()
    with recording(Recorder()) as recorder:
        trainer.epoch(few)
    why = "not captured: RuntimeError: a step replaces tensors of the model"
    assert recorder.notes["training step"] == {"used": "eager", "why": why}
    assert float(model.seen) == trainer.steps == len(few.sizes)


def test_a_captured_step_takes_batches_of_its_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which may be another one than that of the examples which come later."""
    monkeypatch.setattr(training, "captured", lambda step, device: step)
    monkeypatch.setattr(training, "captures", lambda *given: True)
    few, made = contract.examples(48), []
    for sizes in ((8, 16), (16, 16)):
        trainer = Trainer(contract.small_model(0), contract.RECIPE, lr=0.0, seed=0)
        made.append([trainer.epoch(few.unaugmented().batched(size)) for size in sizes])
    assert made[0][1] == pytest.approx(made[1][1], rel=1e-5)


@pytest.mark.parametrize(
    ("compiled", "device", "samples", "expected"),
    [
        ("auto", "cuda", 10 * 64, True),
        ("auto", "cuda", 10 * 64 - 1, False),
        ("auto", "cpu", 10 * 64, False),
        ("never", "cuda", 10 * 64, False),
        ("always", "cuda", 10 * 64, False),
    ],
)
def test_what_is_captured_follows_from_the_recipe(
    compiled: str, device: str, samples: int, expected: bool
) -> None:
    recipe = Recipe.model_validate({"compiled": compiled, "batch_size": 64})
    assert captures(recipe, torch.device(device), samples) is expected


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_fast_and_plain_paths_agree_on_gradients() -> None:
    gradients = []
    for compiler in (lambda loss: loss, with_cuda_graphs):
        model = contract.small_model(0)
        trainer = Trainer(model, PLAIN, lr=0.1, seed=0)
        pixels, labels = next(iter(contract.examples(8).batches(8)))
        compiler(trainer.eager)(pixels, labels).backward()
        gradients.append([p.grad for p in model.parameters()])
    plain = contract.small_model(0)
    functional.cross_entropy(plain(some(8).pixels), some(8).labels).backward()  # type: ignore[no-untyped-call]
    gradients.append([p.grad for p in plain.parameters()])
    for other in gradients[1:]:
        for one, two in zip(gradients[0], other, strict=True):
            assert one is not None and two is not None
            assert torch.allclose(one, two, atol=1e-5)
