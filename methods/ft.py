"""FT: fine-tuning."""

from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import finetune


class FineTune(Method):
    """Go on training on the retain set alone and trust that the rest fades.

    Source: the FT baseline of l1-sparse (arXiv 2304.04934) and SalUn. Needs the retain set.

    Differences: none between these two but that their batches of 256 are the recipe's here. Every
    code has a schedule of its own, and AMUN's, without the retain set, takes as many samples of it
    as there are to forget, which is not done here.
    """

    title = "FT"
    paper = "https://arxiv.org/abs/2304.04934"
    equation = r"\min_\theta L(\theta; D_R)"
    needs_retain = True

    lr: float = param(
        0.01,
        gt=0,
        help="learning rate",
        search=(1e-4, 1.0),
        source="l1-sparse's and SalUn's code, default",
    )
    epochs: int = param(
        10,
        ge=1,
        help="passes over the retain set",
        source="l1-sparse's and SalUn's code; AMUN's comparison",
    )
    decay_every: int = param(
        10,
        ge=1,
        help="epochs between two decays of lr by 0.1",
        source="no decay: the codes' first one is at epoch 91; AMUN's searches 1, 5, 10",
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise the cross-entropy on D_R."""
        return finetune(
            model,
            task.require_retain(),
            lr=self.lr,
            epochs=self.epochs,
            decay_every=self.decay_every,
            seed=task.seed,
        )
