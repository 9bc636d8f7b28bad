"""LoTUS: what is forgotten is learnt from the original's softened answers."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench import Method, Optimizer, Task, param
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import Examples, Trainer, outputs, recorder


class Lotus(Method):
    """Follow the original's answers, smoothed on D_F until its accuracy is that of unseen samples.

    The answers are draws: the original's logits and Gumbel noise, through a softmax at temperature
    tau on D_F, and made hard on a share of D_R. Before each epoch tau is set from the accuracy on
    D_F and that of the original on the validation samples; where the former is below the latter by
    a point, it is over. Needs the retain set.

    Its defaults, most of them its authors', do next to nothing to a small model of a few hundred
    images and have to be tuned there.

    Source: Spartalis et al. (arXiv 2503.18314), the loss and the temperature; the authors' code,
    `lotus_class.py`.

    Differences: the authors' unseen samples are half of the test set; here they are the validation
    samples. Where D_R has none of D_F's classes their accuracy is 0, as in the authors' code for
    class unlearning; where there are no validation samples it is 0 as well, which is our choice, so
    that tau is at its highest: set `data.validation`. The authors round accuracies to whole
    points. One draw of the noise serves both forms of the answer, of which a sample needs one only.
    alpha is 2 in the paper and 8 in the authors' last script for ResNet-18 on CIFAR-10.
    """

    title = "LoTUS"
    paper = "https://arxiv.org/abs/2503.18314"
    equation = r"""
    \min_\theta H_\tau(\theta; D_F) + H_0(\theta; D'_R), \quad D'_R \subset D_R
    H_\tau(\theta; D) = -\sum_{x \in D} q_\tau(x)^\top \log f_\theta(x)
    q_\tau(x) = \operatorname{softmax}((\log f_{\theta_o}(x) + g) / \tau)
    g \sim \mathrm{Gumbel}(0, 1)
    \tau = \exp(\alpha (\mathrm{Acc}(\theta; D_F) - \mathrm{Acc}(\theta_o; D_U)))
    """
    needs_retain = True

    lr: float = param(1e-4, gt=0, help="learning rate", search=(1e-5, 1e-2), source="authors' code")
    epochs: int = param(
        10,
        ge=1,
        help="passes over D_F and the share of D_R, at most",
        source="paper and authors' code, for ResNet-18",
    )
    alpha: float = param(
        2.0,
        ge=0,
        help="how fast the temperature rises with the accuracy on D_F",
        search=(1.0, 64.0),
        source="paper; authors' code tries 2, 4, 8 and 16",
    )
    share: float = param(
        0.3, gt=0, le=1, help="of the retain set that is shown", source="paper and authors' code"
    )
    optimizer: Optimizer | None = param("adamw", help="sgd, adam or adamw", source="authors' code")
    weight_decay: float | None = param(5e-4, ge=0, help="weight decay", source="authors' code")
    batch_size: int | None = param(128, ge=1, help="samples a step", source="authors' code")

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise the cross-entropy under the original's tempered answers."""
        retain = task.require_retain()
        generator = torch.Generator(task.device).manual_seed(seed_for(task.seed, "share"))
        order = torch.randperm(len(retain), generator=generator, device=task.device)
        shown = task.forget.marked(1) + retain.select(order[: int(self.share * len(retain))])
        unseen = _unseen(task)
        trainer = Trainer(model, task.recipe, lr=self.lr, seed=task.seed)
        temperature = 1.0

        def loss(pixels: Tensor, labels: Tensor, forgotten: Tensor) -> Tensor:
            with torch.no_grad():
                teacher = task.original(pixels).float()
            noise = torch.empty_like(teacher).exponential_(generator=trainer.generator).log()
            answer = teacher - noise
            hard = functional.one_hot(answer.argmax(1), task.classes).float()
            soft = torch.softmax(answer / temperature, dim=1)
            target = torch.where(forgotten[:, None].bool(), soft, hard)
            return functional.cross_entropy(model(pixels), target)

        for _ in trainer.epochs(self.epochs):
            excess = _accuracy(model, task.forget) - unseen
            if excess <= -0.01:
                break
            temperature = math.exp(self.alpha * excess)
            trainer.epoch(shown, loss=loss)
        return model


def _unseen(task: Task) -> float:
    """Return the original's accuracy on unseen samples, 0 where there can or may be none."""
    known = torch.isin(task.forget.labels, task.require_retain().labels).any()
    validation = task.validation if known else None
    accuracy = 0.0 if validation is None else _accuracy(task.original, validation)
    recorder().notes["accuracy on unseen samples"] = accuracy
    return accuracy


def _accuracy(model: nn.Module, examples: Examples) -> float:
    """Return the share of examples that are classified rightly."""
    return float((outputs(model, examples).argmax(1) == examples.labels).float().mean())
