"""TRADES: training that keeps predictions nearby."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench.recipe import Trades
from unlearnbench.toolkit.examples import Loss, divergence, shortened, unit

START = 1e-3
"""Standard deviation of the noise a search begins at: at the image itself nothing pulls away."""


def trades_loss(
    model: nn.Module, trades: Trades, generator: torch.Generator, smoothing: float = 0.0
) -> Loss:
    """Return the mean TRADES loss of a batch, as a function of images and labels.

    smoothing: of labels, in its cross-entropy.

    Source: Zhang et al. (arXiv 1901.08573), equation 5 and algorithm 1: the cross-entropy of the
    images plus `weight` times the divergence, KL(f(x) || f(x')), of the predictions nearby from
    those on the images, x' being the worst that is found within `radius`. Gradients flow through
    both. The model is in train mode for the loss, where BatchNorm sees the two batches one after
    the other, and in eval mode while x' is searched, as in the authors' code, which shows BatchNorm
    the images a second time.
    """

    def loss(pixels: Tensor, labels: Tensor) -> Tensor:
        training = model.training
        model.eval()
        nearby = worst_nearby(model, pixels, trades, generator)
        model.train(training)
        # PyTorch before 2.12 may keep casts of the weights that were made without gradients
        torch.clear_autocast_cache()
        logits, moved = model(pixels).float(), model(nearby).float()
        plain = functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        return plain + trades.weight * divergence(moved, logits)

    return loss


def worst_nearby(
    model: nn.Module, pixels: Tensor, trades: Trades, generator: torch.Generator
) -> Tensor:
    """Return images, float32 [b, C, H, W] in [0, 1], that the model takes for something else.

    Ascends the divergence by steps of `step` along its gradient, from next to the images; neither
    the ball of `radius` nor [0, 1] is left: it is put back into the one, then into the other. With
    l2 the authors' code does so the other way round. No parameter gets a gradient.
    """
    with torch.no_grad():
        target = model(pixels).float()
    cube, radius = trades.norm == "linf", trades.radius
    noise = torch.randn(pixels.shape, generator=generator, device=pixels.device)
    here = (pixels + START * noise).clamp(0.0, 1.0)
    for _ in range(trades.steps):
        here = here.contiguous(memory_format=torch.channels_last).requires_grad_()
        (gradient,) = torch.autograd.grad(divergence(model(here).float(), target), here)
        direction = gradient.sign() if cube else unit(gradient)
        away = here.detach() + trades.step * direction - pixels
        away = away.clamp(-radius, radius) if cube else shortened(away, radius)
        here = (pixels + away).clamp(0.0, 1.0)
    return here.detach()
