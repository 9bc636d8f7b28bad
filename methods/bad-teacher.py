"""Bad teacher: what is forgotten is learnt from a model that knows nothing."""

import torch
from torch import Tensor, nn

from unlearnbench import Method, Task, param
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import Trainer, divergence, recorder


class BadTeacher(Method):
    """Follow an untrained model on the forget set, and the original on a share of the retain set.

    Source: Chundawat et al. (arXiv 2205.08096), equation 5: KL(teacher || model), the teacher being
    a freshly initialised model on D_F and the original on D_R; the authors' code takes 30 % of D_R,
    one epoch, Adam and batches of 256 (here the recipe's). Its loss is also divided by the number
    of classes, which Adam does not notice. Needs the retain set.
    """

    paper = "https://arxiv.org/abs/2205.08096"
    needs_retain = True

    lr: float = param(1e-4, gt=0, help="learning rate (Adam)", search=(1e-5, 1e-2))
    epochs: int = param(1, ge=1, help="passes over D_F and the share of D_R", search=(1, 5))
    share: float = param(0.3, gt=0, le=1, help="of the retain set that is shown")
    temperature: float = param(1.0, gt=0, help="of the logits that are compared")

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
            recorder().epoch(epoch + 1, self.epochs, trainer.epoch(marked, loss=loss))
        return model
