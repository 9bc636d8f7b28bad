"""Prune, then fine-tune what is left."""

import torch
from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import finetune


class Prune(Method):
    """Set the smallest weights of each layer to zero for good, and fine-tune the others on D_R."""

    paper = "https://example.org/prune"
    needs_retain = True

    share: float = param(0.5, gt=0, lt=1, help="of the weights that go", search=(0.1, 0.9))
    lr: float = param(0.01, gt=0, help="learning rate", search=(1e-3, 1e-1))
    epochs: int = param(2, ge=1, help="passes over the retain set")

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Keep them at zero by a mask."""
        mask = {}
        with torch.no_grad():
            for name, weight in model.named_parameters():
                size = weight.abs()
                matrix = weight.ndim > 1
                mask[name] = size > size.quantile(self.share) if matrix else size >= 0
                weight.mul_(mask[name])
        retain = task.require_retain()
        return finetune(model, retain, lr=self.lr, epochs=self.epochs, seed=task.seed, mask=mask)
