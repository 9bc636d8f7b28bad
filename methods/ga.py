"""GA: gradient ascent."""

from typing import Literal

from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import Trainer, recorder


class GradientAscent(Method):
    """Climb the loss of the forget set.

    Source: Thudi et al. (arXiv 2109.13398), as in l1-sparse and SalUn: the negated cross-entropy on
    D_F alone, in train mode, so that BatchNorm normalises with, and its running statistics move
    towards, batches of D_F; `batch_norm` = "eval" leaves them alone, as SFRon does. A model that
    fits D_F has next to no gradient there: small rates do nothing, slightly larger ones destroy
    it. AMUN's code under full access puts a descent pass over D_R before every ascent
    pass: `descend` = true.
    """

    paper = "https://arxiv.org/abs/2109.13398"

    lr: float = param(1e-4, gt=0, help="learning rate", search=(1e-5, 1e-1))
    epochs: int = param(5, ge=1, help="passes over the forget set")
    batch_norm: Literal["train", "eval"] = param("train", help="mode of BatchNorm while climbing")
    descend: bool = param(False, help="pass over the retain set before each ascent pass")

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Maximise the cross-entropy on D_F."""
        trainer = Trainer(model, task.recipe, lr=self.lr, seed=task.seed)
        for epoch in range(self.epochs):
            if self.descend and task.retain is not None:
                trainer.epoch(task.retain)
            loss = trainer.epoch(task.forget, sign=-1, mode=self.batch_norm)
            recorder().epoch(epoch + 1, self.epochs, loss, model)
        return model
