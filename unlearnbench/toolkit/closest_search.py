"""A minimum-norm search: closer adversarial examples for a fraction of the gradients."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from unlearnbench.toolkit.boundary import Found, frozen, negative_margin, norms, nothing, rows, unit
from unlearnbench.toolkit.examples import Examples, as_pixels
from unlearnbench.toolkit.recorder import recorder

STEPS, BISECTIONS = 20, 8
GAMMA = 0.05
"""By how much the radius shrinks on a flip and grows otherwise (DDN's value)."""
REACH = 0.4
"""By how much it grows as long as a sample has never flipped: the first radius is a guess."""


def closest_search(
    model: nn.Module,
    examples: Examples,
    *,
    steps: int = STEPS,
    bisections: int = BISECTIONS,
    batch: int = 256,
) -> Found:
    """Search by decoupled direction and norm, then bisect between the clean image and the flip.

    Source: DDN (Rony et al., arXiv 1811.09600): steps along the normalised gradient, put back on a
    sphere that shrinks by 5 % where the label has flipped and grows by 5 % where it has not, the
    step annealed by a cosine; the nearest flip counts. Not as there: the first radius is each
    sample's linearised distance to the boundary instead of 1, and grows by 40 % until a first flip;
    steps are in units of the radius; and the segment from the clean image to the nearest flip is
    halved `bisections` times, which takes no gradient. The model is in eval mode and in fp32; an
    image that is misclassified as it is stays as it is. `radius` is the distance found.
    """
    model.eval()
    clean, labels = as_pixels(examples.images), examples.labels
    found = nothing(clean, labels)
    with frozen(model):
        for index in torch.split(torch.arange(len(clean), device=clean.device), batch):
            predicted = model(clean[index]).argmax(1)
            wrong = predicted != labels[index]
            found.enter(index, clean[index], predicted, found.radius[index], wrong)
        for index in torch.split((~found.flipped).nonzero().squeeze(1), batch):
            batch_of = clean[index], labels[index], index, found
            _descend(model, *batch_of, steps)
            _bisect(model, *batch_of, bisections)
    return found


def _descend(
    model: nn.Module, clean: Tensor, labels: Tensor, index: Tensor, found: Found, steps: int
) -> None:
    """Enter the nearest flip on each sample's way."""
    nearest = torch.full_like(labels, math.inf, dtype=torch.float32)
    image, label, radius, moved = clean, labels, torch.zeros_like(nearest), torch.zeros_like(clean)
    for step in range(steps + 1):
        here = (clean + moved).requires_grad_()
        logits = model(here)
        predicted, distance = logits.detach().argmax(1), norms(moved)
        flipped = predicted != labels
        closer = flipped & (distance < nearest)
        nearest = torch.where(closer, distance, nearest)
        image = torch.where(rows(closer), here.detach(), image)
        label = torch.where(closer, predicted, label)
        if step == steps:
            break
        away = negative_margin(logits, labels)
        (gradient,) = torch.autograd.grad(away.sum(), here)
        recorder().gradients += len(labels)
        if step == 0:
            radius = -away.detach() / norms(gradient).clamp_min(1e-30)
        else:
            grown = torch.where(nearest < math.inf, 1 + GAMMA, 1 + REACH)
            radius = distance * torch.where(flipped, 1 - GAMMA, grown)
        rate = 0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2
        ahead = moved + rate * rows(radius) * unit(gradient)
        moved = (clean + rows(radius) * unit(ahead)).clamp_(0.0, 1.0) - clean
    found.enter(index, image, label, nearest, nearest < math.inf)


def _bisect(
    model: nn.Module, clean: Tensor, labels: Tensor, index: Tensor, found: Found, bisections: int
) -> None:
    """Move what has flipped as near to the clean image as the straight line allows."""
    image, label = found.images[index], found.labels[index]
    low, segment = torch.zeros_like(found.radius[index]), image - clean
    high = torch.ones_like(low)
    for _ in range(bisections):
        middle = (low + high) / 2
        tried = clean + rows(middle) * segment
        with torch.no_grad():
            predicted = model(tried).argmax(1)
        flipped = predicted != labels
        low, high = torch.where(flipped, low, middle), torch.where(flipped, middle, high)
        image = torch.where(rows(flipped), tried, image)
        label = torch.where(flipped, predicted, label)
    found.enter(index, image, label, norms(image - clean), found.flipped[index])
