"""NPO: negative preference optimisation, a gradient ascent that is bounded."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import Trainer


class NegativePreference(Method):
    """Push the probability of each true label down, the less the further it is below the original.

    The gradient is that of GA, each sample weighted by 2 p^beta / (p^beta + p_o^beta): 1 where the
    model is as sure of the label as the original, 0 once it is forgotten. With the retain set each
    step also descends on a batch of it (NPO+RT); `gamma` = 0, or forget-only access, is NPO alone.

    Its defaults, most of them its authors', do next to nothing to a small model of a few hundred
    images and have to be tuned there.

    Source: Zhang et al. (arXiv 2404.05868), equation 3, and the retain loss of section 2; the
    answer of their language models is the label here, as in their own classifiers of section 4.

    Differences: paper and authors' code agree on the loss; the optimiser is the recipe's here, with
    the rates of the paper's classifiers, which descend without momentum on all samples at once; its
    language models have AdamW. The original is in eval mode and the model in train mode, in forward
    passes of their own for D_F and D_R, which is our choice: those models have no BatchNorm. As in
    the authors' code the batch of D_R is another random one at each step, and a pass is one over
    D_F. From the second request on, the reference is still the original.
    """

    title = "NPO"
    paper = "https://arxiv.org/abs/2404.05868"
    equation = r"""
    \min_\theta \frac{2}{\beta} \mathbb{E}_{D_F} \log(1 + r_\theta^\beta) + \gamma L(\theta; D_R)
    r_\theta = p_\theta(y | x) / p_{\theta_o}(y | x)
    """

    lr: float = param(
        5e-3,
        gt=0,
        help="learning rate",
        search=(1e-4, 1.0),
        source="paper, table 1, for classifiers of two separate sets; 5e-2 for mixed ones",
    )
    epochs: int = param(
        10, ge=1, help="passes over the forget set", source="authors' code, for language models"
    )
    beta: float = param(
        1.0,
        gt=0,
        help="inverse temperature; near 0 it is GA",
        search=(0.1, 10.0),
        source="paper, table 1, for the same classifiers; 10 for the others, 0.1 for language",
    )
    gamma: float = param(
        1.0,
        ge=0,
        help="weight of the cross-entropy on D_R; 0: NPO alone",
        search=(0.5, 5.0),
        source="authors' code; paper, figure 11: 0 to 5",
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise the NPO loss on D_F and the cross-entropy on D_R."""
        trainer = Trainer(model, task.recipe, lr=self.lr, seed=task.seed)
        retain = task.retain.endless(trainer.generator) if task.retain and self.gamma else None

        def loss(pixels: Tensor, labels: Tensor) -> Tensor:
            own = functional.cross_entropy(model(pixels), labels, reduction="none")
            with torch.no_grad():
                reference = functional.cross_entropy(
                    task.original(pixels), labels, reduction="none"
                )
            ratio = reference - own  # log p / p_o
            lost = 2 / self.beta * functional.softplus(self.beta * ratio).mean()
            if retain is None:
                return lost
            kept, its_labels = next(retain)
            return lost + self.gamma * functional.cross_entropy(model(kept), its_labels)

        for _ in trainer.epochs(self.epochs):
            trainer.epoch(task.forget, loss=loss)
        return model
