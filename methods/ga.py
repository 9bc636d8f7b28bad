"""GA: gradient ascent."""

from typing import Literal

from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import Trainer


class GradientAscent(Method):
    """Climb the loss of the forget set.

    A model that fits D_F has next to no gradient there: small rates do nothing, slightly larger
    ones destroy it.

    Its defaults, most of them its authors', do next to nothing to a small model of a few hundred
    images and have to be tuned there.

    Source: Thudi et al. (arXiv 2109.13398), as in l1-sparse and SalUn: the negated cross-entropy on
    D_F alone.

    Differences: Thudi et al. add back, in one step, gradients taken at the weights before training;
    l1-sparse and SalUn climb from the trained ones, and so is it here. They climb in train mode, so
    that BatchNorm normalises with, and its running statistics move towards, batches of D_F, which
    are of 256 there and the recipe's here; that is followed, and `batch_norm` = "eval" leaves them
    alone, as SFRon does, whose clipping of gradients at norm 0.1 is left out. AMUN's code under
    full access puts a descent pass over D_R, unshuffled, before every ascent pass: `descend` =
    true, which shuffles.
    """

    title = "GA"
    paper = "https://arxiv.org/abs/2109.13398"
    equation = r"\max_\theta L(\theta; D_F)"

    lr: float = param(
        1e-4, gt=0, help="learning rate", search=(1e-5, 1e1), source="l1-sparse's README"
    )
    epochs: int = param(5, ge=1, help="passes over the forget set", source="l1-sparse's README")
    batch_norm: Literal["train", "eval"] = param(
        "train",
        help="mode of BatchNorm while climbing",
        source="l1-sparse's and SalUn's code; SFRon's: eval",
    )
    descend: bool = param(
        False,
        help="pass over the retain set before each ascent pass",
        source="l1-sparse's and SalUn's code; AMUN's: true",
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Maximise the cross-entropy on D_F."""
        trainer = Trainer(model, task.recipe, lr=self.lr, seed=task.seed)
        for _ in trainer.epochs(self.epochs):
            if self.descend and task.retain is not None:
                trainer.epoch(task.retain)
            trainer.epoch(task.forget, sign=-1, mode=self.batch_norm)
        return model
