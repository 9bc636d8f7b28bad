"""AMUN's adversarial search: the nearest image that the model gives another label."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unlearnbench.toolkit.examples import Examples, as_pixels
from unlearnbench.toolkit.recorder import recorder

STEPS = 50
"""Steps of PGD before a sample's radius doubles (the paper's PGD-50)."""


@dataclass(frozen=True)
class Found:
    """Hold what the search found, one entry a sample, in the order of the samples.

    images: float32 [n, C, H, W] in [0, 1], the last iterate; labels: int64 [n], the model's
    prediction on it; radius: float32 [n], the last l2 bound tried, 0 where the clean image was
    already misclassified; flipped: bool [n], False where no radius up to the cap sufficed.
    """

    images: Tensor
    labels: Tensor
    radius: Tensor
    flipped: Tensor


def adversarial_examples(model: nn.Module, forget: Examples, *, radius: float) -> Examples:
    """Return AMUN's D_A: each example's nearest adversarial image, under the label it flipped to.

    Not to be augmented, in the order of `forget`. Examples that could not be flipped are left out;
    how many, and how far the others had to move, goes into the run's record.
    """
    recording = recorder()
    with recording.timed("adversarial search", forget.labels.device):
        found = search(model, forget, radius=radius)
        moved = (found.images - as_pixels(forget.images)).flatten(1).norm(dim=1)[found.flipped]
        recording.notes["adversarial search"] = {
            "samples": len(forget),
            "not flipped": int((~found.flipped).sum()),
            "mean l2 distance": float(moved.mean()) if len(moved) else None,
            "distances": [round(d, 5) for d in moved.tolist()],
            "radii": [round(r, 5) for r in found.radius.tolist()],
        }
    pairs = Examples(found.images, found.labels, forget.augment, forget.recipe)
    return pairs.unaugmented().select(found.flipped)


def search(
    model: nn.Module, examples: Examples, *, radius: float, steps: int = STEPS, batch: int = 256
) -> Found:
    """Search by untargeted l2 PGD with a radius of its own for every sample.

    Source: AMUN (arXiv 2503.00917), Algorithm 1 and section 4. Steps of 0.1 radius along the
    normalised gradient, projected to the l2 ball round the clean image and to [0, 1]; no random
    start; the model in eval mode. Where the paper is silent its authors' code is followed: a
    sample stops at its first misclassified iterate, so it lies just over the boundary; after
    `steps` steps its radius doubles and it goes on from where it is; a clean image that is already
    misclassified is kept as it is.

    No image in [0, 1] is farther from another than the square root of its size: a sample that a
    ball of that radius does not flip is given up, instead of being doubled for ever.

    Samples wait in one queue and a sample that is done makes room for the next, so batches stay
    full and no step is spent on a sample that needs none.
    """
    model.eval()
    clean = as_pixels(examples.images)
    found = Found(
        images=clean.clone(),
        labels=examples.labels.clone(),
        radius=torch.full((len(clean),), radius, device=clean.device),
        flipped=torch.zeros(len(clean), dtype=torch.bool, device=clean.device),
    )
    with frozen(model):
        _search(model, clean, examples.labels, found, steps, batch)
    return found


def _search(
    model: nn.Module, clean: Tensor, labels: Tensor, found: Found, steps: int, batch: int
) -> None:
    """Fill in `found`, which starts out at the clean images."""
    cap = clean[0].numel() ** 0.5
    taken = torch.zeros(len(clean), dtype=torch.int64, device=clean.device)  # at this radius
    queue = torch.arange(len(clean), device=clean.device)
    active, queue = queue[:batch], queue[batch:]
    while len(active):
        here = found.images[active].requires_grad_()
        logits = model(here)
        predicted = logits.argmax(1)
        flipped = predicted != labels[active]
        done = active[flipped]
        found.flipped[done] = True
        found.labels[done] = predicted[flipped]
        found.radius[done[taken[done] == 0]] = 0.0  # misclassified before any step

        exhausted = active[~flipped & (taken[active] == steps)]
        found.radius[exhausted] *= 2
        taken[exhausted] = 0
        going = ~flipped & (found.radius[active] <= cap)
        margin = negative_margin(logits, labels[active])[going].sum()
        active = active[going]
        if len(active):
            (gradient,) = torch.autograd.grad(margin, here)
            recorder().gradients += len(active)
            found.images[active] = _step(
                found.images[active], clean[active], gradient[going], found.radius[active]
            )
            taken[active] += 1
        room = batch - len(active)
        active, queue = torch.cat((active, queue[:room])), queue[room:]


def _step(here: Tensor, clean: Tensor, gradient: Tensor, radius: Tensor) -> Tensor:
    """Go 0.1 radius along the gradient, then back into the ball round `clean` and [0, 1]."""
    ahead = here + 0.1 * _rows(radius) * gradient / _rows(_norms(gradient).clamp_min(1e-30))
    away = ahead - clean
    inside = (radius / _norms(away).clamp_min(1e-30)).clamp_max(1.0)
    return (clean + away * _rows(inside)).clamp_(0.0, 1.0)


def negative_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return logsumexp of the other logits minus the label's, [n]; ascending it flips the label.

    Its gradient is that of the cross-entropy, which the paper ascends, divided by 1 - p(label): the
    same direction, hence the same normalised step. The cross-entropy's own gradient underflows to
    zero where a model is very sure, and a search along it would stand still.
    """
    own = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], float("-inf")).logsumexp(1)
    return others - own


def _rows(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _norms(images: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(images.flatten(1), dim=1)
    return norms


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Ask for no parameter gradients in this block: the search needs only those of the images."""
    needed = [p for p in model.parameters() if p.requires_grad]
    for parameter in needed:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in needed:
            parameter.requires_grad_(True)
