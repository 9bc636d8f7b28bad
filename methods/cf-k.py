"""CF-k: catastrophic forgetting of the last k layers."""

from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import Schedule, cosine, finetune, only_last_layers


class CFk(Method):
    """Fine-tune the last k layers on the retain set, all layers before them frozen.

    A layer is a convolution or a linear layer with the BatchNorm after it; the order is that in
    which the model names them. With k of at least all layers it is FT. Needs the retain set.

    Source: Goel et al. (arXiv 2201.06640) and their code, which trains as their originals were
    trained, SGD with warm restarts, for half as many epochs: periods of 1, 2, 4, ... epochs, each
    along half a cosine from lr to lr / 20.

    Differences: the authors clip the norm of the gradient at 10, which is not done here. k is a
    sweep in their scripts, and so is its default ours. As in their code BatchNorm's running
    statistics follow D_R in frozen layers too, and momentum and weight decay, the recipe's, leave
    frozen weights alone. Other comparisons mean something else: Deep Unlearn (arXiv 2410.01276)
    frees whole stages of a ResNet and the classifier, in eval mode, for 10 epochs at 0.01, decayed
    by steps, and pulls towards the original's weights.
    """

    title = "CF-k"
    paper = "https://arxiv.org/abs/2201.06640"
    equation = r"""
    \min_{\theta_{(k)}} L(\theta; D_R)
    \theta_{(k)}: \text{ the weights of the last } k \text{ layers, the others as in } \theta_o
    """
    needs_retain = True

    last: int = param(
        2,
        ge=1,
        help="k: layers that are trained, from the end",
        search=(1, 10),
        source="ours: authors' scripts take 1 to 14 with ResNet-20, 1 to 50 with ResNet-110",
    )
    lr: float = param(
        0.1,
        gt=0,
        help="learning rate at the start of each period",
        search=(1e-3, 1.0),
        source="authors' code, default; their originals' too",
    )
    epochs: int = param(
        30, ge=1, help="passes over the retain set", source="authors' scripts, for CIFAR-10"
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise the cross-entropy on D_R over the last layers."""
        with only_last_layers(model, self.last):
            return finetune(
                model,
                task.require_retain(),
                lr=self.lr,
                epochs=self.epochs,
                schedule=self._restarts,
                seed=task.seed,
            )

    def _restarts(self, peak: float, steps: int) -> Schedule:
        """Return the rate by step, which changes from epoch to epoch."""
        low = peak / 20

        def rate(step: int) -> float:
            begun = step * self.epochs // steps + 1
            period = 1 << (begun.bit_length() - 1)  # the largest power of 2 that is not above
            return low + cosine(peak - low, period)(begun - period)

        return rate
