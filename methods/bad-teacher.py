"""Bad teacher: what is forgotten is learnt from a model that knows nothing."""

import torch
from torch import Tensor, nn

from unlearnbench import Method, Task, param
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import Trainer, divergence, recorder


class BadTeacher(Method):
    """Follow an untrained model on the forget set, and the original on a share of the retain set.

    The teacher is a freshly initialised model on D_F and the original on D_R. Needs the retain set.

    Source: Chundawat et al. (arXiv 2205.08096), equation 5: KL(teacher || model).

    Differences: the share of D_R, the one epoch and Adam are from the authors' code; its batches of
    256 are the recipe's here. Its loss is also divided by the number of classes, which Adam does
    not notice.
    """

    title = "Bad Teacher"
    paper = "https://arxiv.org/abs/2205.08096"
    equation = r"""
    \min_\theta K(\theta; \theta_b, D_F) + K(\theta; \theta_o, D'_R)
    K(\theta; \theta_t, D) = \sum_{x \in D} \mathrm{KL}(f_{\theta_t}(x) \| f_\theta(x))
    D'_R \subset D_R, \quad \theta_b \text{ drawn anew}
    """
    needs_retain = True

    lr: float = param(
        1e-4, gt=0, help="learning rate (Adam)", search=(1e-5, 1e-2), source="authors' code"
    )
    epochs: int = param(
        1, ge=1, help="passes over D_F and the share of D_R", search=(1, 5), source="authors' code"
    )
    share: float = param(
        0.3, gt=0, le=1, help="of the retain set that is shown", source="authors' code"
    )
    temperature: float = param(
        1.0, gt=0, help="of the logits that are compared", source="authors' code"
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise the distance to the one teacher or the other."""
        retain = task.require_retain()
        generator = torch.Generator(task.device).manual_seed(seed_for(task.seed, "share"))
        order = torch.randperm(len(retain), generator=generator, device=task.device)
        kept = retain.select(order[: round(self.share * len(retain))])
        ignorant = task.untrained(seed_for(task.seed, "teacher")).eval()
        # in the place of the label, which no loss needs: whether a sample is to be forgotten
        marked = task.forget.relabel(torch.ones_like(task.forget.labels))
        marked += kept.relabel(torch.zeros_like(kept.labels))

        def loss(pixels: Tensor, forgotten: Tensor) -> Tensor:
            with torch.no_grad():
                bad, good = ignorant(pixels), task.original(pixels)
                teacher = torch.where(forgotten[:, None].bool(), bad, good)
            return divergence(model(pixels), teacher, self.temperature)

        trainer = Trainer(model, task.recipe, lr=self.lr, seed=task.seed, adam=True)
        for epoch in range(self.epochs):
            recorder().epoch(epoch + 1, self.epochs, trainer.epoch(marked, loss=loss), model)
        return model
