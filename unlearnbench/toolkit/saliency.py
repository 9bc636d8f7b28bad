"""Which weights a forget set speaks to."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench.toolkit.examples import Examples
from unlearnbench.toolkit.recorder import recorder

Mask = dict[str, Tensor]
"""For every parameter name, a bool tensor of its shape: True where training may change it."""


def saliency_mask(model: nn.Module, examples: Examples, *, keep: float) -> Mask | None:
    """Mark the share `keep` of all parameters whose loss gradient on `examples` is largest.

    Source: SalUn (arXiv 2310.12508), equation 3, with the threshold set so that a given share is
    kept, as its authors do: the gradient is summed over the set with its sign, in eval mode, and
    ranked over all parameters at once. Their code shows the set augmented; here it is clean, so
    the mask is a function of model and set alone. `keep` = 1 masks nothing: None is returned.
    """
    if keep >= 1:
        return None
    with recorder().timed("saliency mask", examples.labels.device):
        model.eval()
        model.zero_grad(set_to_none=True)
        for pixels, labels in examples.batches(examples.recipe.batch_size):
            functional.cross_entropy(model(pixels), labels, reduction="sum").backward()  # type: ignore[no-untyped-call]
        gradients = {n: p.grad.abs() for n, p in model.named_parameters() if p.grad is not None}
        model.zero_grad(set_to_none=True)
        flat = torch.cat([g.flatten() for g in gradients.values()])
        kept = torch.zeros_like(flat, dtype=torch.bool)
        kept[flat.topk(round(keep * len(flat))).indices] = True
        pieces = torch.split(kept, [g.numel() for g in gradients.values()])
        return {n: piece.view_as(gradients[n]) for n, piece in zip(gradients, pieces, strict=True)}


def squared_gradients(model: nn.Module, examples: Examples) -> dict[str, Tensor]:
    """Return, by parameter, the mean over batches of the squared gradient of their mean loss.

    With batches of one it is the diagonal of the empirical Fisher matrix, which SSD and SFRon mean;
    their authors' code takes batches, of the size used in training, and so is it here. Clean
    images, eval mode.
    """
    with recorder().timed("squared gradients", examples.labels.device):
        model.eval()
        means = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
        size = examples.recipe.batch_size
        batches = math.ceil(len(examples) / size)
        for pixels, labels in examples.batches(size):
            loss = functional.cross_entropy(model(pixels), labels)
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            for mean, gradient in zip(means.values(), gradients, strict=True):
                mean += gradient**2 / batches
        return means
