"""Which weights a forget set speaks to."""

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from unlearnbench.toolkit.examples import Examples
from unlearnbench.toolkit.recorder import recorder

Mask = dict[str, Tensor]
"""For every parameter name, a bool tensor of its shape: True where training may change it."""


def saliency_mask(model: nn.Module, examples: Examples, *, keep: float) -> Mask | None:
    """Mark the share `keep` of all parameters whose loss gradient on `examples` is largest.

    Source: SalUn (arXiv 2310.12508), equation 3, with the threshold set so that a given share is
    kept, rounded down, as its authors do: the gradient is summed over the set with its sign, in
    eval mode, and ranked over all parameters at once. Two things are not as in their code, nor in
    AMUN's. It shows the set augmented; here it is clean, so that the mask is a function of model
    and set alone. And it adds up mean gradients of batches; here samples are added up, of which
    those in a smaller last batch weigh no more than others: the same mask where the batch size
    divides the size of the set. The model may be frozen, and no gradient of it is touched. `keep` =
    1 masks nothing: None is returned.
    """
    if keep >= 1:
        return None
    with recorder().timed("saliency mask", examples.labels.device):
        model.eval()
        weights = {n: p.detach().requires_grad_() for n, p in model.named_parameters()}
        for pixels, labels in examples.batches(examples.recipe.batch_size):
            logits = functional_call(model, weights, pixels)
            functional.cross_entropy(logits, labels, reduction="sum").backward()  # type: ignore[no-untyped-call]
        gradients = {n: w.grad.abs() for n, w in weights.items() if w.grad is not None}
        flat = torch.cat([g.flatten() for g in gradients.values()])
        kept = torch.zeros_like(flat, dtype=torch.bool)
        kept[flat.topk(int(keep * len(flat))).indices] = True
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
