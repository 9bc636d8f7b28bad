"""DELETE: distillation from the original with the forgotten class masked out."""

import torch
from torch import Tensor, nn

from unlearnbench import Method, Optimizer, Task, param
from unlearnbench.toolkit import divergence, finetune


class Delete(Method):
    """Follow on the forget set what the original says of all classes but the true one.

    D_F alone, whatever the access. Made for forgetting classes: on a random forget set it teaches a
    wrong label, the runner-up's, wherever the original is sure.

    Its defaults, most of them its authors', do next to nothing to a small model of a few hundred
    images and have to be tuned there.

    Source: Zhou et al. (arXiv 2503.23751): KL(softmax of the original's logits, that of the label
    at minus infinity || model).

    Differences: minus infinity is -1e10, as in the authors' code. The defaults are that code's for
    CIFAR-10 and ResNet-18: 20 epochs of SGD at 1e-4 with momentum 0.9, no weight decay, batches of
    128. Its rate is 5e-5 for CIFAR-100, Tiny ImageNet (batches of 64) and other nets.
    """

    title = "DELETE"
    paper = "https://arxiv.org/abs/2503.23751"
    equation = r"""
    \min_\theta \sum_{(x, y) \in D_F} \mathrm{KL}(p_x \| f_\theta(x))
    p_x = \operatorname{softmax}(z)
    z_k = f_{\theta_o}(x)_k \text{ for } k \ne y, \quad z_y = -\infty
    """

    lr: float = param(
        1e-4,
        gt=0,
        help="learning rate",
        search=(1e-6, 1e-1),
        source="authors' code, for CIFAR-10 and ResNet-18",
    )
    epochs: int = param(20, ge=1, help="passes over the forget set", source="authors' code")
    optimizer: Optimizer | None = param("sgd", help="sgd, adam or adamw", source="authors' code")
    momentum: float | None = param(0.9, ge=0, lt=1, help="momentum of SGD", source="authors' code")
    weight_decay: float | None = param(0.0, ge=0, help="weight decay", source="authors' code")
    batch_size: int | None = param(
        128, ge=1, help="samples a step", source="authors' code, for CIFAR"
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise the distance to the masked original."""

        def loss(pixels: Tensor, labels: Tensor) -> Tensor:
            with torch.no_grad():
                teacher = task.original(pixels).scatter(1, labels[:, None], -1e10)
            return divergence(model(pixels), teacher)

        return finetune(
            model, task.forget, lr=self.lr, epochs=self.epochs, loss=loss, seed=task.seed
        )
