"""SFRon: salient forgetting between steps that retain."""

from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import Trainer, cosine, squared_gradients


class SFRon(Method):
    """Descend on the retain set, and every few steps climb on the forget set with salient weights.

    Before every fifth step on D_R, one on D_F up the cross-entropy in which samples weigh as their
    loss to the power of -lambda, times a factor that falls along a cosine as the learning rate
    does; with gradients only where the mean squared gradient F on D_F is at least gamma times that
    on D_R (clean batches, eval mode), and of norm 7 at most. One SGD serves both kinds of step.
    Needs the retain set.

    Source: Huang et al. (arXiv 2409.19732), as in the authors' code for CIFAR-10.

    Differences: the slow weights of the paper are switched off in that code and left out here; its
    1,500 steps are 4.3 passes, here 4. Its mask is of augmented batches, here of clean ones. As in
    that code F is of the mean gradients of batches, of b samples each (there 128, here as many as a
    step takes), and depends on the size of the set: of |D_F| < b random samples F(D_F) is above
    F(D_R), at most b / |D_F| times, so that one gamma does not mean the same for all sets.
    """

    title = "SFRon"
    paper = "https://arxiv.org/abs/2409.19732"
    equation = r"""
    \theta \gets \theta - \eta_t \nabla_\theta L(\theta; D_R)
    \theta \gets \theta + \eta_t \alpha_t m \odot \nabla_\theta \sum_{x \in D_F} w_x \ell_x(\theta)
    w_x \propto \ell_x(\theta)^{-\lambda}
    m_i = 1 \text{ if } F_i(D_F) \ge \gamma F_i(D_R), \text{ else } 0
    """
    needs_retain = True

    lr: float = param(
        0.01,
        gt=0,
        help="learning rate at first",
        search=(1e-3, 1.0),
        source="authors' code, for CIFAR-10",
    )
    epochs: int = param(
        4,
        ge=1,
        help="passes over the retain set",
        source="authors' code: 1,500 steps are 4.3 passes of CIFAR-10",
    )
    alpha: float = param(
        25.0,
        gt=0,
        help="factor of the ascent at first",
        search=(0.5, 5000.0),
        source="authors' code, for CIFAR-10",
    )
    every: int = param(
        5,
        ge=1,
        help="steps on D_R from one step on D_F to the next",
        source="authors' code, for CIFAR-10",
    )
    power: float = param(
        0.5,
        ge=0,
        help="lambda: samples weigh as their loss to the power of it",
        source="authors' code, for CIFAR-10",
    )
    threshold: float = param(
        1.0,
        ge=0,
        help="gamma: least ratio of squared gradients",
        source="authors' code, for CIFAR-10",
    )
    norm: float = param(
        7.0,
        gt=0,
        help="largest norm of the ascent's gradient",
        source="authors' code, for CIFAR-10",
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Take steps on D_R, and every so often one on D_F before."""
        retain = task.require_retain()
        mask = self._salient(model, task)
        trainer = Trainer(model, task.recipe, lr=self.lr, seed=task.seed)
        forget = task.forget.endless(trainer.generator)
        steps = self.epochs * len(retain.sizes)
        shares = cosine(1.0, steps)
        for step, batch in enumerate(islice(retain.endless(trainer.generator), steps)):
            model.train()
            share = shares(step)
            if step % self.every == 0:
                trainer.backward(-self.alpha * share * self._weighted(model, *next(forget)))
                for name, parameter in model.named_parameters():
                    if parameter.grad is not None:
                        parameter.grad *= mask[name]
                nn.utils.clip_grad_norm_(model.parameters(), self.norm)
                trainer.update(self.lr * share)
            trainer.backward(trainer.eager(*batch))
            trainer.update(self.lr * share)
        return model

    def _salient(self, model: nn.Module, task: Task) -> dict[str, Tensor]:
        """Mark the weights whose gradient is larger on D_F than on D_R."""
        forget = squared_gradients(model, task.forget)
        retain = squared_gradients(model, task.require_retain())
        return {n: f + 1e-15 >= self.threshold * (retain[n] + 1e-15) for n, f in forget.items()}

    def _weighted(self, model: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss, samples weighing as their loss to the power of -lambda."""
        losses = functional.cross_entropy(model(pixels), labels, reduction="none")
        weights = 1 / (losses.detach() ** self.power + 1e-15)
        return torch.sum(weights / weights.sum() * losses)
