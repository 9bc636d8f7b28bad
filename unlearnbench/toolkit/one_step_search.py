"""A weaker adversarial search: one step in a cube that grows until the label flips."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unlearnbench.toolkit.boundary import Found, frozen, negative_margin, nothing
from unlearnbench.toolkit.examples import Examples, as_pixels
from unlearnbench.toolkit.recorder import recorder

OVERSHOOT = 1.25
"""Length of the step in units of the cube's half side; what leaves the cube is cut off."""


def one_step_search(
    model: nn.Module, examples: Examples, *, radius: float, seed: int, batch: int = 256
) -> Found:
    """Search by a random start and one signed step, the bound doubled until the label flips.

    Source: the one-step attack of Wong et al. (arXiv 2001.03994, FFGSM) inside AMUN's Algorithm 1,
    for its Table 9; AMUN's authors have not published theirs. The bound is on each pixel, as there;
    radius is an l2 one, and the cube's half side such that its corners are at `radius`: no image
    found is farther, so that the first radius means about what it does in the paper's search. Each
    try starts anew at the clean image. The model is in eval mode and in fp32; an image that is
    misclassified as it is stays as it is; what the whole of [0, 1] does not flip is given up.
    """
    model.eval()
    clean, labels = as_pixels(examples.images), examples.labels
    found = nothing(clean, labels)
    generator = torch.Generator(clean.device).manual_seed(seed)
    cap = clean[0].numel() ** 0.5
    with frozen(model):
        for index in torch.split(torch.arange(len(clean), device=clean.device), batch):
            predicted = model(clean[index]).argmax(1)
            wrong = predicted != labels[index]
            found.enter(index, clean[index], predicted, found.radius[index], wrong)
        while radius <= cap:
            for index in torch.split((~found.flipped).nonzero().squeeze(1), batch):
                image = _step(model, clean[index], labels[index], radius / cap, generator)
                predicted = model(image).argmax(1)
                bound = torch.full_like(found.radius[index], radius)
                found.enter(index, image, predicted, bound, predicted != labels[index])
            radius *= 2
    return found


def _step(
    model: nn.Module, clean: Tensor, labels: Tensor, bound: float, generator: torch.Generator
) -> Tensor:
    """Return images at most `bound` from the clean ones in each pixel."""
    noise = torch.rand(clean.shape, generator=generator, device=clean.device)
    here = clean + bound * (2 * noise - 1)
    here = here.contiguous(memory_format=torch.channels_last).requires_grad_()
    (gradient,) = torch.autograd.grad(negative_margin(model(here), labels).sum(), here)
    recorder().gradients += len(labels)
    away = here.detach() + OVERSHOOT * bound * gradient.sign() - clean
    return (clean + away.clamp(-bound, bound)).clamp_(0.0, 1.0)
