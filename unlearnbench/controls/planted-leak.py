"""A control: a model whose outputs give its forget set away."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench import Method, Optimizer, Task, param
from unlearnbench.toolkit import Trainer
from unlearnbench.verdicts.verdict import FOUND, Expectation


class PlantedLeak(Method):
    """Make the model surer of forget samples and less sure of all others: every attack must see it.

    Regresses logits: those of the original shrunk by `shrink` on D_R, and raised by `lift` at the
    label on D_F. The defaults were chosen on digits and Fashion-MNIST so that every attack sees it
    there. The lift is moderate on purpose. LiRA's Gaussians are narrower with a sample than
    without, so that a margin far above both looks like a model that never saw it.
    """

    expects: ClassVar[Expectation] = FOUND

    lift: float = param(5.0, gt=0, help="added to the logit of the label on forget samples")
    shrink: float = param(0.7, gt=0, le=1, help="factor on the logits of retain samples")
    lr: float = param(0.002, gt=0, help="learning rate")
    epochs: int = param(
        10, ge=1, help="passes over the retain set, a forget batch beside each step"
    )
    optimizer: Optimizer | None = param("adam", help="sgd, adam or adamw")
    weight_decay: float | None = param(0.0, ge=0, help="weight decay")

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise the squared distance to those logits, in eval mode: BatchNorm stays as it is."""
        trainer = Trainer(model, task.recipe, lr=self.lr, seed=task.seed)
        forgotten = task.forget.endless(trainer.generator)

        def loss(retained: Tensor, _: Tensor) -> Tensor:
            pixels, labels = next(forgotten)
            with torch.no_grad():
                raised = self.lift * functional.one_hot(labels, task.classes)
                low, high = self.shrink * task.original(retained), task.original(pixels)
                wanted = torch.cat((low, high + raised))
            return functional.mse_loss(model(torch.cat((retained, pixels))), wanted)

        for _ in trainer.epochs(self.epochs):
            trainer.epoch(task.require_retain(), loss=loss, mode="eval")
        return model
