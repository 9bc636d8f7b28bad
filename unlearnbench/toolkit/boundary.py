"""What searches for a model's decision boundary share: what they find, and what they climb."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Found:
    """Hold what a search found, one entry a sample, in the order of the samples.

    images: float32 [n, C, H, W] in [0, 1], the adversarial image, or the last one tried; labels:
    int64 [n], the model's prediction on it; radius: float32 [n], the last l2 bound tried, 0 where
    the clean image was already misclassified; flipped: bool [n], False where nothing was found.
    """

    images: Tensor
    labels: Tensor
    radius: Tensor
    flipped: Tensor

    def enter(
        self, index: Tensor, images: Tensor, labels: Tensor, radius: Tensor, flipped: Tensor
    ) -> None:
        """Enter how the search ended for the samples at `index` (int64)."""
        self.images[index] = images
        self.labels[index] = labels
        self.radius[index] = radius
        self.flipped[index] = flipped


def nothing(clean: Tensor, labels: Tensor) -> Found:
    """Return what is known before any search: the clean images, and nothing flipped."""
    return Found(
        images=clean.clone(),
        labels=labels.clone(),
        radius=torch.zeros(len(clean), device=clean.device),
        flipped=torch.zeros(len(clean), dtype=torch.bool, device=clean.device),
    )


def negative_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return logsumexp of the other logits minus the label's, [n]; ascending it flips the label.

    Its gradient is that of the cross-entropy, which the paper ascends, divided by 1 - p(label): the
    same direction, hence the same normalised step. The cross-entropy's own gradient underflows to
    zero where a model is very sure, and a search along it would stand still.
    """
    own = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], float("-inf")).logsumexp(1)
    return others - own


def rows(values: Tensor) -> Tensor:
    """Shape one number an image, [n], so that it multiplies images."""
    return values[:, None, None, None]


def norms(images: Tensor) -> Tensor:
    """Return each image's l2 norm, [n]."""
    lengths: Tensor = torch.linalg.vector_norm(images.flatten(1), dim=1)
    return lengths


def unit(images: Tensor) -> Tensor:
    """Return images of l2 norm 1; zeros stay zeros."""
    return images / rows(norms(images).clamp_min(1e-30))


def shortened(images: Tensor, longest: Tensor | float) -> Tensor:
    """Scale images whose l2 norm is above `longest`, one number or [n], down to it."""
    return images * rows((longest / norms(images).clamp_min(1e-30)).clamp_max(1.0))


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Ask for no parameter gradients in this block: a search needs only those of the images."""
    needed = [p for p in model.parameters() if p.requires_grad]
    for parameter in needed:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in needed:
            parameter.requires_grad_(True)
