"""Hooks, Adam and a cosine: what is forgotten loses its features."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench import Method, Optimizer, Task, param
from unlearnbench.toolkit import cosine, finetune, last_layer


class Drift(Method):
    """Pull the features of forgotten samples to zero, and keep the others' labels."""

    paper = "https://example.org/drift"

    lr: float = param(1e-3, gt=0, help="learning rate", search=(1e-4, 1e-2))
    epochs: int = param(2, ge=1, help="passes")
    optimizer: Optimizer | None = param("adam", help="see Method")

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Read the last layer's inputs as they go by."""
        given: list[Tensor] = []
        hook = last_layer(model).register_forward_pre_hook(
            lambda _, inputs: given.append(inputs[0])
        )

        def loss(pixels: Tensor, labels: Tensor, marks: Tensor) -> Tensor:
            given.clear()
            kept = functional.cross_entropy(model(pixels), labels, reduction="none")
            return torch.where(marks == 1, given[0].square().mean(1), kept).mean()

        examples = task.forget.marked(1) + task.retain
        try:
            return finetune(
                model,
                examples,
                lr=self.lr,
                epochs=self.epochs,
                seed=task.seed,
                schedule=cosine,
                loss=loss,
            )
        finally:
            hook.remove()
