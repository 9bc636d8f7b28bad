"""Bad teacher: what is forgotten is learnt from a model that knows nothing."""

import torch
from torch import Tensor, nn

from unlearnbench import Method, Optimizer, Task, param
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import divergence, finetune


class BadTeacher(Method):
    """Follow an untrained model on the forget set, and the original on a share of the retain set.

    The teacher is a freshly initialised model on D_F and the original on D_R. Needs the retain set.

    Its defaults, most of them its authors', do next to nothing to a small model of a few hundred
    images and have to be tuned there.

    Source: Chundawat et al. (arXiv 2205.08096), equation 5: KL(teacher || model).

    Differences: the share of D_R, the one epoch and Adam are from the authors' code; its batches of
    256 are the recipe's here. Its loss is also divided by the number of classes, and not multiplied
    by the square of the temperature, which Adam does not notice.
    """

    title = "Bad Teacher"
    paper = "https://arxiv.org/abs/2205.08096"
    equation = r"""
    \min_\theta K(\theta; \theta_b, D_F) + K(\theta; \theta_o, D'_R)
    K(\theta; \theta_t, D) = \sum_{x \in D} \mathrm{KL}(f_{\theta_t}(x) \| f_\theta(x))
    D'_R \subset D_R, \quad \theta_b \text{ freshly initialised}
    """
    needs_retain = True

    lr: float = param(1e-4, gt=0, help="learning rate", search=(1e-5, 1e-2), source="authors' code")
    epochs: int = param(
        1, ge=1, help="passes over D_F and the share of D_R", search=(1, 5), source="authors' code"
    )
    share: float = param(
        0.3, gt=0, le=1, help="of the retain set that is shown", source="authors' code"
    )
    optimizer: Optimizer | None = param("adam", help="sgd, adam or adamw", source="authors' code")
    weight_decay: float | None = param(0.0, ge=0, help="weight decay", source="authors' code")
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

        def loss(pixels: Tensor, labels: Tensor, forgotten: Tensor) -> Tensor:
            with torch.no_grad():
                bad, good = ignorant(pixels), task.original(pixels)
                teacher = torch.where(forgotten[:, None].bool(), bad, good)
            return divergence(model(pixels), teacher, self.temperature)

        shown = task.forget.marked(1) + kept
        return finetune(model, shown, lr=self.lr, epochs=self.epochs, loss=loss, seed=task.seed)
