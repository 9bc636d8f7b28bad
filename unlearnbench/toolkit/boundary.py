"""What searches for a model's decision boundary share: what they find, and what they climb."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unlearnbench.toolkit.examples import Examples, as_pixels


@dataclass(frozen=True)
class Found:
    """Hold what a search found, one entry a sample, in the order of the samples.

    clean, images: float32 [n, C, H, W] in [0, 1], the image and the adversarial one, or the last
    one tried; truth, labels: int64 [n], the label and the model's prediction on `images`; radius:
    float32 [n], the last l2 bound tried, 0 where the clean image was already misclassified.
    """

    clean: Tensor
    truth: Tensor
    images: Tensor
    labels: Tensor
    radius: Tensor

    @property
    def flipped(self) -> Tensor:
        """False where nothing was found: bool [n]."""
        return self.labels != self.truth

    @property
    def left(self) -> Tensor:
        """Positions where nothing was found: int64."""
        return (~self.flipped).nonzero().squeeze(1)

    def enter(self, index: Tensor, images: Tensor, labels: Tensor, radius: Tensor) -> None:
        """Enter how the search ended for the samples at `index` (int64)."""
        self.images[index] = images
        self.labels[index] = labels
        self.radius[index] = radius


def nothing(examples: Examples) -> Found:
    """Return what is known before any search: the clean images, and nothing flipped."""
    clean, truth = as_pixels(examples.images), examples.labels
    radius = torch.zeros(len(truth), device=truth.device)
    return Found(clean, truth, clean.clone(), truth.clone(), radius)


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
    return torch.linalg.vector_norm(images.flatten(1), dim=1)


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
