"""SSD: selective synaptic dampening."""

import torch
from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import squared_gradients


class SelectiveSynapticDampening(Method):
    """Shrink the weights that matter more to the forget set than to all of the data.

    Source: Foster et al. (arXiv 2308.07707), equations 6 and 7: where the importance for D_F is
    more than alpha times that for D_R + D_F, a weight is multiplied by lambda times the ratio of
    the two, 1 at most. Importance is the mean squared gradient of the loss, of batches as in the
    authors' code (of samples in the paper), in eval mode, on clean images. No training. Needs the
    retain set.
    """

    paper = "https://arxiv.org/abs/2308.07707"
    needs_retain = True

    alpha: float = param(10.0, gt=0, help="how much more a weight must matter", search=(0.5, 100.0))
    dampening: float = param(1.0, gt=0, help="lambda, the strength", search=(0.1, 10.0))

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
