"""Which weights have a large gradient on a forget set."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from unlearnbench.errors import MethodError
from unlearnbench.toolkit.examples import Examples
from unlearnbench.toolkit.recorder import recorder

Mask = dict[str, Tensor]
"""For every parameter name, a bool tensor of its shape: True where training may change it."""
MANY, TOGETHER = 128, 2**28
"""Samples whose gradients are taken at once, at most, and how many numbers these may be."""


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

    Batches are as large as the recipe of the examples says. With batches of one it is the diagonal
    of the empirical Fisher matrix, and means the same for sets of any size. The square of the mean
    of n gradients is less, 1/n of theirs where they do not agree: with larger batches, a set that
    is smaller than a batch looks as if it mattered more. Clean images, eval mode. Raises
    MethodError for a model whose samples cannot be differentiated each by itself.
    """
    with recorder().timed("squared gradients", examples.labels.device):
        model.eval()
        means = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
        size = examples.recipe.batch_size
        batches = math.ceil(len(examples) / size)
        for gradients in _by_sample(model, examples) if size == 1 else _by_batch(model, examples):
            for name, gradient in gradients.items():
                means[name] += (gradient**2).sum(0) / batches
        return means


def _by_batch(model: nn.Module, examples: Examples) -> Iterator[dict[str, Tensor]]:
    """Yield the gradient of each batch's mean loss, by parameter, [1, *its shape]."""
    parameters = dict(model.named_parameters())
    for pixels, labels in examples.batches(examples.recipe.batch_size):
        loss = functional.cross_entropy(model(pixels), labels)
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        yield {name: g[None] for name, g in zip(parameters, gradients, strict=True)}


def _by_sample(model: nn.Module, examples: Examples) -> Iterator[dict[str, Tensor]]:
    """Yield the gradients of samples' losses, many at once, by parameter, [n, *its shape]."""
    together = TOGETHER // sum(p.numel() for p in model.parameters())
    for pixels, labels in examples.batches(max(1, min(together, MANY))):
        try:
            weights, logits = each_with_own_weights(model, pixels)
        except MethodError as error:
            hint = "Set the method's batch_size to 2 or more, and it takes those of batches."
            raise MethodError(f"{error} {hint}") from error
        loss = functional.cross_entropy(logits, labels, reduction="sum")
        gradients = torch.autograd.grad(loss, list(weights.values()))
        yield dict(zip(weights, gradients, strict=True))


def each_with_own_weights(model: nn.Module, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Pass n images through a model, each with a copy of the weights that is its own.

    Return the copies, by parameter [n, *its shape], and the logits [n, classes]. The gradient of a
    sum over images, by the copies, is that of each image. Weights are not copied in memory, their
    gradients are. Raises MethodError for a model whose samples cannot be told apart.
    """
    weights = {
        name: p.detach().expand(len(images), *p.shape).requires_grad_()
        for name, p in model.named_parameters()
    }
    try:
        logits = vmap(lambda own, image: functional_call(model, own, image[None])[0])(
            weights, images
        )
    except RuntimeError as error:
        said = str(error).partition("\n")[0]
        raise MethodError(
            f"torch.vmap cannot take this model's gradients sample by sample: {said}"
        ) from error
    return weights, logits
