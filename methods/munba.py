"""MUNBa: forgetting and retaining bargain about each step."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench import Method, Task, param
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import Examples, Trainer


class Munba(Method):
    """Step halfway between the gradient that retains and the one that forgets, whatever their size.

    The two gradients g_R (D_R) and g_F (D_F under random labels) are weighted by the Nash
    bargaining solution: as much is gained along the one as along the other. Each batch of D_F meets
    one of D_R; the rest of D_R then follows, as in plain fine-tuning. Needs the retain set.

    Source: Wu and Harandi (arXiv 2411.15537), theorems 2.5 and 2.6; the authors' code for
    classifiers, which shows the loss that forgets.

    Differences: solved, the 2x2 system is alpha_i = 1 / (|g_i| sqrt(1 + cos phi)), phi the angle
    between the gradients, so that their sum has length sqrt(2) at every step; the authors clip it
    to 1, and what is left of the method is the unit vector that halves the angle, which is computed
    here. Their code adds 1e-8 to denominators, so that gradients that are small or orthogonal can
    make it fall back on weights 1 and 0.1; where they are parallel the paper adds noise, or weighs
    both by 0.5. The halved angle needs none of it, and at 180 degrees nothing is moved. Labels are
    drawn over all classes, the right one included, as in that code, and again each epoch. Where D_F
    has more batches than D_R, the rest of them is left out in that epoch; their code breaks off
    with an error. The l1 penalty and SAM, which it offers and has switched off, are left out.
    """

    title = "MUNBa"
    paper = "https://arxiv.org/abs/2411.15537"
    equation = r"""
    \theta \gets \theta - \eta \frac{\alpha_R g_R + \alpha_F g_F}{\|\alpha_R g_R + \alpha_F g_F\|}
    G^\top G \alpha = 1 / \alpha, \quad G = (g_R, g_F), \quad \alpha > 0
    g_R = \nabla_\theta L(\theta; D_R), \quad g_F = \nabla_\theta L(\theta; D'_F)
    D'_F = \{(x, y') : (x, y) \in D_F\}, \quad y' \text{ at random}
    """
    needs_retain = True

    lr: float = param(
        0.01,
        gt=0,
        help="learning rate: the length of a step without momentum",
        search=(1e-3, 0.3),
        source="authors' code, default",
    )
    epochs: int = param(
        10, ge=1, help="passes over the retain set", source="authors' code, default"
    )
    momentum: float | None = param(
        0.9, ge=0, lt=1, help="momentum of SGD", source="authors' code, default"
    )
    weight_decay: float | None = param(
        5e-4, ge=0, help="weight decay", source="authors' code, default"
    )
    batch_size: int | None = param(
        256, ge=1, help="samples a step of each set", source="authors' code, default"
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Take steps that both sets agree on."""
        trainer = Trainer(model, task.recipe, lr=self.lr, seed=task.seed)
        for epoch in trainer.epochs(self.epochs):
            forget = self._relabelled(task, epoch).shuffled(trainer.generator)
            trainer.epoch(task.require_retain(), loss=partial(_agreed, model, forget))
        return model

    def _relabelled(self, task: Task, epoch: int) -> Examples:
        """Return D_F under labels drawn over all classes."""
        seed = seed_for(task.seed, "labels", epoch)
        generator = torch.Generator(task.device).manual_seed(seed)
        size = (len(task.forget),)
        labels = torch.randint(task.classes, size, generator=generator, device=task.device)
        return task.forget.relabel(labels)


def _agreed(
    model: nn.Module, forget: Iterator[tuple[Tensor, ...]], pixels: Tensor, labels: Tensor
) -> Tensor:
    """Return the loss on a batch of D_R, with the agreed gradient while D_F has batches left."""
    kept = functional.cross_entropy(model(pixels), labels)
    batch = next(forget, None)
    if batch is None:
        return kept
    lost = functional.cross_entropy(model(batch[0]), batch[1])
    weights = list(model.parameters())
    one, other = (_unit(torch.autograd.grad(loss, weights)) for loss in (kept, lost))
    agreed = _unit([a + b for a, b in zip(one, other, strict=True)])
    step = torch.stack([(w * g).sum() for w, g in zip(weights, agreed, strict=True)]).sum()
    return kept.detach() + step - step.detach()  # the value of the one, the gradient of the other


def _unit(gradient: tuple[Tensor, ...] | list[Tensor]) -> list[Tensor]:
    """Return a gradient scaled to length 1; zeros stay zeros."""
    length = torch.stack([part.norm() for part in gradient]).norm().clamp_min(1e-12)
    return [part / length for part in gradient]
