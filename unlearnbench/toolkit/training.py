"""The one training loop: originals, references, retrains and every fine-tuning run through it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench.recipe import Recipe
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit.bounded import bounded_layers
from unlearnbench.toolkit.compilation import Loss, choose, with_cuda_graphs
from unlearnbench.toolkit.examples import Examples
from unlearnbench.toolkit.optimisers import SGD, Adam, Optimiser, Schedule, one_cycle, step_decay
from unlearnbench.toolkit.recorder import recorder
from unlearnbench.toolkit.saliency import Mask
from unlearnbench.toolkit.trades import trades_loss


class Trainer:
    """Run SGD over sets of examples, an epoch at a time, with the momentum kept between epochs."""

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        *,
        lr: float,
        seed: int,
        mask: Mask | None = None,
        adam: bool = False,
    ) -> None:
        """Prepare to train all parameters of `model`, or only those that `mask` marks.

        adam: take the place of SGD, and of the recipe's momentum and weight decay.
        """
        device = next(model.parameters()).device
        self.model = model.to(memory_format=torch.channels_last)
        self.loss: Loss = self.eager
        self.recipe = recipe
        self.lr = lr
        self.steps = 0
        self.optimizer: Optimiser = (
            Adam(model.parameters())
            if adam
            else SGD(model.parameters(), momentum=recipe.momentum, weight_decay=recipe.weight_decay)
        )
        self.generator = torch.Generator(device).manual_seed(seed)
        self.autocast = recipe.precision == "bf16" and device.type == "cuda"
        self.device = device
        self.frozen = _frozen(model, mask)
        self.bounded = bounded_layers(model)

    def eager(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy of a batch, a scalar."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            return functional.cross_entropy(self.model(pixels), labels)

    def compile(self, examples: Examples, steps: int) -> None:
        """On a GPU, use compiled steps for full batches if they are faster; note what was chosen.

        steps: how many are to come. To be called before training; batches are drawn as if it had
        not been.
        """
        if self.device.type != "cuda" or len(examples) < self.recipe.batch_size:
            return
        self.model.train()
        drawn = torch.Generator(self.device).manual_seed(0)
        batch = next(iter(examples.shuffled(drawn)))
        self.loss, choice = choose(self.model, self.eager, batch, steps, with_cuda_graphs)
        recorder().notes["training step"] = choice.note()

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
        total = torch.zeros((), device=self.device)
        recording, batches = recorder(), examples.shuffled(self.generator)
        while True:
            with recording.part("data", self.device):
                batch = next(batches, None)
            if batch is None:
                break
            with recording.part("forward and backward", self.device):
                mean = self._mean(*batch, loss)
                objective = sign * mean
                if l1:
                    sizes = torch.stack([p.abs().sum() for p in self.model.parameters()])
                    objective = objective + l1 * sizes.sum()
                self.backward(objective)
            with recording.part("update", self.device):
                self.update(rate(self.steps) if rate else self.lr)
            total += mean.detach() * len(batch[1])
        recording.gradients += len(examples)
        return float(total) / len(examples)

    def _mean(self, pixels: Tensor, labels: Tensor, loss: Loss | None) -> Tensor:
        """Return the mean loss of a batch."""
        if loss is None:
            full = len(labels) == self.recipe.batch_size
            return (self.loss if full else self.eager)(pixels, labels)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            return loss(pixels, labels)

    def backward(self, objective: Tensor) -> None:
        """Set the gradients to those of a scalar, and nothing else."""
        self.optimizer.clear()
        objective.backward()  # type: ignore[no-untyped-call]

    def update(self, lr: float) -> None:
        """Take one step along the gradients; what the mask does not mark stays as it was.

        Layers with a bound on their norm are then put back within it, frozen weights and all.
        """
        self.optimizer.step(lr)
        self.steps += 1
        for parameter, freed, value in self.frozen:
            parameter.data.copy_(torch.where(freed, parameter.data, value))
        for layer in self.bounded:
            layer.project()


def finetune(
    model: nn.Module,
    examples: Examples | Callable[[int], Examples],
    *,
    lr: float,
    epochs: int,
    seed: int,
    decay_every: int | None = None,
    mask: Mask | None = None,
    l1: Callable[[int], float] | None = None,
    loss: Loss | None = None,
) -> nn.Module:
    """Fine-tune `model` on examples, or on what a function of the epoch (from 0) returns.

    Plain SGD on the mean cross-entropy, or on another mean `loss` of a batch (images float32 in
    [0, 1], labels), which calls the model itself; the model is in train mode. `decay_every`
    multiplies the learning rate by 0.1 after that many epochs; `mask` freezes the weights it does
    not mark; `l1` is the weight of the l1 penalty as a function of the epoch. Returns the model,
    changed in place.
    """
    source = examples if callable(examples) else lambda epoch: examples
    trainer = Trainer(model, source(0).recipe, lr=lr, seed=seed, mask=mask)
    decayed = step_decay(lr, decay_every or epochs)
    for epoch in range(epochs):
        trainer.lr = decayed(epoch)
        mean = trainer.epoch(source(epoch), loss=loss, l1=l1(epoch) if l1 else 0.0)
        recorder().epoch(epoch + 1, epochs, mean, model)
    return model


def train(model: nn.Module, examples: Examples, *, seed: int) -> nn.Module:
    """Train a fresh model by the recipe of its examples. Returns it, changed in place."""
    recipe = examples.recipe
    if not recipe.augment_training:
        examples = examples.unaugmented()
    trainer = Trainer(model, recipe, lr=recipe.lr, seed=seed_for(seed, "batches"))
    steps = recipe.epochs * math.ceil(len(examples) / recipe.batch_size)
    robust = trades_loss(model, recipe.trades, trainer.generator) if recipe.trades else None
    if robust is None:
        trainer.compile(examples, steps)
    cycle = one_cycle(recipe.lr, steps) if recipe.schedule == "one-cycle" else None
    decayed = step_decay(recipe.lr, recipe.decay_every or recipe.epochs)
    for epoch in range(recipe.epochs):
        trainer.lr = decayed(epoch)
        loss = trainer.epoch(examples, loss=robust, rate=cycle)
        recorder().epoch(epoch + 1, recipe.epochs, loss, model)
    return model


def _frozen(model: nn.Module, mask: Mask | None) -> list[tuple[nn.Parameter, Tensor, Tensor]]:
    """Pair each masked parameter with what may change and the value the rest is held at.

    Zeroing gradients would not do: weight decay and momentum move a weight without a gradient.
    """
    if mask is None:
        return []
    return [(p, mask[n], p.detach().clone()) for n, p in model.named_parameters() if n in mask]
