"""TRADES: training that weighs accuracy against the worst that may happen nearby."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench.recipe import Trades
from unlearnbench.toolkit.boundary import shortened, unit
from unlearnbench.toolkit.compilation import Loss
from unlearnbench.toolkit.outputs import divergence
from unlearnbench.toolkit.recorder import recorder

START = 1e-3
"""Standard deviation of the noise a search begins at: at the image itself nothing pulls away."""


def trades_loss(model: nn.Module, trades: Trades, generator: torch.Generator) -> Loss:
    """Return the mean TRADES loss of a batch, as a function of images and labels.

    Source: Zhang et al. (arXiv 1901.08573), equation 5 and algorithm 1: the cross-entropy of the
    images plus `weight` times the divergence, KL(f(x) || f(x')), of the predictions nearby from
    those on the images, x' being the worst that is found within `radius`. Gradients flow through
    both. The model is in train mode for the loss, where BatchNorm sees the two batches one after
    the other, and in eval mode while x' is searched, as in the authors' code.
    """

    def loss(pixels: Tensor, labels: Tensor) -> Tensor:
        training = model.training
        model.eval()
        nearby = worst_nearby(model, pixels, trades, generator)
        model.train(training)
        logits = model(pixels).float()
        moved = model(nearby).float()
        return functional.cross_entropy(logits, labels) + trades.weight * divergence(moved, logits)

    return loss


def worst_nearby(
    model: nn.Module, pixels: Tensor, trades: Trades, generator: torch.Generator
) -> Tensor:
    """Return images, float32 [b, C, H, W] in [0, 1], that the model takes for something else.

    Ascends the divergence by steps of `step` along its gradient, from next to the images; neither
    the ball of `radius` nor [0, 1] is left. Its gradients are counted, no parameter gets one.
    """
    with torch.no_grad():
        target = model(pixels).float()
    noise = torch.randn(pixels.shape, generator=generator, device=pixels.device)
    here = (pixels + START * noise).clamp(0.0, 1.0)
    for _ in range(trades.steps):
        here = here.contiguous(memory_format=torch.channels_last).requires_grad_()
        far = divergence(model(here).float(), target)
        (gradient,) = torch.autograd.grad(far, here)
        away = here.detach() + trades.step * _direction(gradient, trades.norm) - pixels
        here = (pixels + _within(away, trades)).clamp(0.0, 1.0)
    recorder().gradients += trades.steps * len(pixels)
    return here.detach()


def _direction(gradient: Tensor, norm: str) -> Tensor:
    return gradient.sign() if norm == "linf" else unit(gradient)


def _within(away: Tensor, trades: Trades) -> Tensor:
    """Put what leads out of the ball back on its surface."""
    if trades.norm == "linf":
        return away.clamp(-trades.radius, trades.radius)
    return shortened(away, trades.radius)
