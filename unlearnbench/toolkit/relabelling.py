"""Random labels, and fine-tuning on them: what RL and SalUn have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from unlearnbench.seeds import seed_for
from unlearnbench.toolkit.optimisers import step_decay
from unlearnbench.toolkit.training import Trainer

if TYPE_CHECKING:
    from torch import nn

    from unlearnbench.authoring import Task
    from unlearnbench.toolkit.examples import Examples
    from unlearnbench.toolkit.saliency import Mask

LabelChoice = Literal["wrong", "any"]
"""From which labels one is drawn: from all but the true one, or from all."""
Order = Literal["mixed", "in-turn"]
"""Of two sets in an epoch: shuffled together, or all of the first, then all of the second."""


def random_labels(
    examples: Examples, classes: int, *, seed: int, labels: LabelChoice = "wrong"
) -> Examples:
    """Give every example a label drawn uniformly from the wrong ones, or from any."""
    device = examples.labels.device
    generator = torch.Generator(device).manual_seed(seed)
    first = 1 if labels == "wrong" else 0
    step = torch.randint(first, classes, (len(examples),), generator=generator, device=device)
    return examples.relabel((examples.labels + step) % classes)


def learn_random_labels(
    model: nn.Module,
    task: Task,
    *,
    lr: float,
    epochs: int,
    decay_every: int,
    labels: LabelChoice,
    redraw: bool,
    order: Order,
    mask: Mask | None = None,
) -> nn.Module:
    """Fine-tune on D_F under random labels, and on D_R, where it is given, under its own.

    `labels` as in `random_labels`, each epoch again if `redraw`; `order` is that of D_F and D_R.
    The rest as in `finetune`. Returns the model, changed in place.
    """
    trainer = Trainer(model, task.recipe, lr=lr, seed=task.seed, mask=mask)
    decayed = step_decay(lr, decay_every)
    for epoch in trainer.epochs(epochs):
        trainer.lr = decayed(epoch)
        seed = seed_for(task.seed, "labels", epoch if redraw else 0)
        relabelled = random_labels(task.forget, task.classes, seed=seed, labels=labels)
        if order == "mixed" or task.retain is None:
            trainer.epoch(relabelled + task.retain)
        else:
            trainer.epoch(relabelled)
            trainer.epoch(task.retain)
    return model
