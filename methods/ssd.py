"""SSD: selective synaptic dampening."""

import torch
from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import squared_gradients


class SelectiveSynapticDampening(Method):
    """Shrink the weights that matter more to the forget set than to all of the data.

    Importance F is the mean squared gradient of the loss, in eval mode, on clean images. No
    training. Needs the retain set.

    Its defaults, most of them its authors', do next to nothing to a small model of a few hundred
    images and have to be tuned there.

    Source: Foster et al. (arXiv 2308.07707), equations 6 and 7.

    Differences: the importance is that of single samples in the paper, which is followed, and of
    batches of 128 in the authors' code (`batch_size` = 128). That of batches depends on the size of
    the set: of fewer random samples than a batch, F(D_F) is above F(D), at most 128 / |D_F| times,
    so that one alpha does not mean the same for all sets.
    """

    title = "SSD"
    paper = "https://arxiv.org/abs/2308.07707"
    equation = r"""
    \theta_i \gets \min\left(\lambda \frac{F_i(D)}{F_i(D_F)}, 1\right) \theta_i
    \text{where } F_i(D_F) > \alpha F_i(D), \quad D = D_R \cup D_F
    F_i(D) = \mathbb{E} \left(\partial L / \partial \theta_i\right)^2
    """
    needs_retain = True
    trains = False

    alpha: float = param(
        10.0,
        gt=0,
        help="how much more a weight must matter",
        search=(0.5, 100.0),
        source="authors' code, default",
    )
    dampening: float = param(
        1.0, gt=0, help="lambda, the strength", search=(0.1, 10.0), source="authors' code, default"
    )
    batch_size: int | None = param(
        1,
        ge=1,
        help="samples whose mean gradient is squared",
        source="paper; authors' code: 128",
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Multiply the chosen weights."""
        forget = squared_gradients(model, task.forget)
        everything = squared_gradients(model, task.forget + task.require_retain())
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                chosen = forget[name] > self.alpha * everything[name]
                ratio = (self.dampening * everything[name] / forget[name]).clamp_max(1)
                parameter.copy_(torch.where(chosen, parameter * ratio, parameter))
        return model
