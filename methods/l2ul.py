"""L2UL: misclassify the forget set, with adversarial images in place of all the rest."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench import Method, Optimizer, Task, param
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import (
    Examples,
    Trainer,
    outputs,
    random_labels,
    recorder,
    targeted_search,
)


class LearningToUnlearn(Method):
    """Have all of the forget set misclassified, adversarial images standing in for the rest.

    Each step climbs the loss of a batch of D_F (`goal` = "relabel": descends it under wrong labels)
    and descends that of adversarial images, `images` for each sample of D_F, searched on the
    original towards labels drawn among the wrong ones, which are also what they are shown under.
    Weights that matter little to D_F are held where they were, the more the less they matter. It is
    over when D_F is wrong throughout (or as relabelled). D_F alone, whatever the access.

    Source: Cha et al. (arXiv 2301.11578): misclassifying or relabelling, with both regularisers;
    the authors' code for CIFAR-10.

    Differences: the goal is not that of retraining, which gets most of D_F right; few `epochs` stop
    before it is reached. Their code is followed where the paper is silent, in that the two losses
    weigh as their samples in a step, and in that the importance is of the logits' norm and its
    |gradient| of batches, not samples. It differs in this: there a label is drawn over all classes,
    and class K/2 stands in for the true one; here the wrong ones are drawn from. There it is looked
    after each step whether all is wrong, for 1,000 passes over D_A at most; here after each pass
    over D_F (the same for up to 32 samples), for `epochs` at most. There batches come in a fixed
    order, here shuffled; there BatchNorm is in train mode for the importance, here in eval mode.
    Relabelling is not in that code: its labels are drawn once. As there, no image is augmented.
    From the second request on, D_A is still searched on the original.
    """

    title = "L2UL"
    paper = "https://arxiv.org/abs/2301.11578"
    shared_settings = ("images", "radius")
    equation = r"""
    \min_\theta L(\theta; D_A) - L(\theta; D_F) + \tfrac{\lambda}{2} \textstyle\sum_i c_i \delta_i^2
    D_A = \{(x', y') : (x, y) \in D_F\}, \quad y' \ne y \text{ at random}
    x' = \operatorname{argmin}_{\|x' - x\| \le \epsilon} \ell(f_{\theta_o}(x'), y')
    \delta = \theta - \theta_o
    c_i = 1 - \Omega_i, \quad \Omega \text{ scaled to } [0, 1] \text{ in each layer}
    \Omega_i = \mathbb{E}_{D_F} |\partial \|z_\theta(x)\| / \partial \theta_i| \text{ at } \theta_o
    """

    lr: float = param(
        1e-3, gt=0, help="learning rate", search=(1e-4, 1e-1), source="authors' script, CIFAR-10"
    )
    epochs: int = param(
        30,
        ge=1,
        help="passes over the forget set, at most",
        search=(1, 30),
        source="ours; the authors go on until it is over",
    )
    goal: Literal["misclassify", "relabel"] = param(
        "misclassify", help="what D_F is taught", source="paper: both; authors' code: misclassify"
    )
    hold: float = param(
        1.0,
        ge=0,
        help="lambda: how firmly unimportant weights are held; 0: not at all",
        search=(0.1, 10.0),
        source="authors' script, CIFAR-10",
    )
    images: int = param(
        20,
        ge=1,
        help="adversarial images for each sample of D_F",
        source="authors' script, CIFAR-10; 200 for CIFAR-100",
    )
    radius: float = param(
        4.0,
        gt=0,
        help="largest l2 distance of an adversarial image",
        search=(0.4, 5.0),
        source="authors' script, CIFAR-10; their README advises 1 to 5",
    )
    forget_batch: int = param(32, ge=1, help="samples a step on D_F", source="authors' code")
    batch_size: int | None = param(
        256, ge=1, help="adversarial images a step", source="authors' code"
    )
    optimizer: Optimizer | None = param("sgd", help="sgd, adam or adamw", source="authors' code")
    momentum: float | None = param(0.9, ge=0, lt=1, help="momentum of SGD", source="authors' code")
    weight_decay: float | None = param(1e-4, ge=0, help="weight decay", source="authors' code")

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Forget D_F, remember its adversarial images, and hold what matters little to it."""
        found = task.shared or self.shared_work(task)
        still = torch.zeros_like(found["labels"], dtype=torch.bool)
        near = Examples(found["images"], found["labels"], still, task.forget.recipe)
        relabelled = self.goal == "relabel"
        shown = task.forget.unaugmented().batched(self.forget_batch)
        if relabelled:
            shown = random_labels(shown, task.classes, seed=seed_for(task.seed, "relabel"))
        held = _held(model, shown)
        trainer = Trainer(model, task.recipe, lr=self.lr, seed=task.seed)
        adversarial = near.endless(trainer.generator)

        def loss(pixels: Tensor, labels: Tensor) -> Tensor:
            images, wrong = next(adversarial)
            kept = functional.cross_entropy(model(images), wrong, reduction="sum")
            lost = functional.cross_entropy(model(pixels), labels, reduction="sum")
            drift = sum((share * (p - at) ** 2).sum() for p, at, share in held)
            both = kept + lost if relabelled else kept - lost
            return both / (len(wrong) + len(labels)) + self.hold / 2 * drift

        for _ in trainer.epochs(self.epochs):
            hits = outputs(model, shown).argmax(1) == shown.labels
            if bool((hits == relabelled).all()):
                break
            trainer.epoch(shown, loss=loss)
        return model

    def shared_work(self, task: Task) -> dict[str, Tensor]:
        """Search the adversarial images, towards labels drawn among the wrong ones."""
        each = torch.arange(len(task.forget), device=task.device).repeat(self.images)
        aims = random_labels(
            task.forget.select(each), task.classes, seed=seed_for(task.seed, "aims")
        )
        seed = seed_for(task.seed, "starts")
        images = targeted_search(task.original, aims, radius=self.radius, seed=seed)
        return {"images": images, "labels": aims.labels}


def _held(model: nn.Module, examples: Examples) -> list[tuple[nn.Parameter, Tensor, Tensor]]:
    """Return each parameter, where it is, and how little each of its entries matters, in [0, 1]."""
    parameters = list(model.parameters())
    with recorder().timed("weight importance", examples.labels.device):
        model.eval()
        matters = [torch.zeros_like(p) for p in parameters]
        for pixels, labels in examples.batches(examples.recipe.batch_size):
            length = torch.linalg.vector_norm(model(pixels), dim=1).mean()
            gradients = torch.autograd.grad(length, parameters)
            for total, gradient in zip(matters, gradients, strict=True):
                total += gradient.abs() * len(labels)
    little = [1 - _scaled(total) for total in matters]
    return [(p, p.detach().clone(), share) for p, share in zip(parameters, little, strict=True)]


def _scaled(values: Tensor) -> Tensor:
    """Bring values to [0, 1], from the least to the largest; zeros where they are all the same."""
    return (values - values.min()) / (values.max() - values.min()).clamp_min(1e-12)
