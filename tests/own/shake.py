"""Noise where the retain set does not mind it."""

import torch
from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import squared_gradients


class Shake(Method):
    """Add noise to each weight, the more the less Fisher information D_R has of it."""

    paper = "https://example.org/shake"
    needs_retain = True

    alpha: float = param(1e-3, gt=0, help="size of the noise", search=(1e-5, 1e-1))

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Draw it from the task's seed."""
        fisher = squared_gradients(model, task.require_retain())
        draw = torch.Generator(task.device).manual_seed(seed_for(task.seed, "noise"))
        with torch.no_grad():
            for name, weight in model.named_parameters():
                size = self.alpha * (fisher[name] + 1e-8) ** -0.25
                noise = torch.randn(weight.shape, generator=draw, device=task.device)
                weight.add_(size * noise)
        return model
