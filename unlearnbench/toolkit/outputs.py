"""What a model says, and how far it is from what another says."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench.toolkit.examples import Examples


@torch.no_grad()
def outputs(model: nn.Module, examples: Examples, batch: int = 512) -> Tensor:
    """Return the logits [n, classes] of clean images, in eval mode, in the order of `examples`."""
    model.eval()
    return torch.cat([model(pixels) for pixels, _ in examples.batches(batch)])


def divergence(model: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the mean of KL(teacher || model) over a batch of logits [n, classes] each.

    Logits are divided by the temperature first, and the result multiplied by its square, so that
    gradients keep their size (Hinton et al., arXiv 1503.02531). Gradients flow through both.
    """
    own = functional.log_softmax(model / temperature, dim=1)
    other = functional.log_softmax(teacher / temperature, dim=1)
    distance = functional.kl_div(own, other, log_target=True, reduction="batchmean")
    return temperature**2 * distance
