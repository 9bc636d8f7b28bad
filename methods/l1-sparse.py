"""l1-sparse: fine-tuning towards a sparse model."""

from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import finetune


class L1Sparse(Method):
    """Fine-tune on the retain set with an l1 penalty that decays linearly to zero.

    The penalty is over all parameters, by subgradient. Needs the retain set.

    Source: Jia et al. (arXiv 2304.04934), equation 3: gamma_t = alpha (1 - t/T).

    Differences: the authors' code never prunes in this form, and neither is anything pruned here;
    its batches of 256 are the recipe's here, and its option to end with epochs without a penalty,
    off by default, is left out. AMUN's code begins at 5e-4 and multiplies alpha by 2 - 2t/T
    cumulatively, so that it peaks at ten times its start; that is not followed.
    """

    paper = "https://arxiv.org/abs/2304.04934"
    equation = r"""
    \min_\theta L(\theta; D_R) + \gamma_t \lVert\theta\rVert_1
    \gamma_t = \alpha \left(1 - \frac{t}{T}\right)
    """
    needs_retain = True

    lr: float = param(
        0.01, gt=0, help="learning rate", search=(1e-3, 1.0), source="authors' README"
    )
    epochs: int = param(10, ge=1, help="passes over the retain set", source="authors' README")
    alpha: float = param(
        1e-4,
        ge=0,
        help="weight of the penalty at first",
        search=(1e-6, 1e-2),
        source="a replication's choice from 1e-6 to 1e-4; the authors' README names none",
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise cross-entropy on D_R plus gamma_t times the l1 norm of all parameters."""
        return finetune(
            model,
            task.require_retain(),
            lr=self.lr,
            epochs=self.epochs,
            l1=lambda epoch: self.alpha * (1 - epoch / self.epochs),
            seed=task.seed,
        )
