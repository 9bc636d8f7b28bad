"""The one training loop: originals, references, retrains and every fine-tuning run through it."""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench.recipe import Recipe
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit.bounded import bounded_layers
from unlearnbench.toolkit.counting import tally
from unlearnbench.toolkit.examples import Batch, Examples, Loss
from unlearnbench.toolkit.graphs import FEWEST, WARM_UP, captured
from unlearnbench.toolkit.optimisers import (
    SGD,
    Schedule,
    cosine,
    one_cycle,
    optimiser,
    step_decay,
    warmed_up,
)
from unlearnbench.toolkit.precision import in_bf16
from unlearnbench.toolkit.recorder import recorder
from unlearnbench.toolkit.saliency import Mask
from unlearnbench.toolkit.trades import trades_loss

LONG = 20_000
"""Steps of training from which half a minute of compilation pays, each being a bit faster."""


def compiles(recipe: Recipe, device: torch.device, samples: int, steps: int) -> bool:
    """Say whether so many steps of training are to be compiled; what is timed has no say in it.

    A time depends on what else is running on a device, and with it the last digits would.
    """
    wanted = recipe.compiled == "always"
    if recipe.compiled == "auto":
        wanted = device.type == "cuda" and steps >= LONG
    return wanted and samples >= recipe.batch_size


def captures(recipe: Recipe, device: torch.device, samples: int) -> bool:
    """Say whether steps of so many samples an epoch are captured as a graph, if none is compiled.

    What is timed has no say in it. The kernels are those of eager steps.
    """
    wanted = device.type == "cuda" and recipe.compiled == "auto"
    return wanted and samples >= FEWEST * recipe.batch_size


def with_cuda_graphs(loss: Loss) -> Loss:
    """Compile for one shape, kernels fused and launched together."""
    fast: Loss = torch.compile(loss, mode="reduce-overhead", dynamic=False)

    def step(pixels: Tensor, labels: Tensor) -> Tensor:
        mean = fast(pixels, labels)
        tally(mean, "outputs", len(labels))  # the model's own count is not compiled
        return mean

    return step


class Trainer:
    """Train on sets of examples, an epoch at a time; the optimiser's state is kept between them."""

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        *,
        lr: float,
        seed: int,
        mask: Mask | None = None,
        smoothing: float = 0.0,
    ) -> None:
        """Prepare to train all parameters of `model`, or only those that `mask` marks.

        smoothing: of labels, in the cross-entropy.
        """
        self.device = device = next(model.parameters()).device
        self.model = model.to(memory_format=torch.channels_last)
        self.loss: Loss = self.eager
        self.whole: WholeStep | None = None
        self._tried = False
        self.recipe = recipe
        self.lr = lr
        self.smoothing = smoothing
        self.steps = 0
        self.mean_loss = math.nan
        """Of the last epoch, without a penalty."""
        self.optimizer = optimiser(model.parameters(), recipe)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.autocast = in_bf16(recipe, device)
        # For each masked parameter what may change, and the value the rest is held at: weight decay
        # and momentum move a weight without a gradient, so that zeroing gradients would not do.
        self.frozen = [
            (p, mask[name], p.detach().clone())
            for name, p in model.named_parameters()
            if mask and name in mask
        ]
        self.bounded = bounded_layers(model)

    def eager(self, *batch: Tensor, loss: Loss | None = None) -> Tensor:
        """Return the mean of `loss`, by default the cross-entropy, over a batch, a scalar."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            if loss is not None:
                return loss(*batch)
            pixels, labels = batch[:2]
            logits = self.model(pixels)
            return functional.cross_entropy(logits, labels, label_smoothing=self.smoothing)

    def compile(self, examples: Examples, steps: int) -> None:
        """Compile the steps of full batches where the recipe says so; note whether that was done.

        steps: how many are to come. It comes before training, whose weights and batches it leaves
        as they are. What fails to compile is eager, or raises if the recipe says "always".
        """
        if not compiles(self.recipe, self.device, len(examples), steps):
            return

        def fast(batch: Batch) -> None:
            compiled = with_cuda_graphs(self.eager)
            for _ in range(WARM_UP):
                self.backward(compiled(*batch[:2]))
            self.loss = compiled

        self._prepare(examples, fast, "compiled", "compiled")

    def capture(self, examples: Examples) -> None:
        """Capture the steps of full batches as a graph; what cannot be captured stays eager.

        Weights, buffers and momentum are left as they are. So are steps of Adam, which counts them
        outside of the device.
        """
        optimizer = self.optimizer
        if not isinstance(optimizer, SGD):
            return

        def fast(batch: Batch) -> None:
            kept = {p: copy.deepcopy(buffer) for p, buffer in optimizer.kept.items()}
            places = self._places()
            try:
                whole = WholeStep(self, batch)
            finally:
                optimizer.restore(kept)
            if self._places() != places:  # a graph would go on with those that it was made with
                raise RuntimeError("a step replaces tensors of the model")
            self.whole = whole

        self._prepare(examples, fast, "one graph", "captured")

    def _places(self) -> list[int]:
        """Say where in memory the model's parameters and buffers are."""
        return [one.data_ptr() for one in (*self.model.parameters(), *self.model.buffers())]

    def _prepare(
        self, examples: Examples, fast: Callable[[Batch], None], used: str, done: str
    ) -> None:
        """Have `fast` make steps of full batches faster, trying them on one; note whether it could.

        Weights, buffers, and what batches are drawn from are left as they are. Where it raises
        anything, steps stay eager, unless the recipe says "always". used: what the note says of the
        steps; done: what was tried, as a word.
        """
        self.model.train()
        note, taken, before = {"used": used}, self.steps, copy.deepcopy(self.model.state_dict())
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        batch = next(examples.shuffled(torch.Generator(self.device).manual_seed(0)))
        with recorder().apart(self.device):
            try:
                fast(batch)
            except Exception as error:  # compilers, steps and libraries of kernels raise anything
                if self.recipe.compiled == "always":
                    raise
                said = f"{type(error).__name__}: {error}".partition("\n")[0]
                note = {"used": "eager", "why": f"not {done}: {said}"}
            finally:
                self.model.load_state_dict(before)
                for name, buffer in self.model.named_buffers():  # also those that no state has
                    buffer.copy_(buffers[name])
                self.optimizer.clear()
                self.steps = taken
        recorder().notes["training step"] = note

    def epoch(
        self,
        examples: Examples,
        *,
        loss: Loss | None = None,
        sign: Literal[1, -1] = 1,
        l1: float = 0.0,
        mode: Literal["train", "eval"] = "train",
        rate: Schedule | None = None,
    ) -> float:
        """Take one step a batch down (or, with `sign` -1, up) the mean cross-entropy.

        `loss` is another mean loss of a batch to take its place. `l1` adds l1 * (sum of |parameter|
        over all parameters) to it. `mode` is the model's mode, which decides whether BatchNorm uses
        and updates batch statistics. `rate` is the learning rate by the steps taken before; without
        it, `self.lr`. Returns the mean loss over the examples, without the penalty.
        """
        self.model.train(mode == "train")
        usual = loss is None and sign == 1 and not l1 and mode == "train"
        if usual and not self._tried and self.loss == self.eager:
            self._tried = True
            if captures(self.recipe, self.device, len(examples)):
                self.capture(examples)
        total = torch.zeros((), device=self.device)
        recording, batches = recorder(), examples.shuffled(self.generator)
        while True:
            with recording.part("data", self.device):
                batch = next(batches, None)
            if batch is None:
                break
            with recording.part("forward and backward", self.device):
                plain = loss is None and len(batch[1]) == self.recipe.batch_size
                at = rate(self.steps) if rate else self.lr
                whole = self.whole if usual and self.whole and self.whole.takes(batch) else None
                if whole:
                    mean = whole(batch, at)
                else:
                    mean = self.loss(*batch[:2]) if plain else self.eager(*batch, loss=loss)
                    self.backward(sign * mean)
                    if l1:
                        self.shrink(l1)
            if not whole:
                with recording.part("update", self.device):
                    self.update(at)
            total += mean.detach() * len(batch[1])
        self.mean_loss = float(total) / len(examples)
        return self.mean_loss

    def epochs(self, count: int) -> Iterator[int]:
        """Yield the numbers of so many epochs, from 0; note each when the next is asked for.

        Noted is the mean loss of the last pass of it, which `epoch` made.
        """
        for number in range(count):
            yield number
            recorder().epoch(number + 1, count, self.mean_loss, self.model)

    def backward(self, objective: Tensor) -> None:
        """Set the gradients to those of a scalar, and nothing else."""
        self.optimizer.clear()
        objective.backward()  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def shrink(self, l1: float) -> None:
        """Add to the gradients those of l1 * (sum of |parameter| over all parameters)."""
        trained = tuple(p for p in self.optimizer.parameters if p.requires_grad)
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = tuple(p.grad for p in trained if p.grad is not None)
        signs = torch._foreach_sign(trained)  # pyright: ignore[reportPrivateImportUsage]
        torch._foreach_add_(gradients, signs, alpha=l1)  # pyright: ignore[reportPrivateImportUsage]

    def update(self, lr: float | Tensor) -> None:
        """Take one step along the gradients; what the mask does not mark stays as it was.

        Gradients of what is trained are clipped first if the recipe says so. Layers with a bound on
        their norm are put back within it at last, frozen weights and all.
        """
        if self.recipe.clip_norm is not None:
            self.clip(self.recipe.clip_norm)
        self.optimizer.step(lr)
        self.steps += 1
        for parameter, freed, value in self.frozen:
            torch.where(freed, parameter.data, value, out=parameter.data)
        for layer in self.bounded:
            layer.project()

    def clip(self, longest: float) -> None:
        """Shorten the gradients of all that is trained to this norm if they are longer together."""
        masked = {p.grad: freed for p, freed, _ in self.frozen if p.grad is not None}
        if masked:
            freed = tuple(masked.values())
            torch._foreach_mul_(tuple(masked), freed)  # pyright: ignore[reportPrivateImportUsage]
        nn.utils.clip_grad_norm_(self.optimizer.parameters, longest)


class WholeStep:
    """Hold a step on full batches, from the images to the new weights, as one graph of kernels."""

    def __init__(self, trainer: Trainer, batch: Batch) -> None:
        """Capture the step of a trainer on batches such as this; its weights and state move."""
        self.trainer = trainer
        self.pixels, self.labels = batch[0].clone(), batch[1].clone()
        self.rate = torch.zeros((), device=trainer.device)
        self.replay = captured(self._step, trainer.device)

    def takes(self, batch: Batch) -> bool:
        """Say whether a batch is of the size that the step was captured with."""
        return batch[0].shape == self.pixels.shape

    def _step(self) -> Tensor:
        mean = self.trainer.eager(self.pixels, self.labels)
        self.trainer.backward(mean)
        self.trainer.update(self.rate)
        return mean.detach()

    def __call__(self, batch: Batch, lr: float) -> Tensor:
        """Take a step; return the mean loss, a scalar that the next step overwrites."""
        self.pixels.copy_(batch[0])
        self.labels.copy_(batch[1])
        self.rate.fill_(lr)
        mean = self.replay()
        self.trainer.steps += 1  # no line of `update` is run in a graph
        recorder().passed["outputs"] += len(self.labels)  # no hook is called in a graph
        return mean


def finetune(
    model: nn.Module,
    examples: Examples | Callable[[int], Examples],
    *,
    lr: float,
    epochs: int,
    seed: int,
    decay_every: int | None = None,
    schedule: Callable[[float, int], Schedule] | None = None,
    mask: Mask | None = None,
    l1: Callable[[int], float] | None = None,
    loss: Loss | None = None,
) -> nn.Module:
    """Fine-tune `model` on examples, or on what a function of the epoch (from 0) returns.

    By the optimiser of their recipe, on the mean cross-entropy or on another mean `loss` of a batch
    (images float32 in [0, 1], labels, and marks if the examples have any), which calls the model
    itself; the model is in train mode. `decay_every` multiplies the learning rate by 0.1 after that
    many epochs; `schedule`, such as `cosine`, takes its place: it is given lr and the number of
    steps, and returns the rate by step. `mask` freezes the weights it does not mark; `l1` is the l1
    penalty's weight by epoch. Returns the model, changed in place.
    """
    source = examples if callable(examples) else lambda epoch: examples
    first = source(0)
    trainer = Trainer(model, first.recipe, lr=lr, seed=seed, mask=mask)
    decayed = step_decay(lr, decay_every or epochs)
    rate = schedule(lr, epochs * len(first.sizes)) if schedule else None
    for epoch in trainer.epochs(epochs):
        trainer.lr = decayed(epoch)
        shown = source(epoch) if epoch else first
        trainer.epoch(shown, loss=loss, l1=l1(epoch) if l1 else 0.0, rate=rate)
    return model


def train(model: nn.Module, examples: Examples, *, seed: int) -> nn.Module:
    """Train a fresh model by the recipe of its examples. Returns it, changed in place."""
    recipe = examples.recipe
    if not recipe.augment_training:
        examples = examples.unaugmented()
    smoothing, batches = recipe.label_smoothing, seed_for(seed, "batches")
    trainer = Trainer(model, recipe, lr=recipe.lr, seed=batches, smoothing=smoothing)
    robust = None
    if recipe.trades:
        robust = trades_loss(model, recipe.trades, trainer.generator, smoothing)
    else:
        trainer.compile(examples, recipe.epochs * len(examples.sizes))
    rate = by_recipe(recipe, len(examples.sizes))
    for _ in trainer.epochs(recipe.epochs):
        trainer.epoch(examples, loss=robust, rate=rate)
    return model


def by_recipe(recipe: Recipe, batches: int) -> Schedule:
    """Return the learning rate of a recipe by step; batches: steps of an epoch."""
    rising = recipe.warm_up * batches
    steps = recipe.epochs * batches - rising
    decayed = step_decay(recipe.lr, recipe.decay_every or max(1, recipe.epochs))
    by_step = {"one-cycle": one_cycle, "cosine": cosine}.get(recipe.schedule)
    rate = by_step(recipe.lr, steps) if by_step else lambda step: decayed(step // batches)
    return warmed_up(rate, recipe.lr, rising) if rising else rate
