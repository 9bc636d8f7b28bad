"""DELETE: distillation from the original with the forgotten class masked out."""

import torch
from torch import Tensor, nn

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import divergence, finetune


class Delete(Method):
    """Follow on the forget set what the original says of all classes but the true one.

    D_F alone, whatever the access. Made for forgetting classes: on a random forget set it teaches a
    wrong label, the runner-up's, wherever the original is sure.

    Source: Zhou et al. (arXiv 2503.23751): KL(softmax of the original's logits, that of the label
    at minus infinity || model).

    Differences: none is known; minus infinity is -1e10, as in the authors' code.
    """

    title = "DELETE"
    paper = "https://arxiv.org/abs/2503.23751"
    equation = r"""
    \min_\theta \sum_{(x, y) \in D_F} \mathrm{KL}(p_x \| f_\theta(x))
    p_x = \operatorname{softmax}(z)
    z_k = f_{\theta_o}(x)_k \text{ for } k \ne y, \quad z_y = -\infty
    """

    lr: float = param(1e-3, gt=0, help="learning rate", search=(1e-6, 1e-1), source="ours")
    epochs: int = param(10, ge=1, help="passes over the forget set", source="ours")

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise the distance to the masked original."""

        def loss(pixels: Tensor, labels: Tensor) -> Tensor:
            with torch.no_grad():
                teacher = task.original(pixels).scatter(1, labels[:, None], -1e10)
            return divergence(model(pixels), teacher)

        return finetune(
            model, task.forget, lr=self.lr, epochs=self.epochs, loss=loss, seed=task.seed
        )
